"""Header blocks of requests: decoded by the hpack library, checked once (RFC 9113 8.2 and 8.3), remembered.

A server that allows no dynamic table gets blocks that depend on nothing but themselves, and a proxy sends the same
one with every stream. Such blocks are looked up. Those before the proxy has heard of the table size are decoded each
time: the same bytes may mean something else, and what they add to the table or take from it counts for the next ones.
"""

from collections.abc import Iterable
from typing import Final

import hpack

from epp.core.domain.record import Record
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode

MOST_REMEMBERED: Final = 64
LONGEST_REMEMBERED_BYTES: Final = 2_048
MOST_LENGTH_DIGITS: Final = 18
_OF_A_CONNECTION: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_REQUIRED: Final = frozenset((b":method", b":scheme", b":path"))


class RequestHead(Record):
    """What a gRPC server needs of a request's headers; text as Latin-1."""

    def __init__(
        self,
        *,
        method: str,
        path: str,
        content_type: str = "",
        message_encoding: str = "",
        content_length: int | None = None,
        problem: str = "",
    ) -> None:
        self.method: Final = method
        self.path: Final = path
        self.content_type: Final = content_type
        self.message_encoding: Final = message_encoding
        """`grpc-encoding`, empty for none"""
        self.content_length: Final = content_length
        self.problem: Final = problem
        """why the request is malformed, so that its stream has to be reset; empty for a good one"""


class HeaderBlocks:
    """One per connection."""

    def __init__(self, most_header_bytes: int) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=most_header_bytes)
        self._heads: dict[bytes, RequestHead] = {}
        self._has_table = True

    def forbid_table(self) -> None:
        """The peer has heard that there is no dynamic table."""
        self._decoder.max_allowed_table_size = 0
        self._has_table = False

    def request(self, block: bytes) -> RequestHead:
        """The head of a request; raises ConnectionFault when the block cannot be decoded."""
        head = self._heads.get(block)
        if head is not None:
            return head
        head = _checked(self._decode(block))
        if not self._has_table and len(block) <= LONGEST_REMEMBERED_BYTES:
            if len(self._heads) >= MOST_REMEMBERED:
                self._heads.clear()
            self._heads[block] = head
        return head

    def trailers(self, block: bytes) -> str:
        """Why the trailers of a request are malformed, empty where they are not. Raises ConnectionFault."""
        for name, value in self._decode(block):
            if name.startswith(b":"):
                return "pseudo-header in trailers"
            if problem := _name_problem(name) or _field_problem(name, value):
                return problem
        return ""

    def _decode(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        try:
            return self._decoder.decode(block, raw=True)
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, str(error)) from error
        except (hpack.HPACKError, IndexError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, str(error)) from error


def _checked(headers: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    found: dict[bytes, bytes] = {}
    is_regular = False
    problem = ""
    for name, value in headers:
        if name.startswith(b":"):
            problem = problem or _pseudo_problem(name, found, is_regular=is_regular)
        else:
            is_regular = True
            problem = problem or _name_problem(name)
        problem = problem or _field_problem(name, value)
        if name == b"content-length" and found.get(name, value) != value:
            problem = problem or "two values of content-length"
        found[name] = value
    missing = [name for name in _REQUIRED if name not in found]
    if missing and not problem:
        problem = f"without {_text(min(missing))}"
    if not problem and not found[b":path"]:
        problem = "an empty :path"
    return RequestHead(
        method=_text(found.get(b":method", b"")),
        path=_text(found.get(b":path", b"")),
        content_type=_text(found.get(b"content-type", b"")),
        message_encoding=_text(found.get(b"grpc-encoding", b"")),
        content_length=int(found[b"content-length"]) if b"content-length" in found and not problem else None,
        problem=problem,
    )


def _pseudo_problem(name: bytes, found: dict[bytes, bytes], *, is_regular: bool) -> str:
    if is_regular:
        return "pseudo-header after a regular one"
    if name not in _PSEUDO:
        return f"unknown pseudo-header {_text(name)}"
    return f"{_text(name)} twice" if name in found else ""


def _name_problem(name: bytes) -> str:
    if not name or any(byte <= 0x20 or 0x41 <= byte <= 0x5A or byte >= 0x7F for byte in name) or b":" in name:
        return "a header name with forbidden characters"
    return "a header that belongs to a connection" if name in _OF_A_CONNECTION else ""


def _field_problem(name: bytes, value: bytes) -> str:
    if b"\0" in value or b"\r" in value or b"\n" in value or value != value.strip(b" \t"):
        return f"forbidden characters in the value of {_text(name)}"
    if name == b"te" and value.lower() != b"trailers":
        return "te is not trailers"
    if name == b"content-length" and not (value.isdigit() and len(value) <= MOST_LENGTH_DIGITS):
        return "content-length is not a number"
    return ""


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")
