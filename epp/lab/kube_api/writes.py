"""Create, update and patch: one way for all resources, from what a client sent to what is stored."""

import string
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

import msgspec

from epp.lab.kube_api.deletion import Deletion
from epp.lab.kube_api.json_object import Json, metadata_of, with_metadata
from epp.lab.kube_api.names import metadata_problems
from epp.lab.kube_api.options import WriteOptions
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.rules import Rules
from epp.lab.kube_api.status import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden_field,
    invalid,
    not_found,
    wrong_value,
)
from epp.lab.kube_api.storage import Key, Store, Stored
from epp.lab.kube_api.timestamps import timestamp

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
"""generated names have no vowels, so that they spell nothing"""
_WITHOUT_GENERATION = frozenset(
    f"/{plural}" for plural in ("namespaces", "services", "endpoints", "configmaps", "secrets", "events", "nodes")
) | {"/serviceaccounts", "coordination.k8s.io/leases", "events.k8s.io/events", "/persistentvolumeclaims"}
_KEPT_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class Admission(Protocol):
    """What the server adds to objects of built-in kinds, and what it refuses of them."""

    def admit(self, resource: Resource, value: Json, before: Json | None) -> Json:
        """The object with what the server fills in; raises ApiError."""


class Ownership(Protocol):
    """Keeps metadata.managedFields."""

    def record(self, resource: Resource, value: Json, before: Json | None, manager: str, subresource: str) -> Json:
        """The object with its managedFields after an update by `manager`."""


class Outcome(msgspec.Struct, frozen=True):
    """What a write led to."""

    value: Json
    created: bool = False
    warnings: tuple[str, ...] = ()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is about."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        """In the store."""
        return (self.namespace, self.name)


class Writes:
    """Writes objects. `clock() -> unix seconds`; `random` makes uids and names."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        admission: Admission,
        ownership: Ownership,
        deletion: Deletion,
        *,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._store = store
        self._rules = rules
        self._admission = admission
        self._ownership = ownership
        self._deletion = deletion
        self._clock = clock
        self._random = random

    def create(self, target: Target, body: Json, options: WriteOptions, *, managed: bool = True) -> Outcome:
        """Stores a new object; raises ApiError. Without `managed` its managedFields are taken as they are."""
        resource = target.resource
        metadata = dict(metadata_of(body))
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + "".join(self._random.choices(_SUFFIX, k=5))
        metadata = {**metadata, "uid": self._new_uid(), "creationTimestamp": timestamp(self._clock())}
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"):
            metadata.pop(field, None)
        value = self._addressed(target, {**body, "metadata": metadata})
        if "status" in resource.subresources:
            value.pop("status", None)
        value, warnings = self._read(resource, value, options)
        value = self._admission.admit(resource, value, None)
        if resource.storage_key not in _WITHOUT_GENERATION and resource.group != "rbac.authorization.k8s.io":
            value = with_metadata(value, generation=1)
        self._check(resource, value, None)
        if managed:
            value = self._ownership.record(resource, value, None, options.field_manager, "")
        key = (target.namespace, metadata["name"])
        if self._store.get(resource.storage_key, key) is not None:
            raise already_exists(resource.plural, resource.group, key[1])
        if options.dry_run:
            return Outcome(value, True, warnings)
        return Outcome(self._store.put(resource.storage_key, key, value).value, True, warnings)

    def update(self, target: Target, body: Json, options: WriteOptions) -> Outcome:
        """Replaces an object, or makes it where its kind allows that; raises ApiError."""
        before = self._store.get(target.resource.storage_key, target.key)
        if before is None:
            if not target.resource.create_on_update or target.subresource:
                raise not_found(target.resource.plural, target.resource.group, target.name)
            return self.create(target, self._addressed(target, body), options)
        return self.replace(target, before, body, options)

    def patch(self, target: Target, change: Callable[[Json], Json], options: WriteOptions) -> Outcome:
        """Replaces an object by what `change` makes of it; raises ApiError."""
        before = self._store.get(target.resource.storage_key, target.key)
        if before is None:
            raise not_found(target.resource.plural, target.resource.group, target.name)
        shown = {**before.value, "apiVersion": target.resource.api_version}
        return self.replace(target, before, change(shown), options, patched=True)

    def replace(
        self,
        target: Target,
        before: Stored,
        body: Json,
        options: WriteOptions,
        *,
        managed: bool = True,
        patched: bool = False,
    ) -> Outcome:
        """Puts `body` in the place of `before`. Without `managed` its managedFields are taken as they are."""
        resource = target.resource
        self._check_version(target, before, body)
        value, warnings = self._read(resource, self._addressed(target, body), options, patched=patched)
        value = self._merged(target, before.value, value)
        value = self._admission.admit(resource, value, before.value)
        if _generation_counts(value, before.value, resource):
            value = with_metadata(value, generation=metadata_of(before.value)["generation"] + 1)
        self._check(resource, value, before.value)
        if managed:
            value = self._ownership.record(resource, value, before.value, options.field_manager, target.subresource)
        if _same(value, before.value):
            return Outcome(before.value, False, warnings)
        if options.dry_run:
            return Outcome(value, False, warnings)
        stored = self._store.put(resource.storage_key, target.key, value)
        return Outcome(self._deletion.finish(resource, target.key, stored).value, False, warnings)

    def _addressed(self, target: Target, body: Json) -> Json:
        """With the kind, version and namespace of the path; raises ApiError 400 where the body says otherwise."""
        resource, metadata = target.resource, metadata_of(body)
        for field, wanted in (("apiVersion", resource.api_version), ("kind", resource.kind)):
            given = body.get(field)
            if resource.custom and not given and field == "kind":
                raise bad_request(f"Object 'Kind' is missing in '{msgspec.json.encode(body).decode()}'")
            if given and given != wanted and field == "apiVersion":
                raise bad_request(
                    f"the API version in the data ({given}) does not match the expected API version ({wanted})"
                )
            if given and given != wanted:
                raise bad_request(f'{given} in version "{resource.version}" cannot be handled as a {wanted}')
        namespace = metadata.get("namespace") or target.namespace
        if namespace != target.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        name = metadata.get("name") or ""
        if target.name and name and name != target.name:
            raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({target.name})")
        head = {"apiVersion": resource.storage_api_version, "kind": resource.kind}
        named = with_metadata(body, namespace=target.namespace or None, name=target.name or name or None)
        return {**head, **named, **head}

    def _check_version(self, target: Target, before: Stored, body: Json) -> None:
        resource, metadata = target.resource, metadata_of(body)
        version = metadata.get("resourceVersion") or ""
        if not version and not resource.unconditional_update:
            cause = wrong_value("metadata.resourceVersion", 0, "must be specified for an update")
            raise invalid(resource.kind, resource.group, target.name, [cause])
        if version and version != metadata_of(before.value)["resourceVersion"]:
            if not version.isdigit():
                cause = wrong_value("metadata.resourceVersion", version, "must be an unsigned integer")
                raise invalid(resource.kind, resource.group, target.name, [cause])
            raise conflict(resource.plural, resource.group, target.name)
        uid = metadata.get("uid") or metadata_of(before.value)["uid"]
        if uid != metadata_of(before.value)["uid"]:
            problem = (
                f"Precondition failed: UID in precondition: {uid}, "
                f"UID in object meta: {metadata_of(before.value)['uid']}"
            )
            raise conflict(resource.plural, resource.group, target.name, problem)

    def _read(
        self, resource: Resource, value: Json, options: WriteOptions, *, patched: bool = False
    ) -> tuple[Json, tuple[str, ...]]:
        reading = self._rules.read(resource, value)
        if reading.unknown and options.field_validation == "Strict":
            problem = f"strict decoding error: {', '.join(reading.unknown)}"
            if patched:
                text = msgspec.json.encode(value).decode()
                raise invalid("", "", "", [wrong_value("patch", text, problem)])
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}'
            )
        return reading.value, reading.unknown if options.field_validation == "Warn" else ()

    def _merged(self, target: Target, before: Json, value: Json) -> Json:
        """The parts that this path may change from `value`, all others from `before`."""
        old = metadata_of(before)
        if target.subresource:
            metadata = metadata_of(value)
            if target.resource.custom:
                metadata = {**old, "managedFields": metadata.get("managedFields")}
            value = {**before, "metadata": metadata, **({"status": value["status"]} if "status" in value else {})}
        elif "status" in target.resource.subresources:
            kept = {"status": before["status"]} if "status" in before else {}
            value = {**{name: part for name, part in value.items() if name != "status"}, **kept}
        kept_metadata = {name: old.get(name) for name in _KEPT_METADATA}
        metadata = {"managedFields": old.get("managedFields"), **metadata_of(value), **kept_metadata}
        metadata["resourceVersion"] = old["resourceVersion"]
        return {**value, "metadata": {name: field for name, field in metadata.items() if field is not None}}

    def _check(self, resource: Resource, value: Json, before: Json | None) -> None:
        causes = [*metadata_problems(resource, value), *self._rules.problems(resource, value, before)]
        if before is not None and metadata_of(before).get("deletionTimestamp"):
            added = set(metadata_of(value).get("finalizers") or ()) - set(metadata_of(before).get("finalizers") or ())
            if added:
                shown = ", ".join(f'"{each}"' for each in sorted(added))
                text = (
                    "no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers []string{{{shown}}}"
                )
                causes.append(forbidden_field("metadata.finalizers", text))
        if causes:
            raise invalid(resource.kind, resource.group, metadata_of(value).get("name", ""), causes)

    def _new_uid(self) -> str:
        digits = "".join(self._random.choices(string.hexdigits[:16], k=32))
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _generation_counts(value: Json, before: Json, resource: Resource) -> bool:
    """Whether what is desired has changed: everything but metadata and, where it is apart, status."""
    if "generation" not in metadata_of(before):
        return False
    left_out = {"metadata", "apiVersion"} | ({"status"} if "status" in resource.subresources else set())
    return _part(value, left_out) != _part(before, left_out)


def _part(value: Json, left_out: set[str]) -> dict[str, Any]:
    return {name: part for name, part in value.items() if name not in left_out}


def _same(value: Json, before: Json) -> bool:
    """Whether a write would change nothing but the times in managedFields."""
    return with_metadata(value, managedFields=_timeless(value)) == with_metadata(
        before, managedFields=_timeless(before)
    )


def _timeless(value: Json) -> list[Json] | None:
    entries = metadata_of(value).get("managedFields")
    return None if entries is None else [{**entry, "time": ""} for entry in entries]
