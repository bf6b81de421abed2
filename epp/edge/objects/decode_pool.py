"""InferencePool: `inference.networking.k8s.io/v1`, and `inference.networking.x-k8s.io/v1alpha2` before it.

The rules are those of the CRDs, so that what is refused here is refused by a cluster, and the other way round.
Source: config/crd of gateway-api-inference-extension v1.0 to v1.6.
"""

from typing import Literal, cast, get_args

import msgspec

from epp.core.domain.pool import POOL_GROUP, AppProtocol, InferencePool
from epp.core.yaml import Path
from epp.edge.objects.manifest import MOST_NAME_CHARACTERS, Manifest, Metadata

ALPHA_POOL_GROUP = "inference.networking.x-k8s.io"
MOST_SELECTOR_LABELS = 64
MOST_TARGET_PORTS = 8
APP_PROTOCOLS: tuple[str, ...] = get_args(AppProtocol)
FAILURE_MODES = ("FailOpen", "FailClose")


class LabelSelector(msgspec.Struct, frozen=True, rename="camel"):
    """Equality only."""

    match_labels: dict[str, str] = {}


class Port(msgspec.Struct, frozen=True):
    """An object with a port number."""

    number: int


class EndpointPickerRef(msgspec.Struct, frozen=True, rename="camel"):
    """Where the gateway finds the picker; the picker itself reads failureMode only."""

    name: str
    group: str = ""
    kind: str = "Service"
    port: Port | None = None
    failure_mode: str = "FailClose"


class PoolSpec(msgspec.Struct, frozen=True, rename="camel"):
    """spec of v1."""

    selector: LabelSelector
    target_ports: list[Port]
    app_protocol: str | None = None
    endpoint_picker_ref: EndpointPickerRef | None = None


class Pool(msgspec.Struct, frozen=True):
    """v1."""

    metadata: Metadata
    spec: PoolSpec


class ExtensionRef(msgspec.Struct, frozen=True, rename="camel"):
    """endpointPickerRef of v1alpha2; the port defaults to 9002."""

    name: str
    group: str = ""
    kind: str = "Service"
    port_number: int = 9002
    failure_mode: str = "FailClose"


class AlphaPoolSpec(msgspec.Struct, frozen=True, rename="camel"):
    """spec of v1alpha2: the selector is a flat map, there is one port."""

    selector: dict[str, str]
    target_port_number: int
    extension_ref: ExtensionRef | None = None


class AlphaPool(msgspec.Struct, frozen=True):
    """v1alpha2."""

    metadata: Metadata
    spec: AlphaPoolSpec


def decode_pool(manifest: Manifest) -> InferencePool | None:
    """An object of v1; None while it is being deleted. Raises InvalidInput."""
    shape = manifest.read(Pool)
    namespace, name = manifest.name_of(shape.metadata)
    spec = shape.spec
    _check_selector(manifest, ("spec", "selector", "matchLabels"), spec.selector.match_labels)
    ports = _target_ports(manifest, spec.target_ports)
    if spec.app_protocol is not None:
        manifest.check_choice(("spec", "appProtocol"), spec.app_protocol, APP_PROTOCOLS)
    reference = spec.endpoint_picker_ref
    if reference is not None:
        _check_picker_ref(manifest, reference)
    if shape.metadata.deletion_timestamp:
        return None
    return InferencePool(
        namespace=namespace,
        name=name,
        match_labels=spec.selector.match_labels,
        target_ports=ports,
        app_protocol=cast("AppProtocol | None", spec.app_protocol),
        failure_mode=_failure_mode(reference.failure_mode if reference else "FailClose"),
        group=POOL_GROUP,
        uid=shape.metadata.uid,
    )


def decode_alpha_pool(manifest: Manifest) -> InferencePool | None:
    """An object of v1alpha2; None while it is being deleted. Raises InvalidInput."""
    shape = manifest.read(AlphaPool)
    namespace, name = manifest.name_of(shape.metadata)
    spec = shape.spec
    _check_selector(manifest, ("spec", "selector"), spec.selector)
    manifest.check_port(("spec", "targetPortNumber"), spec.target_port_number)
    reference = spec.extension_ref
    if reference is not None:
        path = ("spec", "extensionRef")
        _check_reference_name(manifest, path, reference.name)
        manifest.check_port((*path, "portNumber"), reference.port_number)
        manifest.check_choice((*path, "failureMode"), reference.failure_mode, FAILURE_MODES)
    if shape.metadata.deletion_timestamp:
        return None
    return InferencePool(
        namespace=namespace,
        name=name,
        match_labels=spec.selector,
        target_ports=(spec.target_port_number,),
        failure_mode=_failure_mode(reference.failure_mode if reference else "FailClose"),
        group=ALPHA_POOL_GROUP,
        uid=shape.metadata.uid,
    )


def _check_selector(manifest: Manifest, path: Path, labels: dict[str, str]) -> None:
    if not labels:
        raise manifest.mistake(path, "the selector needs at least one label")
    if len(labels) > MOST_SELECTOR_LABELS:
        raise manifest.mistake(path, f"{len(labels)} labels, at most {MOST_SELECTOR_LABELS} are allowed")
    manifest.check_labels(path, labels)


def _target_ports(manifest: Manifest, ports: list[Port]) -> tuple[int, ...]:
    path = ("spec", "targetPorts")
    if not 1 <= len(ports) <= MOST_TARGET_PORTS:
        raise manifest.mistake(path, f"{len(ports)} ports, 1 to {MOST_TARGET_PORTS} are allowed")
    numbers: list[int] = []
    for index, port in enumerate(ports):
        manifest.check_port((*path, index, "number"), port.number)
        if port.number in numbers:
            raise manifest.mistake((*path, index, "number"), f"port {port.number} is listed twice")
        numbers.append(port.number)
    return tuple(numbers)


def _check_picker_ref(manifest: Manifest, reference: EndpointPickerRef) -> None:
    path = ("spec", "endpointPickerRef")
    _check_reference_name(manifest, path, reference.name)
    if reference.port is not None:
        manifest.check_port((*path, "port", "number"), reference.port.number)
    elif reference.kind == "Service":
        raise manifest.mistake(path, "port is required when kind is Service or not given")
    manifest.check_choice((*path, "failureMode"), reference.failure_mode, FAILURE_MODES)


def _check_reference_name(manifest: Manifest, path: tuple[str, ...], name: str) -> None:
    if not 1 <= len(name) <= MOST_NAME_CHARACTERS:
        raise manifest.mistake((*path, "name"), f"{len(name)} characters, 1 to {MOST_NAME_CHARACTERS} are allowed")


def _failure_mode(text: str) -> Literal["FailOpen", "FailClose"]:
    return "FailOpen" if text == "FailOpen" else "FailClose"
