"""Protobuf's wire format without generated code: the numbered fields of one message, read in place.

Only what the picker looks at is decoded; nested messages are read by reading their bytes again. What is read is bounded
by MOST_FIELDS, so that a body of many tiny fields cannot hold up other requests.
Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator

import numpy as np

Data = bytes | memoryview
Value = int | memoryview
"""a varint, or the bytes of a string, a nested message or a packed list"""

MOST_FIELDS = 20_000
"""fields after these are not looked at; packed lists, which every current encoder writes, are one field each"""
LARGEST_FIELD_NUMBER = 2**29 - 1
LONGEST_VARINT_BYTES = 10
UINT32_MASK = 2**32 - 1
_UINT64_MASK = 2**64 - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}


class MalformedProtobuf(ValueError):
    """The bytes are not a protobuf message; caught where a body or an answer is read."""


def fields(message: Data) -> Iterator[tuple[int, Value]]:
    """Number and value of each field in the order of the bytes, without fixed-width numbers.

    Raises MalformedProtobuf where the bytes stop making sense, also for groups, which proto3 does not have.
    """
    view = memoryview(message)
    at, end = 0, len(view)
    for _ in range(MOST_FIELDS):
        if at >= end:
            return
        tag, at = _varint(view, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= LARGEST_FIELD_NUMBER:
            raise MalformedProtobuf(f"{number} is no field number")
        if wire_type == _VARINT:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(view, at)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
        else:
            raise MalformedProtobuf(f"field {number} has wire type {wire_type}")
        if size > end - at:
            raise MalformedProtobuf(f"field {number} is longer than the message")
        if wire_type == _BYTES:
            yield number, view[at : at + size]
        at += size


def uint32_list(parts: list[Value]) -> bytes:
    """A `repeated uint32` as little-endian uint32, from all its occurrences, packed or not."""
    if len(parts) == 1 and isinstance(parts[0], memoryview):
        return _packed_uint32(parts[0])
    return b"".join(
        _packed_uint32(part) if isinstance(part, memoryview) else (part & UINT32_MASK).to_bytes(4, "little")
        for part in parts
    )


def _packed_uint32(packed: memoryview) -> bytes:
    """Varints one after the other, all at once: a loop of Python would take 20 ms for 100,000 tokens."""
    raw = np.frombuffer(packed, dtype=np.uint8)
    if not len(raw):
        return b""
    ends = np.flatnonzero(raw < 0x80)
    if not len(ends) or ends[-1] != len(raw) - 1:
        raise MalformedProtobuf("a packed list ends within a number")
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts + 1
    longest = int(lengths.max())
    if longest > LONGEST_VARINT_BYTES:
        raise MalformedProtobuf("a number of a packed list is too long")
    values = (raw[starts] & 0x7F).astype(np.uint64)
    for place in range(1, longest):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (raw[starts[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return values.astype("<u4").tobytes()


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where the next byte is."""
    value = 0
    for shift in range(0, 7 * LONGEST_VARINT_BYTES, 7):
        if at >= len(view):
            raise MalformedProtobuf("the message ends within a number")
        byte: int = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64_MASK, at
    raise MalformedProtobuf("a number is too long")
