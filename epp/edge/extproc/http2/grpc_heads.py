"""Header blocks of gRPC answers, ready to be sent: they use no dynamic table (gRPC's PROTOCOL-HTTP2.md)."""

import string
from typing import Final
from urllib.parse import quote

from epp.edge.extproc.transport import GrpcStatus


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that nobody has to remember (RFC 7541 6.2.2), without Huffman coding."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    """RFC 7541 5.1 and 5.2."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, size = len(text) - 127, bytearray([127])
    while rest >= 128:
        size.append(rest % 128 + 128)
        rest //= 128
    return bytes(size) + bytes([rest]) + text


STATUS_200: Final = b"\x88"
"""index of `:status: 200` in the static table (RFC 7541 appendix A)"""
STATUS_415: Final = b"\x08\x03415"
"""name of index 8, literal value"""
RESPONSE_HEAD: Final = STATUS_200 + literal(b"content-type", b"application/grpc")
TRAILERS_OK: Final = literal(b"grpc-status", b"0")
ACCEPTED_ENCODINGS: Final = literal(b"grpc-accept-encoding", b"identity")
PLAIN_CHARACTERS: Final = " " + string.punctuation.replace("%", "")
"""of `grpc-message`, beside letters and digits"""
LONGEST_DETAIL: Final = 1_000
"""characters of an error's text; it has to fit into a header list"""


def status(code: GrpcStatus, detail: str) -> bytes:
    """Trailers that tell of an error."""
    message = quote(detail[:LONGEST_DETAIL], safe=PLAIN_CHARACTERS, errors="replace")
    return literal(b"grpc-status", str(int(code)).encode()) + literal(b"grpc-message", message.encode())
