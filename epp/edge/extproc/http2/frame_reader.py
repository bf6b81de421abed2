"""Cuts the bytes of a peer into frames. DATA is handed on as it comes, also in the middle of a frame."""

from struct import unpack_from
from typing import Protocol

from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.stream import Buffer
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode

HEAD_BYTES = wire.FRAME_HEAD_BYTES
COPIED_BYTES = 4_096
"""a piece of DATA up to this size is copied out of what was read, a larger one shown"""
LARGEST_CONTROL_BYTES = wire.DEFAULT_FRAME_BYTES


class FrameSink(Protocol):
    """Who takes the frames. Calls may raise ConnectionFault."""

    def data_begins(self, stream_id: int, length: int, flags: int) -> None:
        """The head of a DATA frame without padding, `length` bytes long."""

    def data_piece(self, payload: Buffer, *, is_last: bool) -> None:
        """A piece of it; an empty frame has none."""

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any other frame, whole; also DATA with padding."""


class FrameReader:
    """One per connection; raises ConnectionFault for what is no preface, and for frames that are too large."""

    def __init__(self, sink: FrameSink, limits: Http2Limits) -> None:
        self._sink = sink
        self._limits = limits
        self._tail = b""
        """the beginning of a frame, or of the preface"""
        self._data_left = 0
        self.has_preface = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the peer."""
        if self._tail:
            data = self._tail + data
            self._tail = b""
        if not self.has_preface:
            if not wire.PREFACE.startswith(data[: len(wire.PREFACE)]):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not the preface of HTTP/2")
            if len(data) < len(wire.PREFACE):
                self._tail = data
                return
            self.has_preface = True
            data = data[len(wire.PREFACE) :]
        self._frames(data)

    def _frames(self, data: bytes) -> None:
        sink = self._sink
        at, end = 0, len(data)
        if self._data_left:
            at = self._data_pieces(data, 0)
        while end - at >= HEAD_BYTES:
            high, low, kind, flags, stream_id = unpack_from(">HBBBI", data, at)
            length = high << 8 | low
            stream_id &= wire.LAST_STREAM_ID
            if kind == wire.DATA and not flags & wire.PADDED:
                if length > self._limits.frame_bytes:
                    raise _too_large(kind, length)
                sink.data_begins(stream_id, length, flags)
                self._data_left = length
                at += HEAD_BYTES
                if length:
                    at = self._data_pieces(data, at)
                continue
            self._check_size(kind, length)
            stop = at + HEAD_BYTES + length
            if stop > end:
                break
            sink.frame(kind, flags, stream_id, data[at + HEAD_BYTES : stop])
            at = stop
        self._tail = data[at:]

    def _data_pieces(self, data: bytes, at: int) -> int:
        """Hands on what there is of the DATA frame; returns where it ends."""
        stop = min(len(data), at + self._data_left)
        if stop > at:
            self._data_left -= stop - at
            payload: Buffer = data[at:stop] if stop - at <= COPIED_BYTES else memoryview(data)[at:stop]
            self._sink.data_piece(payload, is_last=not self._data_left)
        return stop

    def _check_size(self, kind: int, length: int) -> None:
        if length > self._limits.frame_bytes:
            raise _too_large(kind, length)
        if kind in (wire.HEADERS, wire.CONTINUATION):
            if length > self._limits.header_bytes:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of {length} bytes")
        elif kind != wire.DATA and length > LARGEST_CONTROL_BYTES:
            raise _too_large(kind, length)


def _too_large(kind: int, length: int) -> ConnectionFault:
    return ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
