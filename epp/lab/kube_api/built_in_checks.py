"""What the schemas of built-in kinds do not say, where clients run into it: pods, workloads, services."""

from collections.abc import Iterator
from typing import Any

from epp.lab.kube_api.json_object import Json, dig
from epp.lab.kube_api.schema import Schema
from epp.lab.kube_api.selectors import match_labels
from epp.lab.kube_api.status import Cause, required, wrong_value

_WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")


def required_problems(value: Any, schema: Schema, path: str = "") -> Iterator[Cause]:
    """Required fields, for which empty texts and lists are as good as none. Status is the controllers' own."""
    if isinstance(value, dict):
        for name in schema.required:
            if value.get(name) in (None, "", []):
                yield required(f"{path}.{name}".lstrip("."))
        for name, part in value.items():
            below = schema.child(name)
            if below is not None and name not in ("status", "metadata"):
                yield from required_problems(part, below, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and schema.items is not None:
        for index, each in enumerate(value):
            yield from required_problems(each, schema.items, f"{path}[{index}]")


def built_in_problems(value: Json, before: Json | None) -> Iterator[Cause]:
    """By kind."""
    kind = value["kind"]
    if kind == "Pod":
        yield from _containers(value.get("spec") or {}, "spec")
    elif kind in _WORKLOADS:
        yield from _containers(dig(value, "spec", "template", "spec") or {}, "spec.template.spec")
        yield from _selector(value, before)
    elif kind == "Service":
        yield from _ports(value)


def _containers(spec: Json, path: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    names: set[str] = set()
    for index, container in enumerate(spec.get("containers") or ()):
        if not container.get("image"):
            yield required(f"{path}.containers[{index}].image")
        name = container.get("name", "")
        if name and name in names:
            text = f'Duplicate value: "{name}"'
            yield Cause(f"{path}.containers[{index}].name", "FieldValueDuplicate", text)
        names.add(name)


def _selector(value: Json, before: Json | None) -> Iterator[Cause]:
    selector = dig(value, "spec", "selector")
    labels = dig(value, "spec", "template", "metadata", "labels") or {}
    if not selector:
        return
    if not match_labels(selector)({"metadata": {"labels": labels}}):
        yield wrong_value("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")
    if before is not None and dig(before, "spec", "selector") != selector:
        yield wrong_value("spec.selector", selector, "field is immutable")


def _ports(value: Json) -> Iterator[Cause]:
    ports = dig(value, "spec", "ports") or ()
    if not ports and dig(value, "spec", "type") != "ExternalName" and dig(value, "spec", "clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        if not 1 <= port.get("port", 0) <= 65_535:
            yield wrong_value(
                f"spec.ports[{index}].port", port.get("port", 0), "must be between 1 and 65535, inclusive"
            )
        if len(ports) > 1 and not port.get("name"):
            yield required(f"spec.ports[{index}].name")
