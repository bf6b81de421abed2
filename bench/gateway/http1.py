"""HTTP/1.1 messages as the benchmark's pods and load generator read them: where heads and bodies end, nothing kept.

Sans-I/O, for both sides of a connection. Bodies have a `content-length`, are chunked, or are not there (RFC 9112,
section 6); a body that only the end of the connection ends is not understood.
"""

from collections.abc import Callable

MOST_HEAD_BYTES = 65_536
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"


class HttpError(Exception):
    """The peer does not speak HTTP/1.1 as the benchmark does."""


class MessageReader:
    """Reads message after message from pieces cut anywhere.

    `on_head` gets each head (bytes up to its empty line, which is left out) and `on_end` is told when its body is over.
    """

    def __init__(self, on_head: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self._on_head = on_head
        self._on_end = on_end
        self._held = b""
        """the beginning of a head or of a line that is not whole yet"""
        self._left = 0
        """bytes of the body, or of the chunk with its line end, that are still to come"""
        self.body_bytes = 0
        """of the last message whose head has been read, as far as it has been announced"""
        self._is_chunked = False
        self._in_trailers = False

    @property
    def is_between_messages(self) -> bool:
        """Whether the connection may end here without cutting anything."""
        return not (self._left or self._is_chunked or self._held)

    def feed(self, data: bytes) -> None:
        """The next bytes of the connection; raises HttpError, after which nothing more may be fed."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                if not self._left and not self._is_chunked:
                    self._on_end()
            elif self._is_chunked:
                at = self._read_line(data, at)
            else:
                at = self._read_head(data, at)

    def _read_head(self, data: bytes, at: int) -> int:
        """Where the body begins; the end of `data` when the head is not whole."""
        held = len(self._held)
        text = self._held + data[at:] if held or at else data
        end = text.find(_HEAD_END)
        if end < 0:
            if len(text) > MOST_HEAD_BYTES:
                raise HttpError(f"a head has more than {MOST_HEAD_BYTES} bytes")
            self._held = text
            return len(data)
        self._held = b""
        head = text[:end]
        self._left, self._is_chunked = framing(head)
        self.body_bytes = self._left
        self._on_head(head)
        if not (self._left or self._is_chunked):
            self._on_end()
        return at + end + len(_HEAD_END) - held

    def _read_line(self, data: bytes, at: int) -> int:
        """Reads the line that says how long a chunk is, or one of the trailers; where what follows it begins."""
        end = data.find(_LINE_END, at)
        # Its line end may be cut in two.
        if self._held.endswith(b"\r") and data[at : at + 1] == b"\n":
            line, after = self._held[:-1], at + 1
        elif end < 0:
            self._held += data[at:]
            if len(self._held) > MOST_HEAD_BYTES:
                raise HttpError(f"a line has more than {MOST_HEAD_BYTES} bytes")
            return len(data)
        else:
            line, after = self._held + data[at:end], end + len(_LINE_END)
        self._held = b""
        if self._in_trailers:
            if not line:
                self._in_trailers = self._is_chunked = False
                self._on_end()
            return after
        size = _chunk_bytes(line)
        if size:
            self._left = size + len(_LINE_END)
            self.body_bytes += size
        else:
            self._in_trailers = True
        return after


def framing(head: bytes) -> tuple[int, bool]:
    """Bytes of the body that follows this head, and whether it is chunked instead; raises HttpError."""
    lowered = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lowered:
        return 0, True
    length = header(lowered, b"content-length")
    if length and not length.isdigit():
        raise HttpError(f"content-length is {length!r}")
    return int(length or 0), False


def header(lowered_head: bytes, name: bytes) -> bytes:
    """Value of the first header of that name (lower case, as the whole head has to be); empty when there is none."""
    found = lowered_head.find(b"\r\n" + name + b":")
    if found < 0:
        return b""
    begin = found + len(name) + 3
    end = lowered_head.find(_LINE_END, begin)
    return lowered_head[begin : end if end >= 0 else len(lowered_head)].strip()


def status_of(head: bytes) -> int:
    """Status of an answer's head; raises HttpError."""
    code = head[9:12]
    if not head.startswith(b"HTTP/1.1 ") or not code.isdigit():
        raise HttpError(f"an answer begins with {head[:40]!r}")
    return int(code)


def _chunk_bytes(line: bytes) -> int:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        raise HttpError(f"a chunk's size is {line[:40]!r}") from None
