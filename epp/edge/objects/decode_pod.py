"""Pod v1: who serves, where, and whether it is ready.

Ready is: condition Ready is True, no deletionTimestamp, an IP address (the reference's rule).
"""

import ipaddress

import msgspec

from epp.edge.objects.manifest import Manifest, Metadata, Origin

ACTIVE_PORTS_ANNOTATIONS = ("llm-d.ai/active-ports", "inference.networking.k8s.io/active-ports")


class PodCondition(msgspec.Struct, frozen=True):
    """What is read of a condition; `status` is True, False or Unknown, as text."""

    type: str = ""
    status: str = ""


class PodIP(msgspec.Struct, frozen=True):
    """One of several addresses."""

    ip: str = ""


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of a container."""

    restart_count: int = 0


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of `status`."""

    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: list[PodIP] = msgspec.field(default_factory=list, name="podIPs")
    conditions: list[PodCondition] = []
    container_statuses: list[ContainerStatus] = []


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of `spec`."""

    node_name: str = ""


class Pod(msgspec.Struct, frozen=True):
    """The parts of a Pod that say where it serves."""

    metadata: Metadata
    spec: PodSpec | None = None
    status: PodStatus | None = None


class PodObject(msgspec.Struct, frozen=True):
    """A pod as the picker sees it."""

    namespace: str
    name: str
    labels: dict[str, str]
    address: str
    """primary address in its canonical form, empty before it has one"""
    is_ready: bool
    """Ready, not leaving, with an address"""
    has_status: bool
    incarnation: str
    """uid and number of restarts"""
    active_ports: frozenset[int] | None
    """the target ports in use (annotation active-ports); None means all"""
    origin: Origin
    node: str = ""
    """name of the machine, empty before it has one"""


def decode_pod(manifest: Manifest) -> PodObject:
    """Raises InvalidInput."""
    shape = manifest.read(Pod)
    namespace, name = manifest.name_of(shape.metadata)
    metadata, status = shape.metadata, shape.status or PodStatus()
    address = _address(manifest, status)
    is_ready = any(condition.type == "Ready" and condition.status == "True" for condition in status.conditions)
    restarts = sum(container.restart_count for container in status.container_statuses)
    return PodObject(
        namespace=namespace,
        name=name,
        labels=metadata.labels,
        address=address,
        is_ready=is_ready and bool(address) and not metadata.deletion_timestamp,
        has_status=shape.status is not None,
        incarnation=f"{metadata.uid}/{restarts}",
        active_ports=_active_ports(manifest, metadata.annotations),
        origin=manifest.origin,
        node=shape.spec.node_name if shape.spec else "",
    )


def _address(manifest: Manifest, status: PodStatus) -> str:
    if status.pod_ip:
        return canonical_address(manifest, ("status", "podIP"), status.pod_ip)
    for index, entry in enumerate(status.pod_ips):
        if entry.ip:
            return canonical_address(manifest, ("status", "podIPs", index, "ip"), entry.ip)
    return ""


def canonical_address(manifest: Manifest, path: tuple[str | int, ...], text: str) -> str:
    """An IP address in the form in which proxies write it; raises InvalidInput."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise manifest.mistake(path, f"{text!r} is not an IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise manifest.mistake(path, f"{text!r} has a scope: an address for use between hosts is needed")
    return str(address)


def _active_ports(manifest: Manifest, annotations: dict[str, str]) -> frozenset[int] | None:
    annotation = next((name for name in ACTIVE_PORTS_ANNOTATIONS if name in annotations), None)
    if annotation is None:
        return None
    path = ("metadata", "annotations", annotation)
    ports = set()
    for part in filter(None, (part.strip() for part in annotations[annotation].split(","))):
        if not (part.isascii() and part.isdigit() and len(part) <= 5):
            raise manifest.mistake(path, f"{part!r} is not a port: expected a list such as 8000,8001")
        manifest.check_port(path, int(part))
        ports.add(int(part))
    return frozenset(ports)
