"""A Http2Protocol between a transport and an event loop that do nothing by themselves; time passes when a test says."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from epp.edge.extproc.http2.grpc_stream import GrpcService
from epp.edge.extproc.http2.limits import DEFAULT_LIMITS, Http2Limits
from epp.edge.extproc.http2.protocol import Http2Protocol
from epp.edge.extproc.transport import PROCESS, ServerStream
from tests.unit.edge.extproc.http2.frames import PREFACE, SETTINGS_ACK, settings
from tests.unit.edge.extproc.scripted_handler import MIB, Behaviour, Handler, echo


class SilentTransport:
    """asyncio.Transport for a peer that reads when it is told to."""

    def __init__(self) -> None:
        self.protocol: Http2Protocol
        self.written = bytearray()
        self.unread_bytes = 0
        self.reads = True
        """the peer does"""
        self._is_reading = True
        self.high_bytes = 0
        self.was_closed = False
        self.was_aborted = False

    def get_extra_info(self, name: str) -> object:
        return {"peername": ("192.0.2.7", 4242)}[name]

    def set_write_buffer_limits(self, high: int) -> None:
        self.high_bytes = high

    def write(self, data: bytes) -> None:
        self.writelines([data])

    def writelines(self, parts: list[bytes]) -> None:
        assert not self.was_aborted
        joined = b"".join(parts)
        self.written += joined
        if not self.reads:
            was_above = self.unread_bytes > self.high_bytes
            self.unread_bytes += len(joined)
            if self.unread_bytes > self.high_bytes and not was_above:
                self.protocol.pause_writing()

    def peer_reads(self) -> None:
        """All that waits, and from now on at once."""
        was_above = self.unread_bytes > self.high_bytes
        self.reads, self.unread_bytes = True, 0
        if was_above:
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        assert self._is_reading
        self._is_reading = False

    def resume_reading(self) -> None:
        assert not self._is_reading
        self._is_reading = True

    def is_read_from(self) -> bool:
        """By us."""
        return self._is_reading

    def is_closing(self) -> bool:
        return self.was_closed or self.was_aborted

    def close(self) -> None:
        self.was_closed = True

    def abort(self) -> None:
        self.was_aborted = True


class Stage:
    """The protocol with its surroundings."""

    def __init__(
        self, behaviour: Behaviour = echo, limits: Http2Limits = DEFAULT_LIMITS, *, greets: bool = True
    ) -> None:
        self.now = 0.0
        self.handlers: list[Handler] = []
        self.lost = 0
        self.ended: list[tuple[str, str, str]] = []
        """peer, reason, detail"""
        self._behaviour = behaviour
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._cancelled: set[int] = set()
        service = GrpcService({PROCESS: self._handler}, MIB, self._on_fault, self.call_soon)
        self.transport = SilentTransport()
        self.protocol = Http2Protocol(
            limits,
            service.accept,
            lambda: self.now,
            cast("Any", self),
            on_made=lambda _: None,
            on_lost=self._on_lost,
            on_ended=lambda *ending: self.ended.append(ending),
        )
        self.transport.protocol = self.protocol
        self.protocol.connection_made(cast("Any", self.transport))
        if greets:
            self.say(PREFACE, settings(), SETTINGS_ACK)
        self.transport.written.clear()

    def say(self, *frames: bytes) -> None:
        """The peer sends this; it arrives only while we read."""
        assert self.transport.is_read_from()
        self.protocol.data_received(b"".join(frames))
        self._settle()

    def pass_time(self, seconds: float) -> None:
        """Timers run when they are due."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, number, call = heapq.heappop(self._timers)
            if number not in self._cancelled:
                call()
                self._settle()
        self.now = end

    def drop(self) -> None:
        """The socket is gone."""
        self.protocol.connection_lost(None)
        self._settle()

    @property
    def is_over(self) -> bool:
        return self.transport.was_closed or self.transport.was_aborted

    # -- asyncio.AbstractEventLoop -------------------------------------------------------------------------------------

    def call_soon(self, call: Callable[[], object]) -> None:
        self._soon.append(call)

    def call_later(self, delay_s: float, call: Callable[[], object]) -> "Timer":
        number = next(self._numbers)
        heapq.heappush(self._timers, (self.now + delay_s, number, call))
        return Timer(self._cancelled, number)

    def _settle(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def _handler(self, stream: ServerStream) -> Handler:
        self.handlers.append(Handler(stream, self._behaviour))
        return self.handlers[-1]

    def _on_lost(self, _: Http2Protocol) -> None:
        self.lost += 1

    def _on_fault(self, event: str, request_id: str, error: BaseException) -> None:
        raise AssertionError(event) from error


class Timer:
    """asyncio.TimerHandle."""

    def __init__(self, cancelled: set[int], number: int) -> None:
        self._cancelled = cancelled
        self._number = number

    def cancel(self) -> None:
        self._cancelled.add(self._number)
