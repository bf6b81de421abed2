"""One HTTP/2 connection on asyncio: bytes from the socket, bytes to the socket, timers."""

import asyncio
from collections.abc import Callable
from typing import cast

from epp.core.domain.ports import Clock
from epp.edge.extproc.http2.connection import Accept, Http2Connection
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode

CHECK_EVERY_S = 1.0
JOINED_BYTES = 32_768
"""up to this much is copied into one piece for the socket"""
HIGH_WATER_BYTES = 4 << 20
"""not written yet; above it nothing more is read from the peer"""
SILENT = "silent"
UNREAD = "unread"
Ended = Callable[[str, str, str], None]
"""called with the peer's address, a reason of few and a sentence, when a connection is ended because of its peer"""


class Http2Protocol(asyncio.Protocol):
    """Tells `on_lost` when its connection is gone."""

    def __init__(
        self,
        limits: Http2Limits,
        accept: Accept,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        on_made: "Callable[[Http2Protocol], None]",
        on_lost: "Callable[[Http2Protocol], None]",
        on_ended: Ended,
    ) -> None:
        self.connection = Http2Connection(limits, accept, clock(), self._flush_later)
        self._limits = limits
        self._clock = clock
        self._loop = loop
        self._on_made = on_made
        self._on_lost = on_lost
        self._on_ended = on_ended
        self._transport: asyncio.Transport | None = None
        self._check: asyncio.TimerHandle | None = None
        self._unfinished = self.connection.unfinished
        """what the peer had begun when we last looked"""
        self._unfinished_since = clock()
        self._done_at: float | None = None
        self._has_told = False
        """why the connection ends"""
        self._heard_at = clock()
        self._flush_due = False
        self._is_unread = False
        """too much was written that the peer has not read"""
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = socket = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        socket.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._check = self._loop.call_later(CHECK_EVERY_S, self._regularly)
        self._on_made(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        self._heard_at = now = self._clock()
        self.connection.receive(data, now)
        if self.connection.is_full:
            self._regulate()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  why does not matter
        """The socket is gone."""
        if self._check is not None:
            self._check.cancel()
        self.connection.lost()
        self._transport = None
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The peer does not read: then we do not either."""
        self._is_unread = True
        self._regulate()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._is_unread = False
        self._regulate()

    def flush(self) -> None:
        """Writes what the connection has to say, and closes it when that was the last."""
        self._flush_due = False
        connection, transport = self.connection, self._transport
        out = connection.send_side.out
        if transport is None:
            out.clear()
            return
        if out:
            connection.send_side.out = []
            if sum(map(len, out)) <= JOINED_BYTES:
                transport.write(b"".join(out))
            else:
                transport.writelines(out)
        if connection.is_done:
            if connection.fault is not None:
                self._tell(connection.fault.code.name, connection.fault.reason)
            transport.close()
        elif self._is_paused:
            self._regulate()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def abort_because(self, reason: str, detail: str) -> None:
        """The same, and tells why."""
        self._tell(reason, detail)
        self.abort()

    def _tell(self, reason: str, detail: str) -> None:
        if self._transport is not None and not self._has_told:
            self._has_told = True
            self._on_ended(shown_address(self._transport.get_extra_info("peername")), reason, detail)

    def _flush_later(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def _regulate(self) -> None:
        """Reads from the peer, or not."""
        transport = self._transport
        is_paused = self._is_unread or self.connection.is_full
        if transport is None or transport.is_closing() or is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        if is_paused:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _regularly(self) -> None:
        self._check = self._loop.call_later(CHECK_EVERY_S, self._regularly)
        connection, limits, now = self.connection, self._limits, self._clock()
        connection.now = now
        if connection.is_done:
            self._close_in_time(now)
            return
        self._check_unfinished(now)
        connection.reset_stalled(now - limits.stalled_after_s)
        silent_s = now - self._heard_at
        if connection.control.pings_unanswered:
            if silent_s > limits.ping_after_s + limits.pong_within_s:
                self.abort_because(SILENT, f"no answer to a PING within {limits.pong_within_s:g} s")
                return
        elif silent_s > limits.ping_after_s:
            connection.ask_for_life()
        self.flush()

    def _check_unfinished(self, now: float) -> None:
        unfinished = self.connection.unfinished
        if unfinished is None or unfinished != self._unfinished or self._is_paused:
            self._unfinished, self._unfinished_since = unfinished, now
        elif now - self._unfinished_since > self._limits.greeting_within_s:
            fault = ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "what was begun is not finished in time")
            self.connection.break_off(fault)

    def _close_in_time(self, now: float) -> None:
        """Everything was said, but not everything was read."""
        self.flush()
        if self._done_at is None:
            self._done_at = now
        elif now - self._done_at > self._limits.closed_within_s:
            self.abort_because(UNREAD, f"what was sent last is not read within {self._limits.closed_within_s:g} s")


def shown_address(name: object) -> str:
    """Of a socket, as `socket.getpeername` tells it: `10.0.0.1:80`, `[::1]:80`; empty where there is none."""
    match name:
        case (str(host), int(port), *_):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case _:
            return ""
