"""The rules of every kind: custom resources by their structural schemas, built-in kinds by their definitions."""

from typing import Any

from epp.lab.kube_api.built_in_checks import built_in_problems, required_problems
from epp.lab.kube_api.cel_rules import NOTHING, rule_problems
from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.reading import pruned, undecodable, with_defaults, without_nulls
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.rules import Reading
from epp.lab.kube_api.schema import OBJECT_META, KindSchemas, Schema
from epp.lab.kube_api.schema_checks import schema_problems
from epp.lab.kube_api.shapes import check_shape, shape_of
from epp.lab.kube_api.status import Cause, bad_request

_HEAD = ("apiVersion", "kind", "metadata")
_INCOMPLETE = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


class SchemaRules:
    """Rules from the schemas that are known; a built-in kind without one is hardly checked."""

    def __init__(self, schemas: KindSchemas) -> None:
        self._schemas = schemas

    def read(self, resource: Resource, value: Json) -> Reading:
        """Without unknown fields and with defaults; raises ApiError 400 for what cannot be decoded."""
        unknown: list[str] = []
        schema = self._schema(resource)
        metadata = self._metadata(resource, value, unknown)
        body = {name: part for name, part in value.items() if name not in _HEAD}
        if not resource.custom:
            check_shape(resource.kind, resource.version, body)
            body = without_nulls(body, schema or shape_of(resource.kind))
        if schema is not None and resource.custom:
            body = with_defaults(pruned(body, schema, "", unknown), schema)
        elif schema is not None:
            self._decodable(resource, body, schema, resource.kind)
            body = pruned(body, schema, "", unknown)
        head = {"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": metadata}
        return Reading({**head, **body}, tuple(unknown))

    def problems(self, resource: Resource, value: Json, before: Json | None) -> list[Cause]:
        """Everything that is wrong with it."""
        schema = self._schema(resource)
        if not resource.custom:
            found = list(required_problems(value, schema)) if schema is not None else []
            return _once([*found, *built_in_problems(value, before)])
        if schema is None:
            return []
        body = {name: part for name, part in value.items() if name not in _HEAD}
        found = [cause for cause in schema_problems(body, schema, "") if not _was_so(cause, value, before)]
        if not found:
            return list(rule_problems(value, before if before is not None else NOTHING, schema, ""))
        return [*found, Cause("<nil>", "FieldValueInvalid", f'Invalid value: "null": {_INCOMPLETE}')]

    def _schema(self, resource: Resource) -> Schema | None:
        if isinstance(resource.schema, Schema):
            return resource.schema
        return self._schemas.of(resource.api_version, resource.kind)

    def _metadata(self, resource: Resource, value: Json, unknown: list[str]) -> Json:
        metadata = value.get("metadata") or {}
        self._decodable(resource, metadata, OBJECT_META, f"{resource.kind}.metadata")
        read: Json = without_nulls(pruned(metadata_of(value), OBJECT_META, "metadata", unknown), OBJECT_META)
        if "managedFields" in metadata and metadata["managedFields"] is not None:
            read["managedFields"] = metadata["managedFields"]  # its fieldsV1 may hold nothing but empty objects
        return read

    def _decodable(self, resource: Resource, value: Any, schema: Schema, path: str) -> None:
        if problem := undecodable(value, schema, path):
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}'
            )


def _once(causes: list[Cause]) -> list[Cause]:
    return list({(cause.field, cause.message): cause for cause in causes}.values())


def _was_so(cause: Cause, value: Json, before: Json | None) -> bool:
    """Whether an update has left a wrong value as it was, which is let through."""
    if before is None or cause.reason == "FieldValueRequired":
        return False
    now, then = _at(value, cause.field), _at(before, cause.field)
    return now is not NOTHING and now == then


def _at(value: Any, field: str) -> Any:
    for step in field.replace("[", ".[").split("."):
        if step.startswith("["):
            index = int(step.strip("[]"))
            if not isinstance(value, list) or index >= len(value):
                return NOTHING
            value = value[index]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return NOTHING
    return value
