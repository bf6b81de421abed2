"""A base for the values that a request makes on its way: plain classes, of which the compiler makes C structures.

An attribute of a msgspec.Struct costs a look-up, that of a compiled class one load from memory (docs/compiled.md). What
is decoded, what is configuration, and what is made seldom stays a struct.
"""

from typing import Any, TypeVar

R = TypeVar("R", bound="Record")


class Record:
    """Compared and shown by its attributes. Each is a parameter of `__init__`, has its name, and is `Final`."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return attributes(self) == attributes(other)

    def __hash__(self) -> int:
        return hash(tuple(attributes(self).values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in attributes(self).items())
        return f"{type(self).__name__}({shown})"


def attributes(record: Any) -> dict[str, Any]:
    """Name and value of each attribute, in their order."""
    names = getattr(type(record), "__mypyc_attrs__", None)
    if names is None:
        return dict(vars(record))
    return {name: getattr(record, name) for name in names}  # a compiled class has no __dict__


def replaced(record: R, **changes: Any) -> R:
    """Another one with these attributes changed; raises TypeError for a name that it has not."""
    kind: Any = type(record)
    made: R = kind(**{**attributes(record), **changes})
    return made
