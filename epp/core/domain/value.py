"""Bases that carry the options of a msgspec.Struct, for modules that are compiled.

The compiler (docs/compiled.md) does not pass the keywords of a class statement on, so that
`class Name(msgspec.Struct, frozen=True)` would silently be mutable there. Options are inherited, however. Nor does it
keep the types of fields, by which msgspec decodes: a struct that is decoded belongs into a module that is not compiled.
"""

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Value(msgspec.Struct, frozen=True):
    """A value: compared by its fields, never changed."""


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Leaf(msgspec.Struct, frozen=True, gc=False):
    """A value that is in no reference cycle (numbers, texts, tuples of them): the garbage collector passes it by."""
