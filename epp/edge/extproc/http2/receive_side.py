"""DATA of one connection: what streams may still send, and windows that open again (RFC 9113 5.2 and 6.1)."""

from typing import TYPE_CHECKING, Final

from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.header_frames import HeaderFrames
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.stream import Buffer, Http2Stream
from epp.edge.extproc.http2.wire import (
    DATA,
    END_STREAM,
    FRAME_HEAD_BYTES,
    ConnectionFault,
    ErrorCode,
    StreamFault,
    head_at,
)

if TYPE_CHECKING:
    from epp.edge.extproc.http2.connection import Http2Connection

HALF_WINDOW: Final = wire.LARGEST_WINDOW >> 1


class ReceiveSide:
    """DataSink. The window of the connection is as large as can be: what bounds a peer are those of its streams."""

    def __init__(self, connection: "Http2Connection", header_frames: HeaderFrames, limits: Http2Limits) -> None:
        self.held_bytes = 0
        """on streams that are paused"""
        self._connection = connection
        self._streams = connection.streams
        self._header_frames = header_frames
        self._out = connection.send_side
        self._limits = limits
        self._half_stream_window = limits.stream_window_bytes >> 1
        self._window = wire.LARGEST_WINDOW
        self._stream: Http2Stream | None = None
        """of the DATA frame that is being read; None when nobody wants it"""
        self._ends = False

    def grant(self, stream: Http2Stream) -> None:
        """Opens the stream's window again when half of it is used up, or when a long message needs more.

        A peer that does not take what waits for it on this stream gets no room for more.
        """
        target = max(self._limits.stream_window_bytes, stream.wanted_bytes)
        missing = target - stream.receive_window
        if missing << 1 < target or stream.is_paused or stream.queue or stream.is_remote_closed or stream.is_gone:
            return
        stream.receive_window = target
        self._out.out.append(wire.window_update(stream.id, missing))

    def padding(self, stream_id: int, padding_bytes: int) -> None:
        """See DataSink."""
        self._window -= padding_bytes
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.receive_window -= padding_bytes

    def data_begins(self, stream_id: int, length: int, flags: int) -> None:
        """See DataSink."""
        self._window -= length
        if self._window < HALF_WINDOW:
            self._out.out.append(wire.window_update(0, wire.LARGEST_WINDOW - self._window))
            self._window = wire.LARGEST_WINDOW
        self._ends = ends = bool(flags & END_STREAM)
        self._stream = stream = self._streams.get(stream_id)
        connection = self._connection
        if self._header_frames.open_stream or stream is None or stream.is_remote_closed:
            self._stream = None
            self._not_open(stream_id, length)
            return
        stream.receive_window -= length
        if stream.receive_window < 0:
            connection.end_faulty(stream, ErrorCode.FLOW_CONTROL_ERROR)
        elif stream.body_left is not None and not _fits(stream, length, ends=ends):
            connection.end_faulty(stream, ErrorCode.PROTOCOL_ERROR)
        elif not length:
            if ends:
                self.remote_ended(stream)
            else:
                connection.control.nuisance("empty DATA")
                self.grant(stream)  # its padding counts

    def data_piece(self, payload: Buffer, *, is_last: bool) -> None:
        """See DataSink."""
        stream = self._stream
        if stream is None or stream.is_gone:
            return
        stream.has_data = True
        stream.wanted_bytes -= len(payload)
        if is_last and self._ends:
            stream.is_remote_closed = True  # so that an answer to it needs no reset
            stream.receiver.data(payload)
            self.remote_ended(stream)
            return
        stream.receiver.data(payload)
        if is_last:
            self.grant(stream)

    def data_frame(self, stream_id: int, flags: int, payload: Buffer) -> None:
        """See DataSink. What is usual goes on in here, in one step."""
        length = len(payload)
        stream = self._streams.get(stream_id)
        if (
            stream is None
            or length > stream.receive_window
            or flags & END_STREAM
            or stream.is_remote_closed
            or stream.body_left is not None
            or self._window < HALF_WINDOW
            or self._header_frames.open_stream
        ):
            self.data_begins(stream_id, length, flags)
            self.data_piece(payload, is_last=True)
            return
        self._window -= length
        stream.receive_window -= length
        stream.wanted_bytes -= length
        stream.has_data = True
        self._stream, self._ends = stream, False
        stream.receiver.data(payload)
        if stream.receive_window <= self._half_stream_window or stream.wanted_bytes > 0:
            self.grant(stream)

    def data_run(self, data: bytes, at: int) -> int:
        """See DataSink. A long message comes in many frames of 16 KiB: what follows its first one is taken together."""
        stream = self._stream
        if stream is None or self._ends or stream.is_gone or stream.body_left is not None:
            return at
        wanted, room = stream.wanted_bytes, min(stream.receive_window, self._limits.frame_bytes)
        parts: list[Buffer] = []
        taken, start, end = 0, at, len(data)
        view = memoryview(data)
        while taken < wanted and end - at > FRAME_HEAD_BYTES:
            length, kind, flags, stream_id = head_at(data, at)
            stop = at + FRAME_HEAD_BYTES + length
            is_plain = kind == DATA and not flags and stream_id == stream.id
            if not is_plain or not length or stop > end or taken + length > room:
                break
            head, step = data[at : at + FRAME_HEAD_BYTES], FRAME_HEAD_BYTES + length
            parts.append(view[at + FRAME_HEAD_BYTES : stop])
            taken += length
            at = stop
            while (
                taken < wanted
                and taken + length <= room
                and at + step <= end
                and data[at : at + FRAME_HEAD_BYTES] == head
            ):
                parts.append(view[at + FRAME_HEAD_BYTES : at + step])
                taken += length
                at += step
        if at > start:
            self._window -= taken
            stream.receive_window -= taken
            stream.wanted_bytes -= taken
            stream.receiver.pieces(parts, taken)
            self.grant(stream)
        return at

    def remote_ended(self, stream: Http2Stream) -> None:
        """The peer said END_STREAM."""
        if stream.is_gone:
            return
        stream.is_remote_closed = True
        if stream.body_left:
            self._connection.end_faulty(stream, ErrorCode.PROTOCOL_ERROR)
        else:
            stream.receiver.ended()

    def _not_open(self, stream_id: int, length: int) -> None:
        """DATA on a stream that is idle or closed."""
        connection = self._connection
        if self._header_frames.open_stream or connection.is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {stream_id}")
        if not connection.was_reset_here(stream_id):
            connection.control.nuisance("DATA on a closed stream")
            connection.end(StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream"))
        elif not length:
            connection.control.nuisance("empty DATA on a stream that was reset")


def _fits(stream: Http2Stream, length: int, *, ends: bool) -> bool:
    """Whether the body goes on as its content-length says."""
    stream.body_left = (stream.body_left or 0) - length
    return stream.body_left >= 0 and not (ends and stream.body_left)
