"""Objects as a server understands them: unknown fields are cut, defaults set, what cannot be decoded is refused."""

from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.schema import Schema

_HEAD = ("apiVersion", "kind", "metadata")
_JSON_TYPES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_GO_TYPES = {
    "string": "string",
    "integer": "int64",
    "number": "float64",
    "boolean": "bool",
    "array": "[]",
    "object": "map",
}


def pruned(value: Any, schema: Schema, path: str, unknown: list[str]) -> Any:
    """The value without fields that the schema does not have; they are added to `unknown`, in a server's words."""
    if isinstance(value, dict):
        kept: Json = {}
        for name, part in value.items():
            below = schema.child(name)
            if below is not None:
                kept[name] = pruned(part, below, f"{path}.{name}", unknown)
            elif schema.preserves_unknown or schema.int_or_string or (schema.embedded and name in _HEAD):
                kept[name] = part
            else:
                unknown.append(f'unknown field "{f"{path}.{name}".lstrip(".")}"')
        return kept
    if isinstance(value, list) and schema.items is not None:
        return [pruned(each, schema.items, f"{path}[{index}]", unknown) for index, each in enumerate(value)]
    return value


def without_nulls(value: Any, schema: Schema | None = None) -> Any:
    """Null and nothing are the same to a built-in kind; in a list it is an empty item."""
    if isinstance(value, dict):
        below = schema.child if schema is not None else _unknown
        return {name: without_nulls(part, below(name)) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        items = schema.items if schema is not None else None
        empty: Any = "" if items is not None and items.type == "string" else {}
        return [empty if each is None else without_nulls(each, items) for each in value]
    return value


def _unknown(_: str) -> None:
    """Without a schema nothing has one."""


def with_defaults(value: Any, schema: Schema) -> Any:
    """The value with the defaults of a structural schema, also inside of defaults."""
    if isinstance(value, dict):
        found = {}
        for name, part in value.items():
            below = schema.child(name)
            null = part is None and below is not None and not below.nullable and "default" in below.raw
            if not null:
                found[name] = with_defaults(part, below) if below is not None else part
        for name, below in schema.properties.items():
            if name not in found and "default" in below.raw:
                found[name] = with_defaults(_copied(below.raw["default"]), below)
        return found
    if isinstance(value, list) and schema.items is not None:
        return [with_defaults(each, schema.items) for each in value]
    return value


def _copied(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def undecodable(value: Any, schema: Schema, path: str) -> str:
    """Why a built-in kind cannot hold this, as Go's decoder says it; "" when it can."""
    if value is None:
        return ""
    if problem := _wrong_type(value, schema, path):
        return problem
    if isinstance(value, dict):
        for name, part in value.items():
            below = schema.child(name)
            if below is not None and (problem := undecodable(part, below, f"{path}.{name}")):
                return problem
    if isinstance(value, list) and schema.items is not None:
        for each in value:
            if problem := undecodable(each, schema.items, path):
                return problem
    return ""


def _wrong_type(value: Any, schema: Schema, path: str) -> str:
    if schema.int_or_string:
        fits = isinstance(value, str | int | float) and not isinstance(value, bool)
        wanted = "intstr.IntOrString"
    else:
        fits = is_of_type(value, schema.type)
        wanted = _GO_TYPES.get(schema.type, schema.type)
    if fits:
        return ""
    return f"json: cannot unmarshal {_JSON_TYPES[type(value)]} into Go struct field {path} of type {wanted}"


def is_of_type(value: Any, wanted: str) -> bool:
    """Whether a JSON value is of a type of OpenAPI; "" is any."""
    match wanted:
        case "":
            return True
        case "integer":
            return (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case _:
            return isinstance(value, {"string": str, "array": list, "object": dict}[wanted])
