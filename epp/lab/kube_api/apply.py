"""Server-side apply: a client says what it wants of an object, and owns just that.

Built: merging by the schema (structs, maps, lists of type map, set and atomic), removal of what the same manager
applied before and does not any more, conflicts with other managers, force, creation. Not built: unions, and the moving
of fields between versions of a kind.
"""

from typing import Any

from epp.lab.kube_api.field_owners import FieldOwners, OwnedFields, Owner, Owners, read_owners, with_owners
from epp.lab.kube_api.field_sets import Fields, Path, fields_of, shown, step_of, value_at
from epp.lab.kube_api.json_object import Json, metadata_of, with_metadata
from epp.lab.kube_api.options import WriteOptions
from epp.lab.kube_api.reading import undecodable
from epp.lab.kube_api.schema import OBJECT_META, Schema
from epp.lab.kube_api.status import Cause, apply_conflict, bad_request
from epp.lab.kube_api.storage import Store
from epp.lab.kube_api.writes import Outcome, Target, Writes

_ANY = Schema({})


class Apply:
    """Applies configurations."""

    def __init__(self, store: Store, writes: Writes, owners: FieldOwners) -> None:
        self._store = store
        self._writes = writes
        self._owners = owners

    def apply(self, target: Target, wanted: Json, options: WriteOptions) -> Outcome:
        """Creates or changes the object; raises ApiError 400, 404, 409 or 422."""
        if not wanted.get("apiVersion") or not wanted.get("kind"):
            raise bad_request("Object 'Kind' or 'apiVersion' is missing in the applied configuration")
        if problem := undecodable(wanted.get("metadata") or {}, OBJECT_META, f"{target.resource.kind}.metadata"):
            raise bad_request(f"error decoding the applied configuration: {problem}")
        if metadata_of(wanted).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        resource = target.resource
        schema = self._owners.schema_of(resource)
        without = ("status",) if "status" in resource.subresources and not target.subresource else ()
        fields = fields_of(wanted, schema, without=without)
        owner = Owner(options.field_manager, "Apply", target.subresource, resource.api_version)
        stored = self._store.get(resource.storage_key, target.key)
        if stored is None:
            named = with_metadata(wanted, name=metadata_of(wanted).get("name") or target.name)
            owned = with_owners(named, {owner: OwnedFields(fields, self._owners.now())})
            return self._writes.create(target, owned, options, managed=False)
        live = {**stored.value, "apiVersion": resource.api_version}
        owners = read_owners(live)
        self._settle(wanted, live, schema, owner=owner, fields=fields, owners=owners, force=options.force)
        merged = merged_values(live, wanted, schema or _ANY, at_root=True)
        gone = owners[owner].fields - fields if owner in owners else frozenset()
        kept: set[Path] = set().union(*(each.fields for other, each in owners.items() if other != owner), fields)
        for path in _removable(gone, kept):
            merged = _without(merged, path, schema or _ANY, at_root=True)
        time = owners[owner].time if owner in owners and owners[owner].fields == fields else self._owners.now()
        owners[owner] = OwnedFields(fields, time)
        for other, each in list(owners.items()):
            owners[other] = OwnedFields(each.fields - (gone - kept), each.time)
        return self._writes.replace(target, stored, with_owners(merged, owners), options, managed=False)

    @staticmethod
    def _settle(
        wanted: Json,
        live: Json,
        schema: Schema | None,
        *,
        owner: Owner,
        fields: Fields,
        owners: Owners,
        force: bool,
    ) -> None:
        """Refuses conflicts, or with force takes the fields from their owners."""
        conflicts: list[tuple[Owner, Path]] = []
        for other, owned in list(owners.items()):
            if other == owner:
                continue
            taken = frozenset(
                path
                for path in owned.fields & fields
                if value_at(live, schema, path) != value_at(wanted, schema, path) and not _is_parent(path, fields)
            )
            conflicts += [(other, path) for path in sorted(taken)]
            if force:
                owners[other] = OwnedFields(owned.fields - taken, owned.time)
        if conflicts and not force:
            raise _refusal(conflicts)


def _is_parent(path: Path, fields: Fields) -> bool:
    """Whether others of the fields lie below it: those are compared themselves."""
    return any(len(each) > len(path) and each[: len(path)] == path for each in fields)


def _refusal(conflicts: list[tuple[Owner, Path]]) -> Exception:
    causes = [Cause(shown(path), "FieldManagerConflict", f"conflict with {_named(owner)}") for owner, path in conflicts]
    if len(conflicts) == 1:
        return apply_conflict(f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}", causes)
    lines = []
    for owner in dict.fromkeys(owner for owner, _ in conflicts):
        lines.append(f"conflicts with {_named(owner)}:")
        lines += [f"- {shown(path)}" for each, path in conflicts if each == owner]
    return apply_conflict(f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines), causes)


def _named(owner: Owner) -> str:
    if owner.operation == "Apply":
        return f'"{owner.manager}"'
    through = f' with subresource "{owner.subresource}"' if owner.subresource else ""
    return f'"{owner.manager}"{through} using {owner.api_version}'


def _removable(gone: Fields, kept: set[Path]) -> list[Path]:
    """The outermost fields that are gone and hold nothing that somebody keeps."""
    held = {path[:end] for path in kept for end in range(1, len(path) + 1)}
    loose = gone - held
    return sorted(path for path in loose if not any(path[:end] in loose for end in range(1, len(path))))


def merged_values(live: Any, wanted: Any, schema: Schema, *, at_root: bool = False) -> Any:
    """`live` with everything that `wanted` has."""
    if isinstance(wanted, dict) and isinstance(live, dict) and not schema.atomic_map:
        merged = dict(live)
        for name, part in wanted.items():
            below = OBJECT_META if at_root and name == "metadata" else schema.child(name) or _ANY
            merged[name] = merged_values(live[name], part, below) if name in live else part
        return merged
    if isinstance(wanted, list) and isinstance(live, list) and schema.list_type in ("map", "set"):
        given = {step_of(each, schema): each for each in wanted}
        merged_items = []
        for item in live:
            step = step_of(item, schema)
            merged_items.append(merged_values(item, given.pop(step), schema.items or _ANY) if step in given else item)
        return [*merged_items, *given.values()]
    return wanted


def _without(value: Any, path: Path, schema: Schema, *, at_root: bool = False) -> Any:
    """Without what stands at a path."""
    step, rest = path[0], path[1:]
    kind, _, name = step.partition(":")
    if kind == "f" and isinstance(value, dict) and name in value:
        below = OBJECT_META if at_root and name == "metadata" else schema.child(name) or _ANY
        if rest:
            return {**value, name: _without(value[name], rest, below)}
        return {each: part for each, part in value.items() if each != name}
    if kind != "f" and isinstance(value, list):
        if rest:
            below = schema.items or _ANY
            return [_without(each, rest, below) if step_of(each, schema) == step else each for each in value]
        return [each for each in value if step_of(each, schema) != step]
    return value
