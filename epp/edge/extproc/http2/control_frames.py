"""Frames that carry no part of a request: SETTINGS, PING, GOAWAY, PRIORITY, WINDOW_UPDATE (RFC 9113 6)."""

from typing import TYPE_CHECKING, Final

from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.header_frames import PRIORITY_BYTES, check_dependency
from epp.edge.extproc.http2.limits import Allowance, Http2Limits
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode, Setting, StreamFault

if TYPE_CHECKING:
    from epp.edge.extproc.http2.connection import Http2Connection

LEAVING: Final = b"leaving?"
"""PING whose answer says that the peer has read that we leave"""
KEEP_ALIVE: Final = b"present?"
STREAMS_PER_NUISANCE: Final = 100
"""a change of their windows is as much work as a frame that brings nothing"""


class ControlFrames:
    """Of one connection. Methods raise ConnectionFault or StreamFault."""

    def __init__(self, connection: "Http2Connection", limits: Http2Limits, now: float) -> None:
        self._connection = connection
        self._send_side = connection.send_side
        self._nuisances = Allowance(limits.nuisances_per_s, limits.nuisance_burst, now)
        self.has_settings = False
        """the peer's first frame has come"""
        self.pings_unanswered = 0
        self._awaits_acknowledgement = True
        self._awaits_farewell = False
        self.handlers = {
            wire.PRIORITY: self._priority,
            wire.SETTINGS: self._settings,
            wire.PUSH_PROMISE: self._push_promise,
            wire.PING: self._ping,
            wire.GOAWAY: self._goaway,
            wire.WINDOW_UPDATE: self._window_update,
        }

    def nuisance(self, what: str, cost: float = 1.0) -> None:
        """The peer sent something that brings nothing; raises ConnectionFault when it does so all the time."""
        if not self._nuisances.take(self._connection.now, cost):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many frames that bring nothing, such as {what}")

    def ping(self, payload: bytes) -> bytes:
        """A PING of ours."""
        self.pings_unanswered += payload == KEEP_ALIVE
        self._awaits_farewell |= payload == LEAVING
        return wire.frame(wire.PING, 0, 0, payload)

    def _priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self.nuisance("PRIORITY")
        if len(payload) != PRIORITY_BYTES:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes long")
        check_dependency(stream_id, payload)

    def _settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & wire.ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgement of SETTINGS with content")
            if not self._awaits_acknowledgement:
                self.nuisance("an acknowledgement of SETTINGS that were not sent")
            self._awaits_acknowledgement = False
            self._connection.settings_acknowledged()
            return
        if len(payload) % 6:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is not a multiple of 6 bytes long")
        if self.has_settings:
            self.nuisance("SETTINGS", 1.0 + len(self._connection.streams) // STREAMS_PER_NUISANCE)
        self.has_settings = True
        self._apply(
            {
                int.from_bytes(payload[at : at + 2], "big"): int.from_bytes(payload[at + 2 : at + 6], "big")
                for at in range(0, len(payload), 6)
            }
        )

    def _apply(self, settings: dict[int, int]) -> None:
        """Before a peer has read that we know its settings it keeps to the former ones: so that leaves first."""
        if settings.get(Setting.ENABLE_PUSH, 0) > 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH {settings[Setting.ENABLE_PUSH]}")
        side = self._send_side
        frame_bytes = settings.get(Setting.MAX_FRAME_SIZE, side.frame_bytes)
        if not wire.DEFAULT_FRAME_BYTES <= frame_bytes <= wire.LARGEST_FRAME_BYTES:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE {frame_bytes}")
        window = settings.get(Setting.INITIAL_WINDOW_SIZE, side.stream_window)
        if window > wire.LARGEST_WINDOW:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2**31 - 1")
        side.out.append(wire.frame(wire.SETTINGS, wire.ACK, 0))
        side.frame_bytes = frame_bytes
        if window != side.stream_window:
            side.change_stream_window(window, self._connection.streams)
            side.send_waiting(self._connection.now)

    def _push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not 8 bytes long")
        if not flags & wire.ACK:
            self.nuisance("PING")
            self._send_side.out.append(wire.frame(wire.PING, wire.ACK, 0, payload))
        elif payload == KEEP_ALIVE and self.pings_unanswered:
            self.pings_unanswered = 0
        elif payload == LEAVING and self._awaits_farewell:
            self._connection.refuse_further()
        else:
            self.nuisance("an answer to a PING that was not sent")

    def _goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        if self._connection.is_closing:
            self.nuisance("GOAWAY")
        self._connection.refuse_further()  # a client that leaves opens nothing more

    def _window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes long")
        side, connection = self._send_side, self._connection
        if side.updates_due > 0:
            side.updates_due -= 1
        else:
            self.nuisance("WINDOW_UPDATE")
        increment = int.from_bytes(payload, "big") & wire.LARGEST_WINDOW
        if not stream_id:
            side.open_window(None, increment, connection.now)
            return
        stream = connection.streams.get(stream_id)
        if stream is not None:
            side.open_window(stream, increment, connection.now)
        elif connection.is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"WINDOW_UPDATE on stream {stream_id}, which is idle")
