"""gRPC over HTTP/2 without gRPC: what belongs to it, messages out of a body, the status of an answer.

A body is a row of messages, each behind one byte that says whether it is compressed and four bytes with its length.
gzip and deflate are inflated, within a bound; a message in another compression stays unread.
Source: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/compression.md.
"""

import zlib
from collections.abc import Callable
from typing import Final

from epp.core.domain.errors import BadRequest, PayloadTooLarge

Data = bytes | memoryview

PREFIX_BYTES: Final = 5
MOST_INFLATED_BYTES: Final = 32 << 20
"""the default of --max-body-bytes: what a body of that size may become"""
GRPC: Final = "application/grpc"
STATUS: Final = "grpc-status"
UNKNOWN_STATUS: Final = 2
HTTP_OF_STATUS: Final = {
    0: 200,
    1: 499,
    UNKNOWN_STATUS: 500,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    11: 400,
    12: 501,
    13: 500,
    14: 503,
    15: 500,
    16: 401,
}
"""the HTTP status that says the same; source: google.rpc.Code"""
_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


class UnknownCompression(ValueError):
    """A compressed message that is neither gzip nor deflate; caught where messages are read."""


def is_grpc(content_type: str) -> bool:
    """Whether Envoy speaks gRPC here: `application/grpc` or `application/grpc+...`, but not grpc-web."""
    return content_type.startswith(GRPC) and content_type[len(GRPC) : len(GRPC) + 1] in ("", "+", ";", " ")


def http_status_of(grpc_status: str) -> int | None:
    """The HTTP status that says the same as `grpc-status`; None where there is none. Unknown numbers are UNKNOWN."""
    if not grpc_status:
        return None
    number = int(grpc_status) if grpc_status.isascii() and grpc_status.isdigit() and len(grpc_status) <= 3 else -1
    return HTTP_OF_STATUS.get(number, HTTP_OF_STATUS[UNKNOWN_STATUS])


def first_message(body: Data) -> Data | None:
    """The first message of a request, which is all of it where the method takes no stream of messages.

    None where it is compressed in a way that is not known here. Raises BadRequest for anything that is no message, and
    PayloadTooLarge for one that grows over MOST_INFLATED_BYTES.
    """
    view = memoryview(body)
    size = int.from_bytes(view[1:PREFIX_BYTES])
    if len(view) < PREFIX_BYTES or view[0] > 1 or size > len(view) - PREFIX_BYTES:
        raise BadRequest(
            "invalid or unsupported gRPC payload",
            hint="the body must begin with a whole gRPC message: one byte, its length in four bytes, the message",
        )
    message = view[PREFIX_BYTES : PREFIX_BYTES + size]
    if not view[0]:
        return message
    try:
        return inflated(message, MOST_INFLATED_BYTES)
    except UnknownCompression:
        return None
    except zlib.error as error:
        raise BadRequest(
            f"invalid or unsupported gRPC payload: {error}", hint="the message cannot be decompressed"
        ) from error


def inflated(message: Data, most_bytes: int) -> bytes:
    """A gzip or deflate message as it was; raises zlib.error, UnknownCompression, or PayloadTooLarge."""
    is_gzip = bytes(message[:2]) == _GZIP_MAGIC
    if not is_gzip and (len(message) < 2 or int.from_bytes(message[:2]) % 31 or message[0] & 0x0F != 8):
        raise UnknownCompression
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    plain = inflater.decompress(message, most_bytes + 1)
    if len(plain) > most_bytes:
        raise PayloadTooLarge(
            f"the request body is larger than {most_bytes} bytes when decompressed", hint="send a smaller prompt"
        )
    if not inflater.eof:
        raise zlib.error("the message ends too early")
    return plain


class MessageReader:
    """Cuts a stream of bytes into messages; `take` gets each as soon as it is whole.

    A message of more than `longest_bytes`, or one that cannot be decompressed, is left out.
    """

    def __init__(self, take: Callable[[Data], None], longest_bytes: int) -> None:
        self._take = take
        self._longest_bytes = longest_bytes
        self._carry = bytearray()
        self._skip_bytes = 0

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self._skip_bytes >= len(data):
            self._skip_bytes -= len(data)
            return
        self._carry += memoryview(data)[self._skip_bytes :]
        self._skip_bytes = 0
        while len(self._carry) >= PREFIX_BYTES:
            end = PREFIX_BYTES + int.from_bytes(self._carry[1:PREFIX_BYTES])
            if end - PREFIX_BYTES > self._longest_bytes:
                self._skip_bytes = max(0, end - len(self._carry))
                del self._carry[:end]
                continue
            if end > len(self._carry):
                return
            self._give(self._carry[0], bytes(self._carry[PREFIX_BYTES:end]))
            del self._carry[:end]

    def _give(self, is_compressed: int, message: bytes) -> None:
        try:
            self._take(inflated(message, self._longest_bytes) if is_compressed else message)
        except (zlib.error, UnknownCompression, PayloadTooLarge):  # an answer is only looked at: it passes all the same
            return
