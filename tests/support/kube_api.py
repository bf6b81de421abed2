"""An emulated API server in a test, and a plain client for it that checks certificates.

async with KubeApi() as api, KubeClient(api.url, api.ca_pem, api.admin_token) as kube:
    status, pods = await kube.get("/api/v1/namespaces/default/pods")
"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings

Json = dict[str, Any]
MERGE = "application/merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"
WIDGETS = "/apis/lab.example.com/v1/namespaces/default/widgets"


class KubeClient:
    """Requests as (status, JSON), with whatever headers a test wants."""

    def __init__(self, url: str, ca_pem: str, token: str | None) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = ssl.create_default_context(cadata=ca_pem)
        self._session: aiohttp.ClientSession | None = None
        self.last_headers: Any = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls), headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """For what the methods below do not do."""
        assert self._session is not None
        return self._session

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: str,
    ) -> tuple[int, Any]:
        """Status and JSON of any request; text where the answer is no JSON."""
        data = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        headers = {"Accept": accept} | ({"Content-Type": content_type} if data is not None else {})
        url = self._url + path
        async with self.session.request(method, url, data=data, headers=headers, params=query) as response:
            text = await response.text()
            self.last_headers = response.headers
            return response.status, json.loads(text) if "json" in response.content_type else text

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """GET."""
        return await self.ask("GET", path, **query)

    async def create(self, path: str, value: Json, **query: str) -> tuple[int, Any]:
        """POST."""
        return await self.ask("POST", path, value, **query)

    async def update(self, path: str, value: Json, **query: str) -> tuple[int, Any]:
        """PUT."""
        return await self.ask("PUT", path, value, **query)

    async def merge(self, path: str, value: Json, **query: str) -> tuple[int, Any]:
        """PATCH with a JSON merge patch."""
        return await self.ask("PATCH", path, value, content_type=MERGE, **query)

    async def delete(self, path: str, value: Json | None = None, **query: str) -> tuple[int, Any]:
        """DELETE."""
        return await self.ask("DELETE", path, value, **query)

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator["WatchReader"]:
        """A watch that is open."""
        params = {"watch": "true", **query}
        async with self.session.get(self._url + path, params=params) as response:
            yield WatchReader(response)


class WatchReader:
    """Events of one watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def event(self) -> tuple[str, Json]:
        """The next one: its type and object; raises EOFError at the end."""
        line = await self.response.content.readline()
        if not line:
            raise EOFError
        event = json.loads(line)
        return event["type"], event["object"]

    async def short(self) -> tuple[str, str]:
        """The next one: its type and the object's name."""
        kind, value = await self.event()
        return kind, value["metadata"].get("name", "")

    async def ended(self) -> bool:
        """Whether nothing more comes."""
        return await self.response.content.read() == b""


def pod(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Json:
    """A pod with one container, in the namespace of the path."""
    container = {"name": "vllm", "image": "vllm:1"}
    metadata: Json = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


def crd(*, schema: Json | None = None, **version: Any) -> Json:
    """The CRD of widgets.lab.example.com, with a status subresource."""
    spec = schema or {"type": "object", "properties": {"size": {"type": "integer"}, "colour": {"type": "string"}}}
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    whole = {"type": "object", "properties": {"spec": spec, "status": status}}
    v1 = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": whole}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.lab.example.com"},
        "spec": {
            "group": "lab.example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{**v1, "subresources": {"status": {}}, **version}],
        },
    }


def widget(name: str, /, **spec: Any) -> Json:
    """A widget, in the namespace of the path."""
    return {"apiVersion": "lab.example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    """A server on a free port."""
    async with KubeApi(KubeApiSettings(seed=1)) as server:
        yield server


@pytest.fixture
async def kube(api: KubeApi) -> AsyncIterator[KubeClient]:
    """A client that may do everything."""
    async with KubeClient(api.url, api.ca_pem, api.admin_token) as client:
        yield client
