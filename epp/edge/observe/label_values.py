"""Label values that clients choose, kept few and printable.

The first 1,000 distinct values of a label are kept, later ones become `other`. Names that the operator configured
always have a place and do not count. Values are cut to 200 characters; what is not valid UTF-8 becomes `?`.
"""

from collections.abc import Iterable
from typing import Final

MOST_VALUES: Final = 1_000
MOST_CHARACTERS: Final = 200
OTHER: Final = "other"


def printable(raw: str) -> str:
    """`raw` cut to 200 characters, without lone surrogates."""
    return raw[:MOST_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


class BoundedValues:
    """The values of one label, or of several that share their places."""

    def __init__(self, most_values: int = MOST_VALUES) -> None:
        self._most_values = most_values
        self._kept: set[str] = set()
        self._known: frozenset[str] = frozenset()

    def set_known(self, names: Iterable[str]) -> None:
        """From now on exactly these names have a place of their own."""
        self._known = frozenset(map(printable, names))

    def is_known(self, value: str) -> bool:
        """Whether the value is one of the configured names."""
        return value in self._known

    def value(self, raw: str) -> str:
        """The label value that stands for `raw`."""
        if raw in self._kept:
            return raw
        value = printable(raw)
        if value in self._kept or value in self._known:
            return value
        if len(self._kept) >= self._most_values:
            return OTHER
        self._kept.add(value)
        return value
