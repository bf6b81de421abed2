"""Paths that are no resources: health, version, discovery."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from epp.lab.kube_api.discovery import AGGREGATED, aggregated, group_list, legacy_versions, resource_list
from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.openapi import OpenApi
from epp.lab.kube_api.request_info import RequestInfo
from epp.lab.kube_api.resources import Catalogue
from epp.lab.kube_api.responses import answer
from epp.lab.kube_api.schema import KindSchemas
from epp.lab.kube_api.status import PageNotFound

VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.0",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-04-23T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_OPEN_API_V2 = {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": {}}
_OPEN_API_V2_AS_PROTOBUF = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.33.0\x42\x00"
"""the same in the form of gnostic's openapi_v2.Document"""
_PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_HEALTH = ("/healthz", "/livez", "/readyz")


class Paths:
    """Answers every path that is not below a resource."""

    def __init__(self, catalogue: Catalogue, schemas: KindSchemas) -> None:
        self._catalogue = catalogue
        self._open_api = OpenApi(catalogue, schemas)

    def answer(self, info: RequestInfo, headers: Mapping[str, str]) -> web.Response:
        """The answer; raises PageNotFound."""
        path = info.path.rstrip("/")
        if path in _HEALTH:
            return answer(b"ok", content_type="text/plain; charset=utf-8")
        if path == "/version":
            return _json(VERSION)
        if path in ("/api", "/apis"):
            return self._roots(path, headers.get("Accept", ""))
        if path == "/openapi/v3":
            return _json(self._open_api.index())
        if path == "/openapi/v2":
            return _open_api_v2(headers.get("Accept", ""))
        if path.startswith("/openapi/v3/"):
            document = self._open_api.document(path.removeprefix("/openapi/v3/"))
            if document is None:
                raise PageNotFound
            return _json(document)
        parts = path.strip("/").split("/")
        if parts[0] == "api" and len(parts) == 2:
            return self._resources("", parts[1])
        if parts[0] == "apis" and len(parts) == 3:
            return self._resources(parts[1], parts[2])
        if parts[0] == "apis" and len(parts) == 2:
            return self._group(parts[1])
        raise PageNotFound

    def _roots(self, path: str, accept: str) -> web.Response:
        if AGGREGATED in accept.replace(" ", "").replace("application/json;", ""):
            only_core = path == "/api"
            groups = aggregated(self._catalogue, only_core=only_core)
            return answer(msgspec.json.encode(groups), content_type=f"application/json;{AGGREGATED}")
        return _json(legacy_versions() if path == "/api" else group_list(self._catalogue))

    def _resources(self, group: str, version: str) -> web.Response:
        found = [each for each in self._catalogue if (each.group, each.version) == (group, version)]
        if not found:
            raise PageNotFound
        return _json(resource_list(found))

    def _group(self, name: str) -> web.Response:
        for group in group_list(self._catalogue)["groups"]:
            if group["name"] == name:
                return _json({"kind": "APIGroup", "apiVersion": "v1", **group})
        raise PageNotFound


def _json(value: Json) -> web.Response:
    return answer(msgspec.json.encode(value))


def _open_api_v2(accept: str) -> web.Response:
    """A document without paths: who asks for version 2 has not found what they want in version 3."""
    if _PROTOBUF_V2 in accept:
        return answer(_OPEN_API_V2_AS_PROTOBUF, content_type=_PROTOBUF_V2.replace("@", "."))
    return _json(_OPEN_API_V2)
