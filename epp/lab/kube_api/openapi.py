"""OpenAPI v3 documents: as much as kubectl and client libraries look at.

For each group and version: the paths with their patch operation and its parameters, from which kubectl learns that the
server validates fields and knows dry runs; the media types of patches, which custom resources have fewer of; and the
schemas, from which it learns how lists are merged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from epp.lab.kube_api.resources import Catalogue, Resource
from epp.lab.kube_api.schema import KindSchemas, Schema

_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")
_DEFINITIONS = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


class OpenApi:
    """Documents of what is served now."""

    def __init__(self, catalogue: Catalogue, schemas: KindSchemas) -> None:
        self._catalogue = catalogue
        self._schemas = schemas

    def index(self) -> Json:
        """/openapi/v3: the path of each document, with a hash that changes with it."""
        paths = dict.fromkeys(_path_of(resource) for resource in self._catalogue)
        return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self._hash(path)}"} for path in paths}}

    def document(self, path: str) -> Json | None:
        """/openapi/v3/<path>, None for one that there is not."""
        found = [resource for resource in self._catalogue if _path_of(resource) == path]
        if not found:
            return None
        paths: Json = {}
        for resource in found:
            paths |= _paths(resource)
        return {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": "v1.33.0"},
            "paths": paths,
            "components": {"schemas": self._components(found)},
        }

    def _hash(self, path: str) -> str:
        return hashlib.sha256(msgspec.json.encode(self.document(path))).hexdigest().upper()[:32]

    def _components(self, resources: Iterable[Resource]) -> Json:
        components: Json = {}
        waiting = []
        for resource in resources:
            name = self._schemas.name_of(resource.api_version, resource.kind)
            if name:
                waiting.append(name)
            elif isinstance(resource.schema, Schema):
                kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
                raw = {**resource.schema.raw, "x-kubernetes-group-version-kind": [kind]}
                components[_name_of_custom(resource)] = raw
        while waiting:
            name = waiting.pop()
            if name not in components:
                components[name] = _as_v3(self._schemas.definitions[name])
                waiting += _references(self._schemas.definitions[name])
        return components


def _path_of(resource: Resource) -> str:
    return f"apis/{resource.api_version}" if resource.group else f"api/{resource.version}"


def _name_of_custom(resource: Resource) -> str:
    reversed_group = ".".join(reversed(resource.group.split(".")))
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _paths(resource: Resource) -> Json:
    """The collection and the object, with the operations that clients look for."""
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    root = f"/{_path_of(resource)}{'/namespaces/{namespace}' if resource.namespaced else ''}/{resource.plural}"
    media = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH] + ([] if resource.custom else [STRATEGIC_PATCH])
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _PARAMETERS]
    described: Json = {"x-kubernetes-group-version-kind": kind, "parameters": parameters, "responses": {}}
    body = {"content": {each: {"schema": {"type": "object"}} for each in media}}
    patch = {**described, "x-kubernetes-action": "patch", "requestBody": body}
    found: Json = {}
    if "create" in resource.verbs:
        found[root] = {"post": {**described, "x-kubernetes-action": "post"}}
    if "patch" in resource.verbs:
        found[f"{root}/{{name}}"] = {"patch": patch}
    return found


def _as_v3(raw: Any) -> Any:
    """Definitions in the form of version 3: references to components, null as `nullable`."""
    if isinstance(raw, list):
        return [_as_v3(each) for each in raw]
    if not isinstance(raw, Mapping):
        return raw
    made = {key: _as_v3(value) for key, value in raw.items()}
    if isinstance(raw.get("$ref"), str):
        made["$ref"] = raw["$ref"].replace(_DEFINITIONS, _COMPONENTS)
    if isinstance(raw.get("type"), list):
        made["type"] = next((each for each in raw["type"] if each != "null"), "string")
    return made


def _references(raw: Any) -> list[str]:
    if isinstance(raw, list):
        return [name for each in raw for name in _references(each)]
    if not isinstance(raw, Mapping):
        return []
    own = [raw["$ref"].removeprefix(_DEFINITIONS)] if isinstance(raw.get("$ref"), str) else []
    return own + [name for each in raw.values() for name in _references(each)]
