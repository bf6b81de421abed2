"""The server's operations for callers within its process: as an administrator, without HTTP, at once."""

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.machinery import Machinery
from epp.lab.kube_api.options import DeleteOptions, WriteOptions
from epp.lab.kube_api.patches import merge_patch
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.storage import Stored
from epp.lab.kube_api.writes import Target

_OPTIONS = WriteOptions(field_manager="lab")


class LocalClient:
    """Creates, changes and deletes objects by kind; every method raises ApiError as the server would answer."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery

    def create(self, value: Json) -> Json:
        """A new object. A status that it has is written, too, as a controller would."""
        target = self._target_of(value)
        made = self._machinery.writes.create(target, value, _OPTIONS).value
        if "status" in value and "status" in target.resource.subresources:
            return self.set_status(
                value["apiVersion"], value["kind"], target.namespace, metadata_of(made)["name"], value["status"]
            )
        return made

    def apply(self, value: Json) -> Json:
        """Creates the object, or merges it into the one that is there."""
        target = self._target_of(value)
        if self._stored(target) is None:
            return self.create(value)
        return self._machinery.writes.patch(target, lambda old: merge_patch(old, value), _OPTIONS).value

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Json | None:
        """An object, None when it is not there."""
        stored = self._stored(self._target(api_version, kind, namespace, name))
        return stored.value if stored else None

    def list(self, api_version: str, kind: str, namespace: str = "") -> list[Json]:
        """All objects of a kind, in one namespace where it is named."""
        resource = self._resource(api_version, kind)
        objects = self._machinery.store.shelf(resource.storage_key).objects
        return [objects[key].value for key in sorted(objects) if namespace in ("", key[0])]

    def patch(self, api_version: str, kind: str, namespace: str, name: str, patch: Json) -> Json:
        """Merges `patch` into an object."""
        target = self._target(api_version, kind, namespace, name)
        return self._machinery.writes.patch(target, lambda old: merge_patch(old, patch), _OPTIONS).value

    def set_status(self, api_version: str, kind: str, namespace: str, name: str, status: Json) -> Json:
        """Merges `status` into the status of an object."""
        target = self._target(api_version, kind, namespace, name, "status")
        change = {"status": status}
        return self._machinery.writes.patch(target, lambda old: merge_patch(old, change), _OPTIONS).value

    def delete(self, api_version: str, kind: str, namespace: str, name: str, *, grace_s: int | None = None) -> None:
        """Deletes an object, as kubectl does."""
        target = self._target(api_version, kind, namespace, name)
        options = DeleteOptions(grace_s=grace_s, propagation="Background")
        self._machinery.deletion.delete(target.resource, target.key, options)

    def _target_of(self, value: Json) -> Target:
        metadata = metadata_of(value)
        return self._target(
            value["apiVersion"], value["kind"], metadata.get("namespace", "default"), metadata.get("name", "")
        )

    def _target(self, api_version: str, kind: str, namespace: str, name: str, subresource: str = "") -> Target:
        resource = self._resource(api_version, kind)
        where = namespace if resource.namespaced else ""
        return Target(resource=resource, namespace=where, name=name, subresource=subresource)

    def _resource(self, api_version: str, kind: str) -> Resource:
        found = self._machinery.catalogue.of_kind(api_version, kind)
        if found is None:
            raise LookupError(f'no matches for kind "{kind}" in version "{api_version}"')
        return found

    def _stored(self, target: Target) -> Stored | None:
        return self._machinery.store.get(target.resource.storage_key, target.key)
