"""Bodies with long strings in which there are no quotation marks: pictures as data URLs, pasted text.

Such a string need not be read byte by byte to know where it ends: the next quotation mark is found many times faster.
So the middle of it is cut out, what remains is decoded, and the fields that something is missing in are shown in full
again. What is cut out is not checked: a control character in there is for the model server to refuse.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec.structs import force_setattr

Data = bytes | memoryview
Fields = TypeVar("Fields", bound=msgspec.Struct)
Cut = tuple[int, int]
"""where it begins and ends"""

LONG_BODY_BYTES: Final = 1 << 16
"""shorter ones are read quickly enough"""
PROBE_BYTES: Final = 1 << 16
"""one place in so many is looked at; a string that is as long is found, a shorter one perhaps"""
LEAST_CUT_BYTES: Final = 1 << 15
FIRST_WINDOW_BYTES: Final = 1 << 8
LAST_WINDOW_BYTES: Final = 1 << 14
"""is looked through at once"""
MARGIN_BYTES: Final = 64
"""of a string remain at both ends"""
LONGEST_ESCAPE_BYTES: Final = 6
"""a backslash, u and four digits"""
MOST_STEPS: Final = 8
MARK: Final = b"\x7f"
"""begins what stands for something that was cut out; the number of the cut follows. JSON allows it, and nobody writes
it; one byte is looked for many times faster than several"""
DIGITS: Final = 6
AFTER_A_STRING: Final = b",:]}"
"""one of these follows where a quotation mark ends a string"""


def decoded(decode: Callable[[Data], Fields], data: Data) -> Fields:
    """What `decode` makes of a body, and raises for it."""
    quickly = decoded_without(decode, data) if len(data) >= LONG_BODY_BYTES else None
    return decode(data) if quickly is None else quickly


def decoded_without(decode: Callable[[Data], Fields], data: Data) -> Fields | None:
    """What `decode` makes of a body with such strings; None for any other body, and for a malformed one."""
    cuts = cuts_of(data)
    if not cuts:
        return None
    parts: list[Data] = []
    at = 0
    for number, (begin, end) in enumerate(cuts):
        parts += (data[at:begin], _mark(number))
        at = end
    parts.append(data[at:])
    remains = b"".join(parts)
    if _marks_in(remains, len(cuts)) != len(cuts):
        return None
    try:
        fields = decode(remains)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return fields if _restore(fields, data, cuts) else None


def cuts_of(data: Data) -> list[Cut]:
    """What may be left out: each cut lies within one string, if the body is JSON."""
    cuts: list[Cut] = []
    at, size = PROBE_BYTES // 2, len(data)
    while at < size:
        closing = _mark_after(data, at)
        if closing == size:
            break
        opening = _mark_before(data, at)
        cut = _inside(data, opening, closing) if closing - opening > LEAST_CUT_BYTES and opening >= 0 else None
        if cut is not None:
            cuts.append(cut)
        at += PROBE_BYTES * ((closing - at) // PROBE_BYTES + 1)
    return cuts


def _mark(number: int) -> bytes:
    return MARK + str(number).zfill(DIGITS).encode()


def _marks_in(content: bytes, most: int) -> int:
    """How many there are, counted until there are more than `most`; `bytes.count` looks at each byte by itself."""
    count, at = 0, content.find(MARK)
    while at >= 0 and count <= most:
        count += 1
        at = content.find(MARK, at + 1)
    return count


def _inside(data: Data, opening: int, closing: int) -> Cut | None:
    """What may be cut out between two quotation marks without one in between; None when these may be no string."""
    head = bytes(data[opening + 1 : opening + MARGIN_BYTES]).lstrip()
    if not head or head[0] in AFTER_A_STRING:
        return None
    begin, end = _whole_from(data, opening + MARGIN_BYTES, 1), _whole_from(data, closing - MARGIN_BYTES, -1)
    return (begin, end) if begin and end else None


def _whole_from(data: Data, at: int, direction: int) -> int:
    """The nearest place, of a few in that direction, which is not within an escape; 0 without one."""
    for step in range(MOST_STEPS):
        place = at + direction * step * LONGEST_ESCAPE_BYTES
        if b"\\" not in bytes(data[place - LONGEST_ESCAPE_BYTES : place]):
            return place
    return 0


def _mark_before(data: Data, at: int) -> int:
    """Place of the last quotation mark before `at`, -1 without one."""
    window = FIRST_WINDOW_BYTES
    while at > 0:
        start = max(0, at - window)
        found = bytes(data[start:at]).rfind(b'"')
        if found >= 0:
            return start + found
        at = start
        window = min(window * 4, LAST_WINDOW_BYTES)
    return -1


def _mark_after(data: Data, at: int) -> int:
    """Place of the first quotation mark from `at` on, the length of the body without one."""
    window = FIRST_WINDOW_BYTES
    while at < len(data):
        found = bytes(data[at : at + window]).find(b'"')
        if found >= 0:
            return at + found
        at += window
        window = min(window * 4, LAST_WINDOW_BYTES)
    return len(data)


def _restore(fields: msgspec.Struct, data: Data, cuts: list[Cut]) -> bool:
    """Puts the fields with marks back as they were; False when some mark is in no raw field."""
    restored = 0
    for name in fields.__struct_fields__:
        raw = getattr(fields, name)
        if type(raw) is not msgspec.Raw:
            continue
        content = bytes(raw)
        count = _marks_in(content, len(cuts))
        if count:
            place = content.index(MARK)
            first = int(content[place + len(MARK) : place + len(MARK) + DIGITS])
            missing = sum([end - begin for begin, end in cuts[first : first + count]]) - count * (len(MARK) + DIGITS)
            start = cuts[first][0] - place
            force_setattr(fields, name, msgspec.Raw(memoryview(data)[start : start + len(content) + missing]))
            restored += count
    return restored == len(cuts)
