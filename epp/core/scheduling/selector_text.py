"""Label selectors as one line of text: `app=vllm,tier in (gold, silver),!draining`.

Each part, between commas: `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`;
all must hold. Source: the labels documentation of Kubernetes.
"""

import re
from collections.abc import Mapping

import msgspec

_PARTS = re.compile(r",(?![^(]*\))")
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_EXISTS = re.compile(rf"(?P<negated>!?)\s*(?P<key>{_NAME})")
_EQUALS = re.compile(rf"(?P<key>{_NAME})\s*(?P<operator>!=|==?)\s*(?P<value>({_NAME})?)")
_ONE_OF = re.compile(rf"(?P<key>{_NAME})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")


class SelectorPart(msgspec.Struct, frozen=True):
    """`values` None: whether the label is there at all."""

    key: str
    values: frozenset[str] | None
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy it; a label that is not there has none of the values."""
        value = labels.get(self.key)
        return (value is not None and (self.values is None or value in self.values)) == self.wanted


class Selector(msgspec.Struct, frozen=True):
    """Selects where all parts hold."""

    parts: tuple[SelectorPart, ...]

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels are selected."""
        return all(part.holds(labels) for part in self.parts)


def parse_selector(text: str) -> Selector:
    """Raises ValueError with the part that is none; an empty text selects everything."""
    return Selector(tuple(_part(part.strip()) for part in _PARTS.split(text)) if text.strip() else ())


def _part(text: str) -> SelectorPart:
    if found := _ONE_OF.fullmatch(text):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return SelectorPart(found["key"], values, found["operator"] == "in")
    if found := _EQUALS.fullmatch(text):
        return SelectorPart(found["key"], frozenset((found["value"],)), found["operator"] != "!=")
    if found := _EXISTS.fullmatch(text):
        return SelectorPart(found["key"], None, not found["negated"])
    raise ValueError(f"{text!r} is no part of a label selector")
