"""Deletion: at once, with grace, or when the last finalizer is gone."""

from collections.abc import Callable

from epp.lab.kube_api.json_object import Json, dig, metadata_of, with_metadata
from epp.lab.kube_api.options import DeleteOptions
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.status import conflict, not_found
from epp.lab.kube_api.storage import Key, Store, Stored
from epp.lab.kube_api.timestamps import timestamp

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
DEFAULT_POD_GRACE_S = 30
_FINISHED = ("Succeeded", "Failed")
_RETURNS_THE_OBJECT = ("/pods", "/services", "/namespaces", "/persistentvolumeclaims", "/serviceaccounts")
_DELETES_IN_STEPS = "/namespaces"


class Deletion:
    """Deletes objects. `clock() -> unix seconds`."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def delete(self, resource: Resource, key: Key, options: DeleteOptions) -> Json:
        """Deletes, or begins to; returns what the client is told. Raises ApiError 404 or 409."""
        stored = self._store.get(resource.storage_key, key)
        if stored is None:
            raise not_found(resource.plural, resource.group, key[1])
        self._check(resource, stored, options)
        if options.dry_run:
            return stored.value
        marked = self._marked(resource, key, stored, options)
        if marked is not None:
            return marked.value
        removed = self._store.remove(resource.storage_key, key).value
        if resource.storage_key in _RETURNS_THE_OBJECT:
            return removed
        details = {"name": key[1], "kind": resource.plural, "uid": metadata_of(removed)["uid"]}
        if resource.group:
            details["group"] = resource.group
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def finish(self, resource: Resource, key: Key, stored: Stored) -> Stored:
        """Removes an object that is being deleted as soon as nothing holds it; returns its last state.

        A pod with grace is held until it is deleted with grace 0 or its phase is final, which a kubelet would do.
        """
        metadata = metadata_of(stored.value)
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return stored
        if resource.storage_key == _DELETES_IN_STEPS and dig(stored.value, "spec", "finalizers"):
            return stored
        waits = metadata.get("deletionGracePeriodSeconds") and dig(stored.value, "status", "phase") not in _FINISHED
        if resource.storage_key == "/pods" and waits:
            return stored
        if self._store.get(resource.storage_key, key) is None:
            return stored
        return self._store.remove(resource.storage_key, key)

    def _check(self, resource: Resource, stored: Stored, options: DeleteOptions) -> None:
        metadata = metadata_of(stored.value)
        for word, wanted, found in (
            ("UID", options.uid, metadata["uid"]),
            ("ResourceVersion", options.resource_version, metadata["resourceVersion"]),
        ):
            if wanted and wanted != found:
                problem = f"Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {found}"
                raise conflict(resource.plural, resource.group, metadata["name"], problem)

    def _marked(self, resource: Resource, key: Key, stored: Stored, options: DeleteOptions) -> Stored | None:
        """The object with its deletionTimestamp where it cannot go at once, else None."""
        metadata = metadata_of(stored.value)
        grace_s = self._grace_s(resource, stored, options)
        finalizers = list(metadata.get("finalizers") or ())
        wanted = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.propagation)
        if wanted and wanted not in finalizers:
            finalizers.append(wanted)
        held = bool(finalizers) or resource.storage_key == _DELETES_IN_STEPS
        if not held and not grace_s:
            return None
        was_deleted = bool(metadata.get("deletionTimestamp"))
        if was_deleted and metadata.get("deletionGracePeriodSeconds", 0) <= grace_s:
            if finalizers == (metadata.get("finalizers") or []):
                return stored
            grace_s = metadata.get("deletionGracePeriodSeconds", 0)
        fields: Json = {"deletionGracePeriodSeconds": grace_s, "finalizers": finalizers or None}
        if not was_deleted:
            fields["deletionTimestamp"] = timestamp(self._clock() + grace_s)
            if metadata.get("generation"):
                fields["generation"] = metadata["generation"] + 1
        value = with_metadata(stored.value, **fields)
        if resource.storage_key == _DELETES_IN_STEPS:
            value = {**value, "status": {**(value.get("status") or {}), "phase": "Terminating"}}
        return self._store.put(resource.storage_key, key, value)

    def _grace_s(self, resource: Resource, stored: Stored, options: DeleteOptions) -> int:
        """Seconds that a pod gets to end; 0 for one that runs nowhere or has ended, and for all other kinds."""
        if resource.storage_key != "/pods":
            return 0
        if not dig(stored.value, "spec", "nodeName") or dig(stored.value, "status", "phase") in _FINISHED:
            return 0
        if options.grace_s is not None:
            return max(options.grace_s, 0)
        configured = dig(stored.value, "spec", "terminationGracePeriodSeconds")
        return DEFAULT_POD_GRACE_S if configured is None else int(configured)
