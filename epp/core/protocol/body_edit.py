"""Edits of a request body, a JSON object, that leave every other byte as the client wrote it.

A name that occurs several times is edited everywhere: parsers do not agree on which one counts. What is nested or
inside a text is never touched. The body was read before, so that its syntax is known to be right.
"""

import re
from collections.abc import Iterator
from functools import cache

import msgspec

_encode = msgspec.json.Encoder().encode
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*"|[{}\[\]]', re.DOTALL)
"""a whole string, or a bracket"""
_PLAIN = re.compile(rb"[^\s,\]}]++")
"""a number or a literal"""
_GAP = re.compile(rb"[ \t\r\n]*+")
_LETTER_ESCAPE = b"\\u00"
"""how every escape of an ASCII letter begins"""
_QUOTE, _COMMA, _CLOSING_BRACE = b'",}'
_OPENING = frozenset(b"{[")

Range = tuple[int, int]


def with_text(data: bytes, field: str, text: str, *, is_there: bool) -> bytes:
    """The object with `text` as the value of a top-level field, which is put first where there was none.

    `field` consists of ASCII letters; `is_there`: the field is known to be in the object.
    """
    value = _encode(text)
    members = _members(data, field, is_there=is_there)
    if members:
        return _spliced(data, [(start, end, value) for _, start, end in members])
    inside = _after_gap(data, data.index(b"{") + 1)
    comma = b"" if data[inside] == _CLOSING_BRACE else b","
    return _spliced(data, [(inside, inside, b'"%s":%s%s' % (field.encode(), value, comma))])


def without_field(data: bytes, field: str) -> bytes:
    """The object without a top-level field that it is known to have; `field` consists of ASCII letters."""
    cuts: list[Range] = []
    for start, _, end in _members(data, field, is_there=True):
        after = _after_gap(data, end)
        is_last = data[after] != _COMMA
        cut = (start, end if is_last else _after_gap(data, after + 1))
        if cuts and cuts[-1][1] == start:
            cut = (cuts.pop()[0], cut[1])
        if is_last:
            before = len(data[: cut[0]].rstrip(b" \t\r\n"))
            if data[before - 1] == _COMMA:
                cut = (before - 1, cut[1])
        cuts.append(cut)
    return _spliced(data, [(start, end, b"") for start, end in cuts])


def _members(data: bytes, field: str, *, is_there: bool) -> list[tuple[int, int, int]]:
    """Where top-level members of this name are: begin of the name, begin and end of the value."""
    name = _name(field, has_escapes=_LETTER_ESCAPE in data)
    spelled = {found.start(): found.end() for found in name.finditer(data)}
    if is_there and len(spelled) == 1:
        names: Iterator[int] | dict[int, int] = spelled  # no need to look for what is nested
    else:
        names = _top_level(data, spelled)
    return [(name, spelled[name], _value_end(data, spelled[name])) for name in names]


@cache
def _name(field: str, *, has_escapes: bool) -> re.Pattern[bytes]:
    """Finds `"field":` with the white space around the colon, if need be however the letters are spelled."""
    escaped = "".join(rf"(?:{letter}|\\u(?i:{ord(letter):04x}))" for letter in field)
    return re.compile(rf'"{escaped if has_escapes else field}"\s*+:\s*+'.encode())


def _top_level(data: bytes, names: dict[int, int]) -> Iterator[int]:
    """Those of `names` that are not nested and not inside a text."""
    last = max(names, default=-1)
    depth = 0
    for token in _TOKEN.finditer(data):
        start = token.start()
        if start > last:
            return
        first = data[start]
        if first == _QUOTE:
            if depth == 1 and start in names:
                yield start
        else:
            depth += 1 if first in _OPENING else -1


def _value_end(data: bytes, start: int) -> int:
    plain = _PLAIN.match(data, start)
    if plain is not None and data[start] not in b'"{[':
        return plain.end()
    depth = 0
    for token in _TOKEN.finditer(data, start):
        first = data[token.start()]
        if first != _QUOTE:
            depth += 1 if first in _OPENING else -1
        if not depth:
            return token.end()
    return len(data)


def _after_gap(data: bytes, position: int) -> int:
    gap = _GAP.match(data, position)
    return gap.end() if gap else position


def _spliced(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """`data` with each range replaced; ranges are in order and apart."""
    parts: list[bytes] = []
    position = 0
    for start, end, replacement in edits:
        parts += (data[position:start], replacement)
        position = end
    parts.append(data[position:])
    return b"".join(parts)
