"""CustomResourceDefinitions: the resources that they define, and the conditions that say so."""

from collections.abc import Callable

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.resources import Catalogue, Column, Resource
from epp.lab.kube_api.schema import Schema
from epp.lab.kube_api.storage import Change, Store, Stored
from epp.lab.kube_api.timestamps import timestamp
from epp.lab.kube_api.watching import WatchHub

STORAGE_KEY = "apiextensions.k8s.io/customresourcedefinitions"
AGE = "Age"


class CustomResources:
    """Follows the CRDs in the store. `clock() -> unix seconds`."""

    def __init__(self, store: Store, catalogue: Catalogue, hub: WatchHub, clock: Callable[[], float]) -> None:
        self._store = store
        self._catalogue = catalogue
        self._hub = hub
        self._clock = clock
        store.listen(self._changed)

    def serve_stored(self) -> None:
        """Serves what the CRDs of a restored store define."""
        for stored in self._store.shelf(STORAGE_KEY).objects.values():
            self._serve(stored.value)

    def _changed(self, storage_key: str, change: Change) -> None:
        if storage_key != STORAGE_KEY:
            return
        if change.kind == "deleted":
            self._end(change.now.value)
            return
        self._serve(change.now.value)
        status = self._status(change.now.value)
        if change.now.value.get("status") != status:
            self._store.put(STORAGE_KEY, change.key, {**change.now.value, "status": status})

    def _serve(self, crd: Json) -> None:
        spec = crd["spec"]
        self._catalogue.remove(spec["group"], spec["names"]["plural"])
        for resource in resources_of(crd):
            self._catalogue.add(resource)

    def _end(self, crd: Json) -> None:
        """The objects go first, then the resource, and with it every watch."""
        spec = crd["spec"]
        storage_key = f"{spec['group']}/{spec['names']['plural']}"
        for key in list(self._store.shelf(storage_key).objects):
            self._remove(storage_key, key)
        self._catalogue.remove(spec["group"], spec["names"]["plural"])
        self._hub.end_all(storage_key)
        self._store.drop_shelf(storage_key)

    def _remove(self, storage_key: str, key: tuple[str, str]) -> Stored | None:
        """Owners' deletions may have taken it meanwhile."""
        present = self._store.get(storage_key, key)
        return self._store.remove(storage_key, key) if present else None

    def _status(self, crd: Json) -> Json:
        before = crd.get("status") or {}
        since = {each["type"]: each["lastTransitionTime"] for each in before.get("conditions") or ()}
        now = timestamp(self._clock())
        conditions = [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", since.get("NamesAccepted", now)),
            _condition(
                "Established", "InitialNamesAccepted", "the initial names have been accepted",
                since.get("Established", now),
            ),
        ]  # fmt: skip
        storage = next(version["name"] for version in crd["spec"]["versions"] if version["storage"])
        stored_versions = list(dict.fromkeys([*(before.get("storedVersions") or ()), storage]))
        return {"conditions": conditions, "acceptedNames": crd["spec"]["names"], "storedVersions": stored_versions}


def _condition(kind: str, reason: str, message: str, since: str) -> Json:
    return {"type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message}


def resources_of(crd: Json) -> list[Resource]:
    """A resource for each served version."""
    spec = crd["spec"]
    storage = next(version["name"] for version in spec["versions"] if version["storage"])
    return [_resource(spec, version, storage) for version in spec["versions"] if version["served"]]


def _resource(spec: Json, version: Json, storage: str) -> Resource:
    names = spec["names"]
    api_version = f"{spec['group']}/{version['name']}"
    deprecated = f"{api_version} {names['kind']} is deprecated" if version.get("deprecated") else ""
    return Resource(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        singular=names.get("singular") or names["kind"].lower(),
        list_kind=names.get("listKind") or "",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=tuple(name for name in ("status",) if name in (version.get("subresources") or {})),
        custom=True,
        unconditional_update=False,
        columns=tuple(_column(each) for each in version.get("additionalPrinterColumns") or ()),
        schema=Schema(version["schema"]["openAPIV3Schema"]),
        selectable=tuple(each["jsonPath"].lstrip(".") for each in version.get("selectableFields") or ()),
        stored_as=storage,
        warning=version.get("deprecationWarning") or deprecated,
    )


def _column(column: Json) -> Column:
    return Column(
        name=column["name"],
        path=column["jsonPath"],
        type=column["type"],
        format=column.get("format", ""),
        description=column.get("description", ""),
        priority=column.get("priority", 0),
    )
