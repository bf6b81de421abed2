"""Frames of a client: built with hyperframe and hpack where they keep the rules, raw bytes where they break them."""

from collections.abc import Iterable, Mapping

import hpack
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from epp.edge.extproc.transport import PROCESS

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS, PADDED, PRIORITIZED, ACK = 0x1, 0x4, 0x8, 0x20, 0x1
Fields = tuple[tuple[str, str], ...]
GRPC: Fields = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", PROCESS),
    (":authority", "picker"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)


def raw(kind: int, flags: int, stream_id: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    """Any frame; `length` where it is not to be that of the payload."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big") + payload


def block(fields: Iterable[tuple[str, str | bytes]] = GRPC) -> bytes:
    """A header block that depends on no other, with the table size that the server asks for."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode(list(fields)))


def bare_block(fields: Iterable[tuple[str, str]] = GRPC) -> bytes:
    """A header block that has nothing to do with any table: literals, not to be added."""
    strings = [(name.encode(), value.encode()) for name, value in fields]
    return b"".join(b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in strings)


def changed(**values: str | None) -> Fields:
    """The fields of a gRPC request with others in their places, or without; `_` stands for `:` and `-`."""
    named = {(":" + name[1:] if name[0] == "_" else name).replace("_", "-"): value for name, value in values.items()}
    kept = tuple((name, value) for name, value in GRPC if name not in named)
    new = tuple((name, value) for name, value in named.items() if value is not None)
    return tuple(sorted((*kept, *new), key=lambda field: not field[0].startswith(":")))


def headers(stream_id: int, fields: Iterable[tuple[str, str | bytes]] = GRPC, *, end: bool = False) -> bytes:
    """A whole header block in one frame."""
    flags = ["END_HEADERS", *(["END_STREAM"] if end else [])]
    return _bytes(HeadersFrame(stream_id, block(fields), flags=flags))


def begun(stream_id: int, part: bytes, *, end: bool = False) -> bytes:
    """HEADERS that CONTINUATION is to follow."""
    return _bytes(HeadersFrame(stream_id, part, flags=["END_STREAM"] if end else []))


def continuation(stream_id: int, part: bytes, *, last: bool = True) -> bytes:
    """CONTINUATION."""
    return _bytes(ContinuationFrame(stream_id, part, flags=["END_HEADERS"] if last else []))


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    """DATA without padding."""
    return _bytes(DataFrame(stream_id, payload, flags=["END_STREAM"] if end else []))


def padded(stream_id: int, payload: bytes, padding: int, *, end: bool = False) -> bytes:
    """DATA with so many bytes of padding."""
    flags = ["PADDED", *(["END_STREAM"] if end else [])]
    return _bytes(DataFrame(stream_id, payload, pad_length=padding, flags=flags))


def message(content: bytes, *, compressed: int = 0) -> bytes:
    """A gRPC message with its head."""
    return bytes([compressed]) + len(content).to_bytes(4, "big") + content


def settings(values: Mapping[int, int] | None = None) -> bytes:
    """SETTINGS by number of the setting."""
    return _bytes(SettingsFrame(0, settings=dict(values or {})))


SETTINGS_ACK = SettingsFrame(0, flags=["ACK"]).serialize()
INITIAL_WINDOW_SIZE = SettingsFrame.INITIAL_WINDOW_SIZE
MAX_FRAME_SIZE = SettingsFrame.MAX_FRAME_SIZE
ENABLE_PUSH = SettingsFrame.ENABLE_PUSH


def ping(payload: bytes = b"12345678", *, ack: bool = False) -> bytes:
    """PING."""
    return _bytes(PingFrame(0, payload, flags=["ACK"] if ack else []))


def goaway(last_stream_id: int = 0, code: int = 0) -> bytes:
    """GOAWAY."""
    return _bytes(GoAwayFrame(0, last_stream_id, code))


def priority(stream_id: int, depends_on: int = 0) -> bytes:
    """PRIORITY."""
    return _bytes(PriorityFrame(stream_id, depends_on, 16))


def rst(stream_id: int, code: int = 8) -> bytes:
    """RST_STREAM, CANCEL unless told."""
    return _bytes(RstStreamFrame(stream_id, code))


def window_update(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return _bytes(WindowUpdateFrame(stream_id, increment))


def _bytes(frame: Frame) -> bytes:
    return bytes(frame.serialize())
