"""Schemas of CRDs must be structural: every field has a type, and nothing stands in a schema that could not be kept."""

from collections.abc import Iterator

from epp.lab.kube_api.cel_rules import rule_text_problem
from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.schema import Schema
from epp.lab.kube_api.schema_checks import schema_problems
from epp.lab.kube_api.status import Cause, forbidden_field, required, wrong_value

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPES = ("atomic", "set", "map")


def structural_problems(raw: Json, field: str) -> Iterator[Cause]:
    """What is wrong with the openAPIV3Schema at `field`."""
    if not raw.get("type"):
        yield required(f"{field}.type", "must not be empty at the root")
    elif raw["type"] != "object":
        yield wrong_value(f"{field}.type", raw["type"], "must be object at the root")
    yield from _node_problems(Schema(raw), field, "at the root")


def _node_problems(schema: Schema, field: str, place: str) -> Iterator[Cause]:
    raw = schema.raw
    if not schema.type and not schema.int_or_string and not schema.preserves_unknown and place != "at the root":
        yield required(f"{field}.type", f"must not be empty for specified {place}")
    if schema.type and schema.type not in _TYPES:
        listed = ", ".join(f'"{each}"' for each in _TYPES)
        text = f'Unsupported value: "{schema.type}": supported values: {listed}'
        yield Cause(f"{field}.type", "FieldValueNotSupported", text)
        return
    yield from _forbidden(schema, field)
    if schema.type == "array" and schema.items is None:
        yield required(f"{field}.items", "must be specified")
    yield from _list_type_problems(schema, field)
    for index, rule in enumerate(schema.rules):
        if problem := rule_text_problem(rule):
            rule_field = f"{field}.x-kubernetes-validations[{index}].rule"
            yield wrong_value(rule_field, rule.get("rule", ""), f"compilation failed: ERROR: {problem}")
    if "default" in raw and any(schema_problems(raw["default"], schema, "default")):
        yield wrong_value(f"{field}.default", raw["default"], "must be valid for the schema")
    for name, below in schema.properties.items():
        yield from _node_problems(below, f"{field}.properties[{name}]", "object fields")
    if schema.items is not None:
        yield from _node_problems(schema.items, f"{field}.items", "array items")
    if schema.additional is not None:
        yield from _node_problems(schema.additional, f"{field}.additionalProperties", "object fields")


def _forbidden(schema: Schema, field: str) -> Iterator[Cause]:
    raw = schema.raw
    if raw.get("properties") and raw.get("additionalProperties"):
        yield forbidden_field(
            f"{field}.additionalProperties", "additionalProperties and properties are mutual exclusive"
        )
    if raw.get("uniqueItems"):
        yield forbidden_field(
            f"{field}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    for name in ("definitions", "dependencies", "$ref", "id", "patternProperties", "additionalItems"):
        if raw.get(name):
            yield forbidden_field(f"{field}.{name}", f"{name} is not supported")
    if schema.preserves_unknown and schema.type not in ("", "object"):
        text = "must be object or empty if x-kubernetes-preserve-unknown-fields is true"
        yield wrong_value(f"{field}.type", schema.type, text)


def _list_type_problems(schema: Schema, field: str) -> Iterator[Cause]:
    if schema.list_type not in _LIST_TYPES:
        text = f'Unsupported value: "{schema.list_type}": supported values: "atomic", "map", "set"'
        yield Cause(f"{field}.x-kubernetes-list-type", "FieldValueNotSupported", text)
    if schema.raw.get("x-kubernetes-list-type") and schema.type != "array":
        yield wrong_value(f"{field}.type", schema.type, "must be array if x-kubernetes-list-type is specified")
    if schema.list_type != "map":
        return
    if not schema.map_keys:
        yield required(f"{field}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    items = schema.items or Schema({})
    for key in schema.map_keys:
        if key not in items.properties:
            text = f"entries must all be names of item properties: {key}"
            yield wrong_value(f"{field}.x-kubernetes-list-map-keys", key, text)
        elif key not in items.required and "default" not in items.properties[key].raw:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{field}.items.properties[{key}].default", text)
