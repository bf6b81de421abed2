"""What an API server does with an object of a CRD: defaults, unknown fields, the schema, CEL rules.

Also what it asks of the CRD itself: that its schemas are structural. Source: apiextensions.k8s.io/v1, as the Kubernetes
documentation describes it.
"""

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cel
import jsonschema  # type: ignore[import-untyped]  # ships no types
import yaml

CRDS = Path(__file__).resolve().parents[2] / "manifests" / "crds"
Schema = dict[str, Any]
TYPES = {"array", "boolean", "integer", "number", "object", "string"}
SCHEMA_KEYS = {
    *("additionalProperties", "default", "description", "enum", "format", "items", "maxItems", "maxLength"),
    *("maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "nullable", "pattern"),
    *("properties", "required", "type"),
    *("x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-validations"),
}
"""what is in use here; `$ref`, `definitions`, `id`, `patternProperties`, `readOnly` and the like are refused anyway"""
LIST_TYPES = {"atomic", "set", "map"}


@cache
def crd_files() -> tuple[Path, ...]:
    """One file per CRD; the bundle is left out."""
    return tuple(sorted(path for path in CRDS.glob("*.yaml") if path.name != "manifests.yaml"))


@cache
def schemas() -> dict[tuple[str, str], Schema]:
    """openAPIV3Schema by apiVersion and kind."""
    found: dict[tuple[str, str], Schema] = {}
    for path in crd_files():
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            found[key] = version["schema"]["openAPIV3Schema"]
    return found


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema within a schema, itself first, with the path of the field that it describes."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[*]")


def not_structural(schema: Schema) -> list[str]:
    """Why the API server would refuse the schema; empty if it would not."""
    found = [f"{path or '.'}: {fault}" for path, node in nodes(schema) for fault in _faults(node)]
    metadata = schema.get("properties", {}).get("metadata", {"type": "object"})
    return found if metadata == {"type": "object"} else [*found, ".metadata: only its name may be restricted"]


def _faults(node: Schema) -> Iterator[str]:
    if node.get("type") not in TYPES:
        yield f"type {node.get('type')!r}"
    yield from (f"{key} is not allowed" for key in node.keys() - SCHEMA_KEYS)
    if node.get("additionalProperties") in (True, False) or {"properties", "additionalProperties"} <= node.keys():
        yield "additionalProperties has to be a schema, and the only one"
    if node.get("type") == "array" and "items" not in node:
        yield "an array without items"
    yield from (f"requires {name}, which it does not have" for name in _missing(node))
    yield from _list_faults(node)
    if "default" in node:
        yield from (f"default: {fault}" for fault in errors(node, defaulted(node, node["default"])))
    for rule in node.get("x-kubernetes-validations", []):
        if not rule.keys() <= {"rule", "message", "reason", "fieldPath"} or not rule.get("message"):
            yield f"rule {rule}: it needs a message"


def _missing(node: Schema) -> list[str]:
    return [name for name in node.get("required", []) if name not in node.get("properties", {})]


def _list_faults(node: Schema) -> Iterator[str]:
    kind, keys = node.get("x-kubernetes-list-type"), node.get("x-kubernetes-list-map-keys", [])
    if kind is not None and (node.get("type") != "array" or kind not in LIST_TYPES):
        yield f"list type {kind!r}"
    if bool(keys) != (kind == "map"):
        yield "list-map-keys belong to the list type map"
    for key in keys:
        items = node["items"]
        field = items.get("properties", {}).get(key, {})
        if field.get("type") not in TYPES - {"array", "object"}:
            yield f"key {key} is no scalar field of the items"
        if key not in items.get("required", []) and "default" not in field:
            yield f"key {key} is neither required nor has it a default"


def defaulted(schema: Schema, value: Any) -> Any:
    """A copy of the value with what the schema puts into fields that are left out."""
    if isinstance(value, dict):
        result = dict(value)
        for name, inner in schema.get("properties", {}).items():
            if name not in result and "default" in inner:
                result[name] = copy.deepcopy(inner["default"])
            if name in result:
                result[name] = defaulted(inner, result[name])
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            result = {name: defaulted(others, inner) for name, inner in result.items()}
        return result
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), inner) for inner in value]
    return value


def errors(schema: Schema, value: Any) -> list[str]:
    """What is wrong with a value that has its defaults: unknown fields too, as with strict field validation."""
    validator = jsonschema.Draft202012Validator(_closed(schema), format_checker=jsonschema.FormatChecker())
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    return found or list(_broken_rules(schema, value))


def object_errors(value: dict[str, Any]) -> list[str]:
    """What an API server with our CRDs would say about an object; KeyError for a kind that has none here."""
    schema = schemas()[(value["apiVersion"], value["kind"])]
    return errors(schema, defaulted(schema, value))


def _broken_rules(schema: Schema, value: Any) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", []):
        if cel.compile(rule["rule"]).execute({"self": value}) is not True:
            yield rule["message"]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name, inner in value.items():
            others = schema.get("additionalProperties", {})
            yield from _broken_rules(properties.get(name, others), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _broken_rules(schema.get("items", {}), inner)


def _closed(schema: Schema) -> Schema:
    """As JSON schema, in which fields that are not named are errors; `metadata` is left open."""
    closed = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-")}
    if "properties" in schema:
        closed["properties"] = {name: _closed(inner) for name, inner in schema["properties"].items()}
        closed["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            closed[key] = _closed(schema[key])
    return closed
