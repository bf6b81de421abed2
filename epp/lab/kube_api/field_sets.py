"""Sets of fields, as metadata.managedFields has them (fieldsV1).

A field is a path of steps: `f:spec`, `k:{"name":"a"}` for an item of a list of type map, `v:"x"` for one of a set.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.schema import OBJECT_META, Schema

Path = tuple[str, ...]
Fields = frozenset[Path]
_NOBODYS_METADATA = frozenset(
    (
        *("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "generateName"),
        *("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"),
    )
)
_DEFAULT_KEYS = {"protocol": "TCP"}
"""of ports; the published schemas of built-in kinds do not all tell their defaults"""
_ANY = Schema({})


def fields_of(value: Json, schema: Schema | None, *, without: Iterable[str] = ()) -> Fields:
    """Every field of an object that somebody can own, but those below the roots in `without`."""
    found: set[Path] = set()
    for name, part in value.items():
        if name == "metadata":
            own = {key: each for key, each in (part or {}).items() if key not in _NOBODYS_METADATA}
            _collect(own, OBJECT_META, ("f:metadata",), found)
        elif name not in ("apiVersion", "kind", *without):
            _collect(part, (schema.child(name) if schema else None) or _ANY, (f"f:{name}",), found)
    return frozenset(found - {("f:metadata",)})


def _collect(value: Any, schema: Schema, path: Path, found: set[Path]) -> None:
    if isinstance(value, dict) and not schema.atomic_map:
        if not value or schema.additional is not None:
            found.add(path)
        for name, part in value.items():
            _collect(part, schema.child(name) or _ANY, (*path, f"f:{name}"), found)
    elif isinstance(value, list) and schema.list_type in ("map", "set"):
        found.add(path)
        for item in value:
            step = step_of(item, schema)
            found.add((*path, step))
            if schema.list_type == "map":
                _collect(item, schema.items or _ANY, (*path, step), found)
    else:
        found.add(path)


def step_of(item: Any, schema: Schema) -> str:
    """The step to an item of a list of type map or set."""
    if schema.list_type == "set" or not isinstance(item, dict):
        return f"v:{_json(item)}"
    keys = {}
    for key in schema.map_keys:
        below = schema.items.child(key) if schema.items else None
        default = below.raw.get("default") if below else None
        keys[key] = item.get(key, default or _DEFAULT_KEYS.get(key))
    return f"k:{_json({key: each for key, each in keys.items() if each is not None})}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def value_at(value: Any, schema: Schema | None, path: Path) -> Any:
    """What stands at a path; MISSING where there is nothing."""
    here, below = value, schema or _ANY
    for index, step in enumerate(path):
        kind, _, rest = step.partition(":")
        if kind == "f":
            if not isinstance(here, dict) or rest not in here:
                return MISSING
            below = OBJECT_META if index == 0 and rest == "metadata" else below.child(rest) or _ANY
            here = here[rest]
        else:
            if not isinstance(here, list):
                return MISSING
            here = next((each for each in here if step_of(each, below) == step), MISSING)
            if here is MISSING:
                return MISSING
            below = below.items or _ANY
    return here


class _Missing:
    """No value at all, which null is not."""


MISSING = _Missing()


def to_fields_v1(fields: Fields) -> Json:
    """The tree of managedFields."""
    tree: Json = {}
    for path in sorted(fields):
        here = tree
        for step in path:
            here = here.setdefault(step, {})
        here["."] = {}
    return _without_marks(tree)


def _without_marks(tree: Json) -> Json:
    """A field with nothing below it needs no mark of its own."""
    made: Json = {}
    for step, below in tree.items():
        if step == ".":
            if len(tree) > 1:
                made["."] = {}
        else:
            made[step] = _without_marks(below)
    return made


def from_fields_v1(tree: Mapping[str, Any], prefix: Path = ()) -> Fields:
    """The set of a tree."""
    found: set[Path] = set()
    for step, below in tree.items():
        if step == ".":
            found.add(prefix)
        elif not below:
            found.add((*prefix, step))
        else:
            found |= from_fields_v1(below, (*prefix, step))
    return frozenset(found)


def shown(path: Path) -> str:
    """As messages name a field: `.spec.containers[name="a"].image`."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = msgspec.json.decode(rest, type=dict[str, Any])
            text += "[" + ",".join(f"{key}={_json(value)}" for key, value in sorted(keys.items())) + "]"
        else:
            text += f"[={rest}]"
    return text
