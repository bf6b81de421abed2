"""Schemas of kinds, one form for both sources: OpenAPI definitions of built-in kinds and structural schemas of CRDs."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Protocol

Raw = Mapping[str, Any]
_REFERENCE = "$ref"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_OPEN = ("FieldsV1", "RawExtension", ".JSON", "JSONSchemaProps", "JSONSchemaPropsOr")
"""endings of definitions whose content nobody knows"""


class SchemaSource(Protocol):
    """Where the schemas of built-in kinds come from."""

    def definitions(self) -> Mapping[str, Raw]:
        """OpenAPI definitions by name, with x-kubernetes-group-version-kind where they are kinds."""


class Schema:
    """One node. Unknown keywords are left in `raw`."""

    def __init__(self, raw: Raw, definitions: Mapping[str, Raw] | None = None) -> None:
        self._definitions = definitions or {}
        self.raw: Raw = raw
        if _REFERENCE in raw:
            name = str(raw[_REFERENCE]).rpartition("/")[2]
            siblings = {key: value for key, value in raw.items() if key != _REFERENCE}
            self.raw = {**self._definitions[name], **siblings}
            if name in (_INT_OR_STRING, _QUANTITY):
                self.raw = {"x-kubernetes-int-or-string": True, "quantity": name == _QUANTITY}
            elif any(mark in name for mark in _OPEN):
                self.raw = {"x-kubernetes-preserve-unknown-fields": True}

    @cached_property
    def type(self) -> str:
        """`object`, `array`, `string`, `integer`, `number`, `boolean`; "" where anything goes."""
        found = self.raw.get("type", "")
        if isinstance(found, list):
            return next((each for each in found if each != "null"), "")
        return str(found)

    @property
    def nullable(self) -> bool:
        """Whether null may stand here. Built-in kinds take null for everything that may be left out."""
        found = self.raw.get("type")
        return bool(self.raw.get("nullable")) or (isinstance(found, list) and "null" in found)

    @cached_property
    def properties(self) -> dict[str, "Schema"]:
        """Fields that have names."""
        return {name: self._below(raw) for name, raw in (self.raw.get("properties") or {}).items()}

    @cached_property
    def additional(self) -> "Schema | None":
        """Of the values of a map, None where there is none."""
        found = self.raw.get("additionalProperties")
        return self._below(found if isinstance(found, Mapping) else {}) if found not in (None, False) else None

    @cached_property
    def items(self) -> "Schema | None":
        """Of the items of a list."""
        found = self.raw.get("items")
        return self._below(found) if isinstance(found, Mapping) else None

    @property
    def required(self) -> list[str]:
        """Fields that must be there."""
        return list(self.raw.get("required") or ())

    @property
    def preserves_unknown(self) -> bool:
        """Whether fields without a schema are kept."""
        if self.raw.get("x-kubernetes-preserve-unknown-fields"):
            return True
        return (
            bool(self._definitions) and self.type in ("", "object") and not self.properties and self.additional is None
        )

    @property
    def embedded(self) -> bool:
        """Whether this is a whole object, with apiVersion, kind and metadata."""
        return bool(self.raw.get("x-kubernetes-embedded-resource"))

    @property
    def int_or_string(self) -> bool:
        """A number or a text."""
        return bool(self.raw.get("x-kubernetes-int-or-string"))

    @property
    def list_type(self) -> str:
        """`map`, `set` or `atomic`."""
        return str(self.raw.get("x-kubernetes-list-type") or "atomic")

    @property
    def map_keys(self) -> list[str]:
        """Of the items of a list of type map."""
        return list(self.raw.get("x-kubernetes-list-map-keys") or ())

    @property
    def atomic_map(self) -> bool:
        """Whether an object has one owner as a whole."""
        return self.raw.get("x-kubernetes-map-type") == "atomic"

    @property
    def rules(self) -> list[Raw]:
        """x-kubernetes-validations."""
        return list(self.raw.get("x-kubernetes-validations") or ())

    def child(self, name: str) -> "Schema | None":
        """The schema of a field, None where there is none."""
        return self.properties.get(name) or self.additional

    def _below(self, raw: Raw) -> "Schema":
        return Schema(raw, self._definitions)


class KindSchemas:
    """Schemas of built-in kinds, by apiVersion and kind; empty without a source."""

    def __init__(self, source: SchemaSource | None) -> None:
        self.definitions: Mapping[str, Raw] = source.definitions() if source else {}
        self._names = {
            (f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"], gvk["kind"]): name
            for name, raw in self.definitions.items()
            for gvk in raw.get("x-kubernetes-group-version-kind") or ()
        }
        self._made: dict[tuple[str, str], Schema] = {}

    def name_of(self, api_version: str, kind: str) -> str:
        """The definition of a kind, "" for an unknown one."""
        return self._names.get((api_version, kind), "")

    def of(self, api_version: str, kind: str) -> Schema | None:
        """The schema of a kind, None for an unknown one."""
        key = (api_version, kind)
        if key in self._names and key not in self._made:
            self._made[key] = Schema(self.definitions[self._names[key]], self.definitions)
        return self._made.get(key)


_TEXT = {"type": "string"}
_OPTIONAL_TEXT = {"type": "string", "nullable": True}
_FLAG = {"type": "boolean"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT, "nullable": True}
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid")
_OWNER = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "properties": {**dict.fromkeys(_OWNER_FIELDS, _TEXT), "controller": _FLAG, "blockOwnerDeletion": _FLAG},
}
_NUMBER = {"type": "integer", "nullable": True}
OBJECT_META = Schema(
    {
        "type": "object",
        "properties": {
            "name": _TEXT,
            "generateName": _TEXT,
            "namespace": _TEXT,
            "selfLink": _TEXT,
            "uid": _TEXT,
            "resourceVersion": _TEXT,
            "creationTimestamp": _OPTIONAL_TEXT,
            "deletionTimestamp": _OPTIONAL_TEXT,
            "generation": _NUMBER,
            "deletionGracePeriodSeconds": _NUMBER,
            "labels": _TEXTS,
            "annotations": _TEXTS,
            "finalizers": {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set", "nullable": True},
            "ownerReferences": {
                "type": "array",
                "items": _OWNER,
                "nullable": True,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["uid"],
                "x-kubernetes-patch-strategy": "merge",
            },
            "managedFields": {"type": "array", "nullable": True},
        },
    }
)
"""metadata of every object, whatever the source of its other fields"""
