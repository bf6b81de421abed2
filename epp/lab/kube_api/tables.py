"""Tables: what `kubectl get` prints, made by the server from each kind's columns."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from epp.lab.kube_api.json_object import Json, dig, metadata_of
from epp.lab.kube_api.jsonpath import found_at
from epp.lab.kube_api.resources import Column, Resource

_NAME = "Name must be unique within a namespace."
_CREATED = "CreationTimestamp is the server time when this object was created."
_CRDS = "apiextensions.k8s.io/customresourcedefinitions"
Cells = Callable[[Json], list[Any]]


def table(resource: Resource, values: Sequence[Json], metadata: Json, *, now_s: float, include: str) -> Json:
    """A Table. `include` is what of each object a row carries: Metadata, Object or None; `now_s` is unix time."""
    columns, cells = _columns(resource, now_s)
    rows = [
        {"cells": [_name(value), *cells(value), *_age(resource, value, now_s)], **_carried(value, include)}
        for value in values
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [_definition(each) for each in columns],
        "rows": rows,
    }


def _columns(resource: Resource, now_s: float) -> tuple[list[Column], Cells]:
    name = Column("Name", "", "string", "name", _NAME)
    age = [] if _has_age(resource) else [Column("Age", "", "string", "", _CREATED)]
    if resource.storage_key in _BUILT_IN:
        shown, cells = _BUILT_IN[resource.storage_key]
        return [name, *shown, *age], cells
    return [name, *resource.columns, *age], lambda value: [_cell(column, value, now_s) for column in resource.columns]


def _has_age(resource: Resource) -> bool:
    """Whether its own columns tell it; a CRD without columns has just its age."""
    return resource.storage_key == _CRDS or any(column.name == "Age" for column in resource.columns)


def _name(value: Json) -> str:
    return str(metadata_of(value).get("name", ""))


def _age(resource: Resource, value: Json, now_s: float) -> list[str]:
    if _has_age(resource):
        return []
    return [age_of(metadata_of(value).get("creationTimestamp"), now_s)]


def age_of(since: str | None, now_s: float) -> str:
    """`5s`, `2m10s`, `3h5m`, `4d`, as kubectl prints it."""
    if not since:
        return "<unknown>"
    seconds = max(int(now_s - dt.datetime.fromisoformat(since).timestamp()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{days}d"


def _cell(column: Column, value: Json, now_s: float) -> Any:
    found = found_at(value, column.path)
    if not found:
        return None
    if column.type == "date":
        return age_of(found[0], now_s)
    return found[0] if len(found) == 1 else ",".join(str(each) for each in found)


def _carried(value: Json, include: str) -> Json:
    if include == "None":
        return {}
    return {"object": value if include == "Object" else partial_metadata(value)}


def partial_metadata(value: Json) -> Json:
    """PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata_of(value)}


def _definition(column: Column) -> Json:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description or f"Custom resource definition column (in JSONPath format): {column.path}",
        "priority": column.priority,
    }


def _pod(value: Json) -> list[Any]:
    containers = dig(value, "spec", "containers") or []
    statuses = dig(value, "status", "containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in statuses)
    restarts = sum(each.get("restartCount", 0) for each in statuses)
    phase = dig(value, "status", "phase") or "Unknown"
    shown = "Terminating" if metadata_of(value).get("deletionTimestamp") else phase
    return [f"{ready}/{len(containers)}", shown, restarts]


def _service(value: Json) -> list[Any]:
    spec = value.get("spec") or {}
    ports = ",".join(f"{port.get('port')}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or ())
    return [spec.get("type", "ClusterIP"), spec.get("clusterIP") or "<none>", "<none>", ports or "<none>"]


def _deployment(value: Json) -> list[Any]:
    status, wanted = value.get("status") or {}, dig(value, "spec", "replicas")
    wanted = 1 if wanted is None else wanted
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    return [ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0)]


def _data(value: Json) -> list[Any]:
    return [len(value.get("data") or {}) + len(value.get("binaryData") or {})]


def _strings(*names: str) -> list[Column]:
    return [Column(name, "", "string", "", name) for name in names]


def _event(value: Json) -> list[Any]:
    about = value.get("involvedObject") or value.get("regarding") or {}
    told = value.get("message") or value.get("note") or ""
    return [
        value.get("type", ""),
        value.get("reason", ""),
        f"{about.get('kind', '')}/{about.get('name', '')}".lower(),
        told,
    ]


_BUILT_IN: Mapping[str, tuple[list[Column], Cells]] = {
    "/pods": ([*_strings("Ready", "Status"), Column("Restarts", "", "integer", "", "Restarts")], _pod),
    "/services": (_strings("Type", "Cluster-IP", "External-IP", "Port(s)"), _service),
    "/configmaps": ([Column("Data", "", "integer", "", "Data")], _data),
    "/secrets": (
        [*_strings("Type"), Column("Data", "", "integer", "", "Data")],
        lambda value: [value.get("type", "Opaque"), *_data(value)],
    ),
    "/events": (_strings("Type", "Reason", "Object", "Message"), _event),
    "events.k8s.io/events": (_strings("Type", "Reason", "Object", "Message"), _event),
    "apps/deployments": (
        [*_strings("Ready"), *(Column(n, "", "integer", "", n) for n in ("Up-to-date", "Available"))],
        _deployment,
    ),
    _CRDS: (
        [Column("Created At", "", "date", "", _CREATED)],
        lambda value: [metadata_of(value).get("creationTimestamp")],
    ),
    "rbac.authorization.k8s.io/rolebindings": (
        _strings("Role"), lambda value: [f"{dig(value, 'roleRef', 'kind')}/{dig(value, 'roleRef', 'name')}"]
    ),
    "rbac.authorization.k8s.io/clusterrolebindings": (
        _strings("Role"), lambda value: [f"{dig(value, 'roleRef', 'kind')}/{dig(value, 'roleRef', 'name')}"]
    ),
}  # fmt: skip
