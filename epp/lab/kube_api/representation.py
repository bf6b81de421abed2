"""In which form an answer is wanted: the objects themselves, a Table, or metadata alone."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.listing import Page
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.status import bad_request, not_acceptable
from epp.lab.kube_api.storage import Stored
from epp.lab.kube_api.tables import partial_metadata, table

_KINDS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_JSON_TYPES = ("application/json", "application/*", "*/*", "")
INCLUDE = ("", "None", "Metadata", "Object")


class Form(msgspec.Struct, frozen=True):
    """`kind` is "" for the objects themselves."""

    kind: str = ""
    include: str = "Metadata"


def wanted_form(accept: str, query: Mapping[str, str]) -> Form:
    """The first form of the Accept header that is served; raises ApiError 400 or 406."""
    include = query.get("includeObject", "")
    if include not in INCLUDE:
        raise bad_request(f"unrecognized includeObject value: {include!r}")
    for part in accept.split(",") if accept else [""]:
        media_type, *parameters = [each.strip() for each in part.split(";")]
        told = dict(each.partition("=")[::2] for each in parameters)
        if media_type not in _JSON_TYPES:
            continue
        kind = told.get("as", "")
        if not kind:
            return Form()
        if kind in _KINDS and told.get("g") == "meta.k8s.io" and told.get("v") == "v1":
            return Form(kind.removesuffix("List"), include or "Metadata")
    raise not_acceptable(["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"])


def shown(resource: Resource, value: Json) -> Json:
    """In the version that was asked for; all versions of a custom resource have the same fields here."""
    if value.get("kind") == "Status" or value.get("apiVersion") == resource.api_version:
        return value
    return {**value, "apiVersion": resource.api_version}


def rendered(resource: Resource, stored: Stored) -> bytes:
    """An object as JSON, in the version that was asked for."""
    if resource.api_version == resource.storage_api_version:
        return stored.raw
    return msgspec.json.encode(shown(resource, stored.value))


class Representation:
    """Objects and lists as bytes. `clock() -> unix seconds`, for ages."""

    def __init__(self, resource: Resource, form: Form, clock: Callable[[], float]) -> None:
        self._resource = resource
        self._form = form
        self._clock = clock

    def one(self, stored: Stored) -> bytes:
        """An object."""
        if not self._form.kind:
            return rendered(self._resource, stored)
        return self.value(stored.value)

    def value(self, value: Json) -> bytes:
        """An object that may not be stored, or a Status, which stays one."""
        if not self._form.kind or value.get("kind") == "Status":
            return msgspec.json.encode(shown(self._resource, value))
        if self._form.kind == "Table":
            version = {"resourceVersion": (value.get("metadata") or {}).get("resourceVersion", "")}
            return msgspec.json.encode(self._table([value], version))
        return msgspec.json.encode(partial_metadata(value))

    def page(self, page: Page) -> bytes:
        """A part of a list."""
        metadata: Json = {"resourceVersion": str(page.revision)}
        if page.continue_token:
            metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
        if self._form.kind == "Table":
            return msgspec.json.encode(self._table([stored.value for stored in page.items], metadata))
        head = {"kind": self._resource.kind_of_list, "apiVersion": self._resource.api_version, "metadata": metadata}
        if self._form.kind:
            head |= {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        items = b",".join(self.one(stored) for stored in page.items)
        return b'%b,"items":[%b]}' % (msgspec.json.encode(head)[:-1], items)

    def _table(self, values: Sequence[Json], metadata: Json) -> Json:
        whole = [shown(self._resource, value) for value in values]
        return table(self._resource, whole, metadata, now_s=self._clock(), include=self._form.include)
