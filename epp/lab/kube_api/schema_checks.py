"""What a structural schema demands of a value, in the words of a real server."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from epp.lab.kube_api.reading import is_of_type
from epp.lab.kube_api.schema import Schema
from epp.lab.kube_api.status import Cause, required, wrong_value

_BOUNDS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")


def schema_problems(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    """Everything that is wrong below `path`."""
    if value is None:
        if not schema.nullable and schema.type:
            text = f'{path} in body must be of type {schema.type}: "null"'
            yield Cause(path, "FieldValueTypeInvalid", f'Invalid value: "null": {text}')
        return
    if problem := _type_problem(value, schema, path):
        yield problem
        return
    yield from _enum_problems(value, schema, path)
    if isinstance(value, str):
        yield from _text_problems(value, schema, path)
    elif isinstance(value, list):
        yield from _list_problems(value, schema, path)
    elif isinstance(value, dict):
        yield from _object_problems(value, schema, path)
    elif not isinstance(value, bool):
        yield from _number_problems(value, schema, path)
    yield from _combined_problems(value, schema, path)


def _type_problem(value: Any, schema: Schema, path: str) -> Cause | None:
    if schema.int_or_string:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return None
        wanted = "integer,string"
    elif is_of_type(value, schema.type):
        return None
    else:
        wanted = schema.type
    shown = next(n for n in ("boolean", "integer", "number", "string", "array", "object") if is_of_type(value, n))
    text = f'{path} in body must be of type {wanted}: "{shown}"'
    return Cause(path, "FieldValueTypeInvalid", f'Invalid value: "{shown}": {text}')


def _enum_problems(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    enum = schema.raw.get("enum")
    if enum and value not in enum:
        listed = ", ".join(msgspec.json.encode(each).decode() for each in enum)
        shown = msgspec.json.encode(value).decode()
        yield Cause(path, "FieldValueNotSupported", f"Unsupported value: {shown}: supported values: {listed}")


def _text_problems(value: str, schema: Schema, path: str) -> Iterator[Cause]:
    most, least, pattern = (schema.raw.get(name) for name in ("maxLength", "minLength", "pattern"))
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooLong", f"Too long: may not be more than {most} bytes")
    if least is not None and len(value) < least:
        yield wrong_value(path, value, f"{path} in body should be at least {least} chars long")
    if pattern and not _pattern(pattern).search(value):
        yield wrong_value(path, value, f"{path} in body should match '{pattern}'")
    if schema.raw.get("format") == "date-time" and not _DATE_TIME.fullmatch(value):
        yield Cause(
            path,
            "FieldValueTypeInvalid",
            f'Invalid value: "{value}": {path} in body must be of type date-time: "{value}"',
        )


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """Go's `$` is the end of the text, Python's may stand before a last line break."""
    return re.compile(re.sub(r"(?<!\\)\$$", r"\\Z", text))


def _number_problems(value: float, schema: Schema, path: str) -> Iterator[Cause]:
    raw = schema.raw
    most, least = raw.get("maximum"), raw.get("minimum")
    if most is not None and (value > most or (raw.get("exclusiveMaximum") and value == most)):
        words = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        yield wrong_value(path, value, f"{path} in body should be {words} {most}")
    if least is not None and (value < least or (raw.get("exclusiveMinimum") and value == least)):
        words = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        yield wrong_value(path, value, f"{path} in body should be {words} {least}")
    if raw.get("multipleOf") and value % raw["multipleOf"]:
        yield wrong_value(path, value, f"{path} in body should be a multiple of {raw['multipleOf']}")
    bounds = _BOUNDS.get(str(raw.get("format") or ""))
    if bounds and not bounds[0] <= value <= bounds[1]:
        yield wrong_value(path, value, f"{path} in body must be of type {raw['format']}")


def _list_problems(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    most, least = schema.raw.get("maxItems"), schema.raw.get("minItems")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    if least is not None and len(value) < least:
        yield wrong_value(path, len(value), f"{path} in body should have at least {least} items")
    if schema.items is not None:
        for index, each in enumerate(value):
            yield from schema_problems(each, schema.items, f"{path}[{index}]")
    yield from _duplicates(value, schema, path)


def _duplicates(value: list[Any], schema: Schema, path: str) -> Iterator[Cause]:
    seen: set[bytes] = set()
    for index, each in enumerate(value):
        if schema.list_type == "map" and isinstance(each, dict):
            defaults = schema.items.properties if schema.items else {}
            keys = {k: each.get(k, defaults[k].raw.get("default") if k in defaults else None) for k in schema.map_keys}
            identity = msgspec.json.encode(keys, order="sorted")
        elif schema.list_type == "set":
            identity = msgspec.json.encode(each, order="sorted")
        else:
            return
        if identity in seen:
            yield Cause(f"{path}[{index}]", "FieldValueDuplicate", f"Duplicate value: {identity.decode()}")
        seen.add(identity)


def _object_problems(value: dict[str, Any], schema: Schema, path: str) -> Iterator[Cause]:
    most, least = schema.raw.get("maxProperties"), schema.raw.get("minProperties")
    if most is not None and len(value) > most:
        yield Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {most} items")
    if least is not None and len(value) < least:
        yield wrong_value(path, len(value), f"{path} in body should have at least {least} properties")
    for name in schema.required:
        if name not in value:
            yield required(f"{path}.{name}".lstrip("."))
    for name, part in value.items():
        below = schema.child(name)
        if below is not None:
            yield from schema_problems(part, below, f"{path}.{name}".lstrip("."))


def _combined_problems(value: Any, schema: Schema, path: str) -> Iterator[Cause]:
    """allOf, anyOf, oneOf and not, whose schemas check values and have no types of their own."""

    def fits(raw: Any) -> bool:
        return not any(schema_problems(value, Schema(raw), path))

    raw = schema.raw
    for each in raw.get("allOf") or ():
        yield from schema_problems(value, Schema(each), path)
    name = f'"{path}"'
    if raw.get("anyOf") and not any(fits(each) for each in raw["anyOf"]):
        yield wrong_value(path, "", f"{name} must validate at least one schema (anyOf)")
    if raw.get("oneOf"):
        valid = sum(fits(each) for each in raw["oneOf"])
        if valid != 1:
            found = "none valid" if not valid else f"{valid} valid alternatives"
            yield wrong_value(path, "", f"{name} must validate one and only one schema (oneOf). Found {found}")
    if raw.get("not") is not None and fits(raw["not"]):
        yield wrong_value(path, "", f"{name} must not validate the schema (not)")
