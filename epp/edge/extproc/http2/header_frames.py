"""HEADERS and CONTINUATION: puts header blocks together (RFC 9113 6.2, 6.10). Padding and priority are taken off."""

from typing import Final

from epp.core.domain.record import Record
from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode, StreamFault

PRIORITY_BYTES: Final = 5


class HeaderBlock(Record):
    """A whole header block."""

    def __init__(self, stream_id: int, encoded: bytes, ends_stream: bool, faulty_priority: bool = False) -> None:
        self.stream_id: Final = stream_id
        self.encoded: Final = encoded
        self.ends_stream: Final = ends_stream
        self.faulty_priority: Final = faulty_priority
        """the stream is to depend on itself"""


class HeaderFrames:
    """`open_stream` is that of a block that goes on in the next frame, 0 when there is none."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.open_stream = 0
        self._parts: list[bytes] = []
        self._ends_stream = False
        self._faulty_priority = False

    def headers(self, flags: int, stream_id: int, payload: bytes) -> HeaderBlock | None:
        """A HEADERS frame; None when CONTINUATION is to follow. Raises ConnectionFault."""
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        ends = bool(flags & wire.END_STREAM)
        faulty = False
        if flags & (wire.PADDED | wire.HAS_PRIORITY):
            payload, faulty = _bare(flags, stream_id, payload)
        if flags & wire.END_HEADERS:
            return HeaderBlock(stream_id, payload, ends, faulty)
        self.open_stream, self._ends_stream, self._faulty_priority = stream_id, ends, faulty
        self._parts = [payload]
        return None

    def continuation(self, flags: int, stream_id: int, payload: bytes) -> HeaderBlock | None:
        """A CONTINUATION frame; None when another is to follow. Raises ConnectionFault."""
        if not stream_id or stream_id != self.open_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id}")
        self._parts.append(payload)
        if sum(map(len, self._parts)) > self._most_bytes or len(self._parts) > MOST_PARTS:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too large")
        if not flags & wire.END_HEADERS:
            return None
        whole = HeaderBlock(stream_id, b"".join(self._parts), self._ends_stream, self._faulty_priority)
        self.open_stream, self._parts = 0, []
        return whole


MOST_PARTS: Final = 64
"""frames of one block"""


def check_dependency(stream_id: int, priority: bytes) -> None:
    """Raises StreamFault when the stream is to depend on itself."""
    if _depends_on(priority) == stream_id:
        raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")


def _bare(flags: int, stream_id: int, payload: bytes) -> tuple[bytes, bool]:
    start, stop = 0, len(payload)
    faulty = False
    if flags & wire.PADDED:
        if not payload:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without the length of its padding")
        start, stop = 1, stop - payload[0]
    if flags & wire.HAS_PRIORITY:
        if len(payload) - start < PRIORITY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without the whole of its priority")
        faulty = _depends_on(payload[start:]) == stream_id
        start += PRIORITY_BYTES
    if start > stop:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than HEADERS has room for")
    return payload[start:stop], faulty


def _depends_on(priority: bytes) -> int:
    return int.from_bytes(priority[:4], "big") & wire.LAST_STREAM_ID
