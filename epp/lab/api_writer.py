"""Writes objects into an API server, as kubectl does: where a kind lies is asked of the server itself (discovery)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from epp.edge.objects.kubernetes.api_server import MERGE_PATCH, ApiServer
from epp.edge.objects.kubernetes.errors import ApiError, Conflict, NotFound
from epp.lab.pool_files import Manifest

KIND_WITHIN_ATTEMPTS = 50
KIND_RETRY_S = 0.1
"""a server serves the kind of a new CRD a moment after it has taken the CRD"""


class _Listed(msgspec.Struct, frozen=True):
    name: str
    kind: str
    namespaced: bool


class _ResourceList(msgspec.Struct, frozen=True):
    resources: list[_Listed] = []


class _Place(msgspec.Struct, frozen=True):
    """Of the objects of one kind: `root` is the path of the version, `plural` the resource."""

    root: str
    plural: str
    namespaced: bool
    has_status: bool

    def collection(self, manifest: Manifest) -> str:
        namespace = f"/namespaces/{manifest['metadata'].get('namespace', 'default')}" if self.namespaced else ""
        return f"{self.root}{namespace}/{self.plural}"


class _TokenStatus(msgspec.Struct, frozen=True):
    token: str


class _TokenRequest(msgspec.Struct, frozen=True):
    status: _TokenStatus


class ApiWriter:
    """Every method raises ApiError."""

    def __init__(self, api: ApiServer, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._api = api
        self._sleep = sleep
        self._places: dict[tuple[str, str], _Place] = {}

    async def put(self, manifest: Manifest) -> None:
        """Creates the object, or merges the manifest into the one that is there.

        A status goes to the subresource, because a server takes it nowhere else; a uid is the server's to give.
        """
        place = await self._place(manifest)
        collection, name = place.collection(manifest), manifest["metadata"]["name"]
        metadata = {field: value for field, value in manifest["metadata"].items() if field != "uid"}
        body: dict[str, Any] = {**manifest, "metadata": metadata}
        status = body.pop("status", None)
        try:
            await self._api.request("POST", collection, body=body)
        except Conflict:
            await self._patch(f"{collection}/{name}", body)
        if status is not None and place.has_status:
            await self._patch(f"{collection}/{name}/status", {"status": status})

    async def remove(self, manifest: Manifest) -> None:
        """Deletes the object at once; harmless when it is not there."""
        place = await self._place(manifest)
        path = f"{place.collection(manifest)}/{manifest['metadata']['name']}"
        try:
            # A pod would otherwise wait for its kubelet, and there is none here.
            await self._api.request("DELETE", path, [("gracePeriodSeconds", "0")])
        except NotFound:
            return

    async def token(self, namespace: str, account: str, lifetime_s: int) -> str:
        """A token of a service account, from TokenRequest."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": lifetime_s},
        }
        answer = await self._api.request("POST", path, body=body)
        return msgspec.json.decode(answer, type=_TokenRequest).status.token

    async def _patch(self, path: str, patch: dict[str, Any]) -> None:
        await self._api.request("PATCH", path, body=patch, content_type=MERGE_PATCH)

    async def _place(self, manifest: Manifest) -> _Place:
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        for _ in range(KIND_WITHIN_ATTEMPTS):
            if found := self._places.get((api_version, kind)):
                return found
            await self._discover(api_version)
            if (api_version, kind) not in self._places:
                await self._sleep(KIND_RETRY_S)
        raise ApiError(f"{self._api.url} serves no {kind} of {api_version}: is its CRD installed?")

    async def _discover(self, api_version: str) -> None:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = await self._api.request("GET", root)
        except NotFound:
            return
        listed = msgspec.json.decode(answer, type=_ResourceList).resources
        names = {each.name for each in listed}
        for each in listed:
            if "/" not in each.name:
                place = _Place(root, each.name, each.namespaced, f"{each.name}/status" in names)
                self._places[api_version, each.kind] = place
