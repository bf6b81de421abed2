"""metadata.managedFields: who owns which fields, after updates and after applies."""

from collections.abc import Callable

import msgspec

from epp.lab.kube_api.field_sets import MISSING, Fields, Path, fields_of, from_fields_v1, to_fields_v1, value_at
from epp.lab.kube_api.json_object import Json, metadata_of, with_metadata
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.schema import KindSchemas, Schema
from epp.lab.kube_api.timestamps import timestamp


class Owner(msgspec.Struct, frozen=True):
    """Who, how, through which path and in which version."""

    manager: str
    operation: str
    subresource: str
    api_version: str


class OwnedFields(msgspec.Struct, frozen=True):
    """What an owner owns, and since when."""

    fields: Fields
    time: str


Owners = dict[Owner, OwnedFields]


def read_owners(value: Json) -> Owners:
    """From managedFields."""
    return {
        Owner(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("subresource", ""),
            entry.get("apiVersion", ""),
        ): OwnedFields(from_fields_v1(entry.get("fieldsV1") or {}), entry.get("time", ""))
        for entry in metadata_of(value).get("managedFields") or ()
    }


def with_owners(value: Json, owners: Owners) -> Json:
    """The object with these managedFields; owners of nothing are left out."""
    entries = []
    for owner, owned in owners.items():
        if owned.fields:
            entry = {
                "manager": owner.manager,
                "operation": owner.operation,
                "apiVersion": owner.api_version,
                "time": owned.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": to_fields_v1(owned.fields),
            }
            entries.append({**entry, "subresource": owner.subresource} if owner.subresource else entry)
    return with_metadata(value, managedFields=entries or None)


class FieldOwners:
    """Keeps managedFields. `clock() -> unix seconds`."""

    def __init__(self, schemas: KindSchemas, clock: Callable[[], float]) -> None:
        self._schemas = schemas
        self._clock = clock

    def schema_of(self, resource: Resource) -> Schema | None:
        """By which lists and maps are owned in parts; without one, lists are owned as a whole."""
        if isinstance(resource.schema, Schema):
            return resource.schema
        return self._schemas.of(resource.api_version, resource.kind)

    def now(self) -> str:
        """The time of an entry."""
        return timestamp(self._clock())

    def record(self, resource: Resource, value: Json, before: Json | None, manager: str, subresource: str) -> Json:
        """The object after an update by `manager`: it owns what it changed, and nobody owns what is gone.

        A client that sends an empty list of managedFields clears them.
        """
        if before is not None and metadata_of(value).get("managedFields") == []:
            return with_metadata(value, managedFields=None)
        schema = self.schema_of(resource)
        without = ("status",) if "status" in resource.subresources and not subresource else ()
        fields = fields_of(value, schema)
        old = before or {}
        writable = fields_of(value, schema, without=without)
        holders = {path[:end] for path in writable for end in range(1, len(path))}
        changed = frozenset(path for path in writable if _differs(path, value, old, schema, holds=path in holders))
        owners = {
            owner: OwnedFields((owned.fields & fields) - changed, owned.time)
            for owner, owned in read_owners(old).items()
        }
        if changed:
            owner = Owner(manager, "Update", subresource, resource.api_version)
            mine = owners[owner].fields if owner in owners else frozenset()
            owners[owner] = OwnedFields(mine | changed, self.now())
        return with_owners(value, owners)


def _differs(path: Path, value: Json, old: Json, schema: Schema | None, *, holds: bool) -> bool:
    """Whether a field was changed; what only holds others was changed when it was not there."""
    before = value_at(old, schema, path)
    return before is MISSING if holds else before != value_at(value, schema, path)
