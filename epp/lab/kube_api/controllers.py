"""The few controllers without which clients fail, run in the same step as the write that wakes them.

Service accounts and the CA of a new namespace, tokens in Secrets, the contents of a deleted namespace, the dependents
of a deleted owner, and ReplicaSets, kubelets and schedulers not at all.
"""

from base64 import b64encode
from collections.abc import Callable

from epp.lab.kube_api.deletion import FOREGROUND, ORPHAN, Deletion
from epp.lab.kube_api.json_object import Json, dig, metadata_of, with_metadata
from epp.lab.kube_api.options import DeleteOptions, WriteOptions
from epp.lab.kube_api.resources import Catalogue, Resource
from epp.lab.kube_api.storage import Change, Store, Stored
from epp.lab.kube_api.tokens import Tokens
from epp.lab.kube_api.writes import Target, Writes

ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  a type of Secrets, no secret
_ACCOUNT_NAME = "kubernetes.io/service-account.name"
_OPTIONS = WriteOptions(field_manager="kube-controller-manager")
_NOW = DeleteOptions(grace_s=0, propagation="Background")


class Controllers:
    """Listens to the store; made after the watches, so that clients see causes before effects."""

    def __init__(
        self,
        store: Store,
        *,
        catalogue: Catalogue,
        writes: Writes,
        deletion: Deletion,
        tokens: Tokens,
        ca_pem: Callable[[], str],
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._writes = writes
        self._deletion = deletion
        self._tokens = tokens
        self._ca_pem = ca_pem
        store.listen(self._changed)

    def _changed(self, storage_key: str, change: Change) -> None:
        match storage_key:
            case "/namespaces":
                self._namespace(change)
            case "/secrets" | "/serviceaccounts" if change.kind == "created":
                self._fill_tokens(change.key[0])
        metadata = metadata_of(change.now.value)
        if change.kind == "deleted":
            self._collect(metadata["uid"])
            for owner in metadata.get("ownerReferences") or ():
                self._release_owner(owner["uid"])
            if change.key[0]:
                self._finish_namespace(change.key[0])
        elif metadata.get("deletionTimestamp"):
            self._propagate(storage_key, change)

    def _namespace(self, change: Change) -> None:
        name = change.key[1]
        if change.kind == "created":
            self._create("serviceaccounts", name, {"metadata": {"name": "default"}})
            root_ca = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": self._ca_pem()}}
            self._create("configmaps", name, root_ca)
        elif dig(change.now.value, "status", "phase") == "Terminating" and change.kind == "updated":
            for resource in self._catalogue:
                for key in [k for k in self._store.shelf(resource.storage_key).objects if k[0] == name]:
                    if self._store.get(resource.storage_key, key) is not None:
                        self._deletion.delete(resource, key, _NOW)
            self._finish_namespace(name)

    def _finish_namespace(self, name: str) -> None:
        stored = self._store.get("/namespaces", ("", name))
        if stored is None or dig(stored.value, "status", "phase") != "Terminating":
            return
        if any(key[0] == name for _, shelf in self._store.shelves() for key in shelf.objects):
            return
        if dig(stored.value, "spec", "finalizers"):
            self._store.put("/namespaces", ("", name), {**stored.value, "spec": {}})
        resource = self._resource("/namespaces")
        latest = self._store.get("/namespaces", ("", name))
        if latest is not None:
            self._deletion.finish(resource, ("", name), latest)

    def _fill_tokens(self, namespace: str) -> None:
        """Secrets of type service-account-token get the token, the CA and the namespace of their account."""
        for key, stored in list(self._store.shelf("/secrets").objects.items()):
            secret = stored.value
            if key[0] != namespace or secret.get("type") != ACCOUNT_TOKEN or dig(secret, "data", "token"):
                continue
            name = (metadata_of(secret).get("annotations") or {}).get(_ACCOUNT_NAME, "")
            account = self._store.get("/serviceaccounts", (namespace, name))
            if account is None:
                continue
            filled = {
                "ca.crt": self._ca_pem(),
                "namespace": namespace,
                "token": self._tokens.issue_legacy(account.value, key[1]),
            }
            data = {**(secret.get("data") or {}), **{n: b64encode(t.encode()).decode() for n, t in filled.items()}}
            annotations = {
                **metadata_of(secret)["annotations"],
                "kubernetes.io/service-account.uid": metadata_of(account.value)["uid"],
            }
            self._store.put("/secrets", key, {**with_metadata(secret, annotations=annotations), "data": data})

    def _propagate(self, storage_key: str, change: Change) -> None:
        """An owner that waits for its dependents, or lets them go."""
        finalizers = metadata_of(change.now.value).get("finalizers") or ()
        uid = metadata_of(change.now.value)["uid"]
        if ORPHAN in finalizers:
            for resource, dependent in self._dependents(uid):
                owners = [o for o in metadata_of(dependent.value)["ownerReferences"] if o["uid"] != uid]
                freed = with_metadata(dependent.value, ownerReferences=owners or None)
                self._store.put(resource.storage_key, _key(dependent), freed)
            self._without_finalizer(self._resource(storage_key), change.now, ORPHAN)
        elif FOREGROUND in finalizers:
            for resource, dependent in self._dependents(uid):
                if not metadata_of(dependent.value).get("deletionTimestamp"):
                    self._deletion.delete(resource, _key(dependent), DeleteOptions())
            self._release_owner(uid)

    def _collect(self, uid: str) -> None:
        """Deletes what belonged to this owner alone."""
        for resource, dependent in self._dependents(uid):
            owners = [o["uid"] for o in metadata_of(dependent.value)["ownerReferences"]]
            alive = any(self._with_uid(each) for each in owners if each != uid)
            if not alive and self._store.get(resource.storage_key, _key(dependent)) is not None:
                self._deletion.delete(resource, _key(dependent), DeleteOptions())

    def _release_owner(self, uid: str) -> None:
        """Ends a foreground deletion whose last dependent is gone."""
        found = self._with_uid(uid)
        waits = found and FOREGROUND in (metadata_of(found[1].value).get("finalizers") or ())
        if found and waits and not self._dependents(uid):
            self._without_finalizer(*found, FOREGROUND)

    def _without_finalizer(self, resource: Resource, stored: Stored, finalizer: str) -> None:
        left = [each for each in metadata_of(stored.value)["finalizers"] if each != finalizer]
        written = self._store.put(
            resource.storage_key, _key(stored), with_metadata(stored.value, finalizers=left or None)
        )
        if self._store.get(resource.storage_key, _key(stored)) is not None:
            self._deletion.finish(resource, _key(stored), written)

    def _dependents(self, uid: str) -> list[tuple[Resource, Stored]]:
        return [
            (self._resource(storage_key), stored)
            for storage_key, shelf in self._store.shelves()
            for stored in shelf.objects.values()
            if any(owner["uid"] == uid for owner in metadata_of(stored.value).get("ownerReferences") or ())
        ]

    def _with_uid(self, uid: str) -> tuple[Resource, Stored] | None:
        for storage_key, shelf in self._store.shelves():
            for stored in shelf.objects.values():
                if metadata_of(stored.value)["uid"] == uid:
                    return self._resource(storage_key), stored
        return None

    def _create(self, plural: str, namespace: str, value: Json) -> None:
        resource = self._resource(f"/{plural}")
        if self._store.get(resource.storage_key, (namespace, metadata_of(value)["name"])) is None:
            self._writes.create(Target(resource=resource, namespace=namespace), value, _OPTIONS)

    def _resource(self, storage_key: str) -> Resource:
        return self._catalogue.require(storage_key)


def _key(stored: Stored) -> tuple[str, str]:
    metadata = metadata_of(stored.value)
    return (metadata.get("namespace", ""), metadata["name"])
