"""What is wrong with a configuration, and what has no effect.

epp.core.domain.errors.PickerError
└── ConfigurationError         every mistake of one file
"""

import difflib
from collections.abc import Iterable
from itertools import takewhile

import msgspec

from epp.core.domain.errors import InvalidInput, PickerError
from epp.core.yaml import Document, Path, field_path

MOST_WORDS = 12
LEAST_LIKENESS = 0.6
BEGINNING_WEIGHT = 0.5


class Mistake(msgspec.Struct, frozen=True):
    """One thing to put right; prints as `file:line: path: problem (suggestion)`."""

    source: str
    line: int | None
    field: str
    problem: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = str(InvalidInput(self.source, self.problem, line=self.line, field=self.field))
        return f"{where} ({self.suggestion})" if self.suggestion else where


class Notice(msgspec.Struct, frozen=True):
    """Something that loads but that the user should know: deprecated, or without effect."""

    source: str
    line: int | None
    field: str
    text: str

    def __str__(self) -> str:
        return str(InvalidInput(self.source, self.text, line=self.line, field=self.field))


class ConfigurationError(PickerError):
    """A configuration that cannot be used; one line per mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


class Findings:
    """Collects what is found in one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.mistakes: list[Mistake] = []
        self.notices: list[Notice] = []

    def mistake(self, path: Path, problem: str, suggestion: str = "") -> None:
        """Something at `path` must be put right."""
        line = self.document.line_of(path)
        self.mistakes.append(Mistake(self.document.source, line, field_path(path), problem, suggestion))

    def notice(self, path: Path, text: str) -> None:
        """Something at `path` is worth knowing."""
        self.notices.append(Notice(self.document.source, self.document.line_of(path), field_path(path), text))

    def raise_mistakes(self) -> None:
        """Raises ConfigurationError when there is any mistake, in the order of the file."""
        if self.mistakes:
            raise ConfigurationError(sorted(self.mistakes, key=lambda mistake: mistake.line or 0))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion: the nearest of the `known` words, or all of them when none is near and they are not many."""
    words = sorted(known)
    near = [candidate for candidate in words if _likeness(word, candidate) >= LEAST_LIKENESS]
    if near:
        return f"did you mean {max(near, key=lambda candidate: _likeness(word, candidate))!r}?"
    return f"known: {', '.join(words)}" if 0 < len(words) <= MOST_WORDS else ""


def _likeness(word: str, candidate: str) -> float:
    """Ratio of common letters, and more for a common beginning: people leave words out rather than begin wrongly."""
    left, right = word.lower(), candidate.lower()
    ratio = difflib.SequenceMatcher(None, left, right).ratio()
    beginning = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    return ratio * (1.0 + BEGINNING_WEIGHT * beginning / max(len(left), 1))
