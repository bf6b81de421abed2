"""Puts the client's model name into a response that a rewritten model gives, while it passes in pieces.

The value of `model` is replaced, whatever it is: a server may name itself otherwise than it was asked for. Nothing
else is touched: no text, nothing nested, but `response.model` and `message.model` of an event (OpenAI's responses,
Anthropic's message_start). Nothing is held back: a piece goes on at once, at most without some bytes of the old name,
and what is remembered between pieces is a position and the beginning of one field name. The first model of an object is
all that is looked for; what follows it passes unread.
"""

import re
from enum import Enum
from typing import Protocol

import msgspec

MOST_NAME_BYTES = 64
"""of a field name are remembered; none of those looked for is longer, even with every letter escaped"""
MODEL = "model"
EVENT_PARENTS = frozenset(("response", "message"))

_PLAIN_MEMBERS = re.compile(
    rb'(?:[ \t\r\n]*+"(?!model")[^"\\]*+"[ \t\r\n]*+:[ \t\r\n]*+(?:"[^"\\]*+"|[-+.\w]++)[ \t\r\n]*+,)+'
)
"""whole members with other names and plain values: skipped at once, which halves the time an event takes"""
_IN_OBJECT = re.compile(rb'["{}\[\],]')
_NESTED = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'["\\]')
_NOT_A_GAP = re.compile(rb"[^ \t\r\n]")
_LINE_END = re.compile(rb"[\r\n]")
_QUOTE, _COMMA, _OPENING_BRACE, _OPENING_BRACKET = b'",{['
_CARRIAGE_RETURN, _NEWLINE = b"\r\n"
_DATA = b"data:"

_decode_text = msgspec.json.Decoder(str).decode


class ModelRenamer(Protocol):
    """Takes a body piece by piece."""

    def feed(self, data: bytes) -> bytes:
        """What goes on in place of `data`; the very same object when nothing is changed."""
        ...


class JsonRenamer:
    """One JSON object."""

    def __init__(self, model: str) -> None:
        self._object = _ObjectScan(model, frozenset())

    def feed(self, data: bytes) -> bytes:
        """See ModelRenamer."""
        if self._object.is_done:
            return data
        piece = _Piece(data, is_dropping=self._object.is_dropping)
        self._object.scan(piece, 0, len(data))
        return piece.result()


class EventStreamRenamer:
    """Server-sent events: the data lines of an event are one JSON object."""

    def __init__(self, model: str) -> None:
        self._object = _ObjectScan(model, EVENT_PARENTS)
        self._begin: bytes | None = b""
        """what was seen of a line that may become a data line; None within the line"""
        self._is_data = False
        self._after_return = False

    def feed(self, data: bytes) -> bytes:
        """See ModelRenamer."""
        piece = _Piece(data, is_dropping=self._object.is_dropping)
        position = 0
        while position < len(data):
            if self._after_return and data[position] == _NEWLINE:
                position += 1
            self._after_return = False
            found = _LINE_END.search(data, position)
            end = found.start() if found else len(data)
            self._line(piece, position, end)
            if found is None:
                break
            self._line_end(piece, end)
            self._after_return = data[end] == _CARRIAGE_RETURN
            position = end + 1
        return piece.result()

    def _line(self, piece: "_Piece", position: int, end: int) -> None:
        """A piece of one line."""
        if self._begin is not None:
            missing = len(_DATA) - len(self._begin)
            self._begin += piece.data[position : min(end, position + missing)]
            if len(self._begin) < len(_DATA):
                return
            self._is_data = self._begin == _DATA
            self._begin = None
            position += missing
        if self._is_data:
            self._object.scan(piece, position, end)

    def _line_end(self, piece: "_Piece", position: int) -> None:
        self._object.line_ends(piece, position)
        if self._begin == b"":  # an empty line ends the event
            self._object.begin()
        self._begin = b""
        self._is_data = False


class _Piece:
    """One piece of the body with the changes that are made to it, from left to right."""

    __slots__ = ("_kept_from", "_parts", "data")

    def __init__(self, data: bytes, *, is_dropping: bool) -> None:
        self.data = data
        self._parts: list[bytes] = []
        self._kept_from = len(data) if is_dropping else 0

    def replace(self, position: int, text: bytes) -> None:
        """From `position` on `text` takes the place of the data, until `resume`."""
        self._parts += (self.data[self._kept_from : position], text)
        self._kept_from = len(self.data)

    def resume(self, position: int) -> None:
        """From `position` on the data is kept again."""
        self._kept_from = position

    def result(self) -> bytes:
        """The changed piece."""
        if not self._parts and not self._kept_from:
            return self.data
        self._parts.append(self.data[self._kept_from :])
        return b"".join(self._parts)


class _Text(Enum):
    """The string that the scan is inside of."""

    NONE = 0
    NAME = 1
    """of a field"""
    VALUE = 2
    MODEL = 3
    """the value that is dropped"""


class _ObjectScan:
    """Position within one JSON object. Whatever is no JSON object passes as it is."""

    def __init__(self, model: str, parents: frozenset[str]) -> None:
        self._replacement = msgspec.json.encode(model)
        self._parents = parents
        self.begin()

    def begin(self) -> None:
        """The next byte begins an object."""
        self.is_done = False
        self._depth = 0
        self._watched = 1
        """depth of the object whose names are looked at: 1, or 2 inside a parent"""
        self._text = _Text.NONE
        self._is_escaped = False
        self._expects_name = False
        self._name = b""
        """raw, of the field whose value comes next"""

    @property
    def is_dropping(self) -> bool:
        """Whether the old model name is being left out."""
        return self._text is _Text.MODEL

    def scan(self, piece: _Piece, position: int, end: int) -> None:
        """Reads on from `position` to `end` of the piece."""
        while position < end and not self.is_done:
            if self._text is _Text.NONE:
                position = self._between_texts(piece, position, end)
            else:
                position = self._in_text(piece, position, end)

    def line_ends(self, piece: _Piece, position: int) -> None:
        """No text goes on in the next line: it was no JSON."""
        if self.is_dropping:
            self._model_ends(piece, position)

    def _between_texts(self, piece: _Piece, position: int, end: int) -> int:
        if not self._depth:
            return self._before_object(piece.data, position, end)
        at_names = self._depth == self._watched
        if at_names and self._expects_name:
            skipped = _PLAIN_MEMBERS.match(piece.data, position, end)
            position = skipped.end() if skipped else position
        found = (_IN_OBJECT if at_names else _NESTED).search(piece.data, position, end)
        if found is None:
            return end
        position = found.start()
        mark = piece.data[position]
        if mark == _QUOTE:
            self._text_begins(piece, position, at_names=at_names)
        elif mark == _COMMA:
            self._expects_name = True
            self._name = b""
        elif mark in (_OPENING_BRACE, _OPENING_BRACKET):
            self._opens(at_names=at_names, is_object=mark == _OPENING_BRACE)
        else:
            self._closes()
        return position + 1

    def _before_object(self, data: bytes, position: int, end: int) -> int:
        found = _NOT_A_GAP.search(data, position, end)
        if found is None:
            return end
        if data[found.start()] != _OPENING_BRACE:
            self.is_done = True
        self._depth = 1
        self._expects_name = True
        return found.end()

    def _opens(self, *, at_names: bool, is_object: bool) -> None:
        self._depth += 1
        if at_names and is_object and self._watched == 1 and self._parents and _spells(self._name, self._parents):
            self._watched = 2
            self._expects_name = True

    def _closes(self) -> None:
        self._depth -= 1
        if self._depth < self._watched:
            self._watched = 1
            self._expects_name = False
        self.is_done = not self._depth

    def _text_begins(self, piece: _Piece, position: int, *, at_names: bool) -> None:
        if at_names and self._expects_name:
            self._text = _Text.NAME
            self._name = b""
        elif at_names and _spells(self._name, (MODEL,)):
            self._text = _Text.MODEL
            piece.replace(position, self._replacement)
        else:
            self._text = _Text.VALUE

    def _in_text(self, piece: _Piece, position: int, end: int) -> int:
        begin = position
        position += self._is_escaped
        self._is_escaped = False
        is_whole = False
        while position < end:
            found = _IN_TEXT.search(piece.data, position, end)
            position = found.start() if found else end
            if found is None:
                break
            if piece.data[position] == _QUOTE:
                is_whole = True
                break
            self._is_escaped = position + 1 == end
            position = min(position + 2, end)
        if self._text is _Text.NAME and len(self._name) < MOST_NAME_BYTES:
            self._name += piece.data[begin : min(position, begin + MOST_NAME_BYTES)]
        if not is_whole:
            return position
        self._text_ends(piece, position + 1)
        return position + 1

    def _text_ends(self, piece: _Piece, position: int) -> None:
        if self._text is _Text.MODEL:
            self._model_ends(piece, position)
        elif self._text is _Text.NAME:
            self._expects_name = False
        self._text = _Text.NONE

    def _model_ends(self, piece: _Piece, position: int) -> None:
        piece.resume(position)
        self._text = _Text.NONE
        self.is_done = True


def _spells(raw: bytes, names: frozenset[str] | tuple[str, ...]) -> bool:
    """Whether the inside of a JSON string is one of `names`."""
    if b"\\" not in raw:
        return raw.decode("latin-1") in names
    try:
        return _decode_text(b'"%s"' % raw) in names
    except (msgspec.DecodeError, UnicodeDecodeError):  # cut off, or no text at all
        return False
