"""Writes protobuf's wire format: fields that have a length.

Source: protobuf.dev/programming-guides/encoding.
"""

_ONE_BYTE = [bytes([number]) for number in range(128)]


def varint(number: int) -> bytes:
    """A number of at least 0, seven bits a byte, the lowest first."""
    if number < 128:
        return _ONE_BYTE[number]
    parts = bytearray()
    while number >= 128:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def field(tag: bytes, payload: bytes) -> bytes:
    """A whole field; `tag` is number << 3 | 2."""
    return tag + varint(len(payload)) + payload


def head_of(tag: bytes, size: int) -> bytes:
    """What stands before a payload of `size` bytes."""
    return tag + varint(size)
