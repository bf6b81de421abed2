"""Bodies most of which is one long string without quotation marks: a picture as a data URL, a pasted text.

Such a string need not be read byte by byte to know where it ends: the next quotation mark is found many times faster.
So the middle of it is cut out, what remains is decoded, and the field that it belongs to is shown in full again. What
is cut out is not checked: a control character in there is for the model server to refuse.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec.structs import force_setattr

Data = bytes | memoryview
Fields = TypeVar("Fields", bound=msgspec.Struct)

LONG_BODY_BYTES: Final = 1 << 16
"""shorter ones are read quickly enough"""
WINDOW_BYTES: Final = 1 << 14
"""is looked through at once"""
MARGIN_BYTES: Final = 64
"""of the string remain at both ends"""
LONGEST_ESCAPE_BYTES: Final = 6
"""a backslash, u and four digits"""
MOST_STEPS: Final = 8
MARK: Final = b"...cut..."
"""stands for what was cut out"""
AFTER_A_STRING: Final = b",:]}"
"""one of these follows where a quotation mark ends a string"""


def decoded(decode: Callable[[Data], Fields], data: Data) -> Fields:
    """What `decode` makes of a body, and raises for it."""
    quickly = decoded_without(decode, data) if len(data) >= LONG_BODY_BYTES else None
    return decode(data) if quickly is None else quickly


def decoded_without(decode: Callable[[Data], Fields], data: Data) -> Fields | None:
    """What `decode` makes of a body with such a string; None for any other body, and for a malformed one."""
    begin, end = cut_of(data)
    if begin == end:
        return None
    remains = b"".join((data[:begin], MARK, data[end:]))
    if remains.count(MARK) != 1:
        return None
    try:
        fields = decode(remains)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return fields if _restored(fields, data, begin, end - begin - len(MARK)) else None


def cut_of(data: Data) -> tuple[int, int]:
    """Where a cut may begin and end: within one string, if the body is JSON. Equal when nowhere."""
    size = len(data)
    nowhere = (0, 0)
    opening, closing = _mark_before(data, size // 2), _mark_after(data, size // 2)
    if opening < 0 or closing == size or closing - opening < size // 2:
        return nowhere
    head = bytes(data[opening + 1 : opening + MARGIN_BYTES]).lstrip()
    if not head or head[0] in AFTER_A_STRING:
        return nowhere
    begin, end = _whole_from(data, opening + MARGIN_BYTES, 1), _whole_from(data, closing - MARGIN_BYTES, -1)
    return (begin, end) if 0 < begin < end else nowhere


def _whole_from(data: Data, at: int, direction: int) -> int:
    """The nearest place, of a few in that direction, which is not within an escape; 0 without one."""
    for step in range(MOST_STEPS):
        place = at + direction * step * LONGEST_ESCAPE_BYTES
        if b"\\" not in bytes(data[place - LONGEST_ESCAPE_BYTES : place]):
            return place
    return 0


def _mark_before(data: Data, at: int) -> int:
    """Place of the last quotation mark before `at`, -1 without one."""
    while at > 0:
        start = max(0, at - WINDOW_BYTES)
        found = bytes(data[start:at]).rfind(b'"')
        if found >= 0:
            return start + found
        at = start
    return -1


def _mark_after(data: Data, at: int) -> int:
    """Place of the first quotation mark from `at` on, the length of the body without one."""
    while at < len(data):
        found = bytes(data[at : at + WINDOW_BYTES]).find(b'"')
        if found >= 0:
            return at + found
        at += WINDOW_BYTES
    return len(data)


def _restored(fields: msgspec.Struct, data: Data, begin: int, missing: int) -> bool:
    """Puts the field with the mark back as it was, `missing` bytes longer; False when it is in no raw field."""
    for name in fields.__struct_fields__:
        raw = getattr(fields, name)
        if type(raw) is not msgspec.Raw:
            continue
        content = bytes(raw)
        place = content.find(MARK)
        if place >= 0:
            start = begin - place
            force_setattr(fields, name, msgspec.Raw(memoryview(data)[start : start + len(content) + missing]))
            return True
    return False
