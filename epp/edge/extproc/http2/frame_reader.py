"""Cuts the bytes of a peer into frames. DATA is handed on as it comes, also in the middle of a frame."""

from typing import Final, Protocol

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.stream import Buffer
from epp.edge.extproc.http2.wire import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_BYTES,
    FRAME_HEAD_BYTES,
    HEADERS,
    PADDED,
    PREFACE,
    ConnectionFault,
    ErrorCode,
    head_at,
)

COPIED_BYTES: Final = 4_096
"""a piece of DATA up to this size is copied out of what was read, a larger one shown"""
SHOWN_SHARE_BITS: Final = 4
"""one that is a smaller part than a 16th of what was read is copied too: a view keeps all of it alive"""
LARGEST_CONTROL_BYTES: Final = DEFAULT_FRAME_BYTES


class DataSink(Protocol):
    """Who takes DATA. Calls may raise ConnectionFault."""

    def padding(self, stream_id: int, padding_bytes: int) -> None:
        """The DATA frame that begins next has so much padding."""

    def data_begins(self, stream_id: int, length: int, flags: int) -> None:
        """The head of a DATA frame, `length` bytes long without its padding."""

    def data_piece(self, payload: Buffer, *, is_last: bool) -> None:
        """A piece of it; an empty frame has none."""

    def data_frame(self, stream_id: int, flags: int, payload: Buffer) -> None:
        """A whole DATA frame that is neither empty nor padded: `data_begins` and `data_piece` in one."""

    def data_run(self, data: bytes, at: int) -> int:
        """After a whole frame: takes as many whole frames of the same stream as it likes; returns where they end."""
        ...


class FrameSink(Protocol):
    """Who takes all other frames. Calls may raise ConnectionFault."""

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """A whole frame; one of an unknown type comes without its payload."""


class FrameReader:
    """One per connection; raises ConnectionFault for what is no preface, and for frames that are too large."""

    def __init__(self, data_sink: DataSink, frame_sink: FrameSink, limits: Http2Limits) -> None:
        self._data_sink = data_sink
        self._frame_sink = frame_sink
        self._limits = limits
        self._always_taken_bytes = min(limits.header_bytes, LARGEST_CONTROL_BYTES)
        """of a known frame other than DATA"""
        self._tail = bytearray()
        """the beginning of a frame, or of the preface"""
        self._wanted_bytes = 0
        """that the tail must have before it is looked at again"""
        self._tails = 0
        self._data_left = 0
        self._skip_left = 0
        """bytes that nobody wants, after the DATA"""
        self.has_preface = False

    @property
    def unfinished(self) -> int:
        """A number for the frame, other than DATA, of which the rest is awaited; 0 when there is none."""
        return self._tails if self._tail else 0

    def feed(self, data: bytes) -> None:
        """The next bytes of the peer."""
        goes_on = False
        if self._tail:
            if len(self._tail) + len(data) < self._wanted_bytes:
                self._tail += data
                return
            data = b"".join((self._tail, data))
            self._tail = bytearray()
            goes_on = True
        if not self.has_preface:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not the preface of HTTP/2")
            if len(data) < len(PREFACE):
                self._keep(data, len(PREFACE))
                return
            self.has_preface = True
            data = data[len(PREFACE) :]
        self._frames(data, goes_on=goes_on)

    def _frames(self, data: bytes, *, goes_on: bool) -> None:
        """`goes_on`: it begins with a frame whose beginning had come before."""
        sink = self._data_sink
        at, end, largest = 0, len(data), self._limits.frame_bytes
        if self._data_left:
            at = self._data_pieces(data, 0)
        if self._skip_left:
            at = self._skip(data, at)
        while end - at >= FRAME_HEAD_BYTES:
            length, kind, flags, stream_id = head_at(data, at)
            if length > largest:
                raise _too_large(kind, length)
            if kind == DATA and not flags & PADDED:
                stop = at + FRAME_HEAD_BYTES + length
                if length and stop <= end:
                    is_copied = length <= COPIED_BYTES or length << SHOWN_SHARE_BITS < end
                    begin = at + FRAME_HEAD_BYTES
                    sink.data_frame(stream_id, flags, data[begin:stop] if is_copied else memoryview(data)[begin:stop])
                    at = sink.data_run(data, stop) if length > COPIED_BYTES and stop < end else stop
                    continue
                sink.data_begins(stream_id, length, flags)
                self._data_left = length
                at += FRAME_HEAD_BYTES
                at = self._data_pieces(data, at)
                continue
            stop = at + FRAME_HEAD_BYTES + length
            if stop <= end and DATA < kind <= CONTINUATION and length <= self._always_taken_bytes:
                self._frame_sink.frame(kind, flags, stream_id, data[at + FRAME_HEAD_BYTES : stop])
                at = stop
                continue
            needed = self._needed(kind, length)
            if end - at < needed:
                self._keep(data[at:], needed, goes_on=goes_on and not at)
                return
            at = self._other(data, at + FRAME_HEAD_BYTES, (kind, flags, stream_id, length))
        if at < end:
            self._keep(data[at:], FRAME_HEAD_BYTES, goes_on=goes_on and not at)

    def _data_pieces(self, data: bytes, at: int) -> int:
        """Hands on what there is of the DATA frame; returns where it ends."""
        stop = min(len(data), at + self._data_left)
        size = stop - at
        if size:
            self._data_left -= size
            is_copied = size <= COPIED_BYTES or size << SHOWN_SHARE_BITS < len(data)
            payload: Buffer = data[at:stop] if is_copied else memoryview(data)[at:stop]
            self._data_sink.data_piece(payload, is_last=not self._data_left)
        return stop

    def _needed(self, kind: int, length: int) -> int:
        """How much of this frame has to be there; raises ConnectionFault when it is too long."""
        if kind == DATA:
            return FRAME_HEAD_BYTES + (length > 0)  # with the length of its padding
        if kind > CONTINUATION:
            return FRAME_HEAD_BYTES
        if kind in (HEADERS, CONTINUATION):
            if length > self._limits.header_bytes:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of {length} bytes")
        elif length > LARGEST_CONTROL_BYTES:
            raise _too_large(kind, length)
        return FRAME_HEAD_BYTES + length

    def _other(self, data: bytes, at: int, head: tuple[int, int, int, int]) -> int:
        """Whatever is not plain DATA; returns where it ends, as far as it is there."""
        kind, flags, stream_id, length = head
        if kind == DATA:
            return self._padded_data(data, at, (flags, stream_id, length))
        if kind > CONTINUATION:
            self._frame_sink.frame(kind, flags, stream_id, b"")
            self._skip_left = length
            return self._skip(data, at)
        stop = at + length
        self._frame_sink.frame(kind, flags, stream_id, data[at:stop])
        return stop

    def _padded_data(self, data: bytes, at: int, head: tuple[int, int, int]) -> int:
        flags, stream_id, length = head
        padding = data[at] + 1 if length else 1
        if padding > length:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than DATA has room for")
        self._data_sink.padding(stream_id, padding)
        self._data_sink.data_begins(stream_id, length - padding, flags)
        self._data_left, self._skip_left = length - padding, padding - 1
        return self._skip(data, self._data_pieces(data, at + 1))

    def _skip(self, data: bytes, at: int) -> int:
        if self._data_left:
            return at
        stop = min(len(data), at + self._skip_left)
        self._skip_left -= stop - at
        return stop

    def _keep(self, tail: bytes, wanted_bytes: int, *, goes_on: bool = False) -> None:
        self._tail = bytearray(tail)
        self._wanted_bytes = wanted_bytes
        self._tails += not goes_on


def _too_large(kind: int, length: int) -> ConnectionFault:
    return ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
