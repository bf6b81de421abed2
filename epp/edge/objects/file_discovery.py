"""file-discovery: endpoints from a file of their own, without pods or a pool.

    endpoints:
    - {name: a, namespace: default, address: 10.0.0.1, port: "8000", labels: {app: vllm}}

An address may be a host name: it is resolved every 5 s and each of its addresses is an endpoint, because the proxy
needs addresses. `metricsAddress` and `metricsPort`, as fields or as labels, say where the metrics page is.
Source: the reference's plugin file-discovery (IPv4 only there), its file format and limits.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import InvalidInput
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectSink, ObjectState
from epp.core.yaml import Document, YamlLimits, field_path, load_documents
from epp.edge.objects.decode_pod import canonical_address
from epp.edge.objects.file_watch import FileWatch
from epp.edge.objects.findings import Findings, Notice
from epp.edge.objects.manifest import Manifest, without_nulls

POLL_PERIOD_S = 0.25
RESOLVE_PERIOD_S = 5.0
LIMITS = YamlLimits(text_bytes=1024 * 1024)
DEFAULT_POOL_NAME = "epp"
DEFAULT_NAMESPACE = "default"
_ENDPOINT_NAME = re.compile(r"[^\s/]{1,253}")
_HOST_PART = r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)({_HOST_PART}\.)*[A-Za-z]([-A-Za-z0-9_]{{0,61}}[A-Za-z0-9_])?\.?")
"""the last part begins with a letter: 10.0.0.300 is a misspelt address"""

Resolver = Callable[[str], Awaitable[Sequence[str]]]


class _Listed(msgspec.Struct, frozen=True, rename="camel"):
    """An endpoint as the file has it."""

    name: str
    address: str
    port: int | str
    namespace: str = DEFAULT_NAMESPACE
    labels: dict[str, str] = {}
    metrics_address: str = ""
    metrics_port: int | str = 0


class _File(msgspec.Struct, frozen=True):
    endpoints: list[_Listed]


class _Entry(msgspec.Struct, frozen=True):
    """A checked endpoint; `host` is a name, or empty when `address` is one already."""

    listed: _Listed
    address: str
    host: str
    port: int
    metrics_address: str
    """empty: as `address`"""
    metrics_port: int
    """0: as `port`"""
    source: str
    line: int | None
    field: str
    """where the address is written"""


async def resolve_host(host: str) -> list[str]:
    """Addresses of a host name; raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


class FileDiscovery:
    """Tells `sink` the endpoints whenever they change."""

    def __init__(
        self,
        path: Path,
        sink: ObjectSink,
        *,
        watch_file: bool,
        on_problem: Callable[[InvalidInput], None],
        on_notice: Callable[[Notice], None],
        pool_name: str = DEFAULT_POOL_NAME,
        namespace: str = DEFAULT_NAMESPACE,
        resolve: Resolver = resolve_host,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Without `watch_file` the file is read once, when it is there; host names are followed all the same."""
        self._path = path
        self._sink = sink
        self._watch_file = watch_file
        self._pool = InferencePool(namespace, pool_name, match_labels={}, target_ports=())
        self._resolve = resolve
        self._sleep = sleep
        self._watch = FileWatch(path, most_bytes=LIMITS.text_bytes)
        self._findings = Findings(on_problem, on_notice)
        self._entries: tuple[_Entry, ...] | None = None
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._lookups: dict[str, asyncio.Task[None]] = {}
        self._state = ObjectState(None, ())

    @property
    def problems(self) -> tuple[InvalidInput, ...]:
        """Everything that is wrong now."""
        return self._findings.problems

    def poll_once(self) -> None:
        """Looks at the file and applies what changed; resolves nothing."""
        if self._entries is not None and not self._watch_file:
            return
        changes = self._watch.look()
        missing: tuple[Notice, ...] = ()
        problems = changes.problems
        if not changes.root_exists and self._entries is None:
            missing = (Notice(str(self._path), "does not exist; the picker waits for it"),)
        elif not changes.root_exists:
            problems = (InvalidInput(str(self._path), "is gone; the endpoints that it had stay in force"),)
        self._findings.replace("", problems, missing)
        for path, content in changes.changed.items():
            self._load(path, content)

    async def run(self) -> None:
        """Polls and resolves until it is cancelled; a slow look-up delays neither the file nor the others."""
        async with asyncio.TaskGroup() as group:
            while True:
                self.poll_once()
                self._follow_hosts(group)
                await self._sleep(POLL_PERIOD_S)

    def _load(self, path: str, content: bytes) -> None:
        try:
            entries = _entries(load_documents(content, path, limits=LIMITS), path)
        except InvalidInput as error:
            self._findings.replace("file", (error,))
            return
        self._findings.replace("file")
        self._entries = entries
        self._publish()

    def _follow_hosts(self, group: asyncio.TaskGroup) -> None:
        hosts = {entry.host for entry in self._entries or () if entry.host}
        for gone in self._lookups.keys() - hosts:
            self._lookups.pop(gone).cancel()
            self._addresses.pop(gone, None)
            self._findings.forget(f"host {gone}")
        for host in sorted(hosts - self._lookups.keys()):
            self._lookups[host] = group.create_task(self._follow(host))

    async def _follow(self, host: str) -> None:
        while True:
            try:
                found = _in_order(await self._resolve(host))
                problem = "" if found else "has no address"
            except OSError as error:
                found, problem = (), f"cannot be resolved: {error.strerror or error}"
            if problem:
                self._findings.replace(f"host {host}", self._unresolved(host, problem))
            else:
                self._findings.replace(f"host {host}")
                if found != self._addresses.get(host):
                    self._addresses[host] = found
                    self._publish()
            await self._sleep(RESOLVE_PERIOD_S)

    def _unresolved(self, host: str, problem: str) -> list[InvalidInput]:
        kept = "its last addresses stay in force" if host in self._addresses else "its endpoints are left out"
        return [_wrong(entry, f"{host!r} {problem}; {kept}") for entry in self._entries or () if entry.host == host]

    def _publish(self) -> None:
        entries = self._entries or ()
        endpoints: dict[str, Endpoint] = {}
        clashes = []
        for entry in entries:
            for address in self._addresses.get(entry.host, ()) if entry.host else (entry.address,):
                endpoint = _endpoint(entry, address)
                other = endpoints.setdefault(endpoint.destination, endpoint)
                if other is not endpoint:
                    clashes.append(_wrong(entry, f"{endpoint.destination} is {other.key} already; that one counts"))
        self._findings.replace("clashes", clashes)
        ports = tuple(dict.fromkeys(entry.port for entry in entries))
        pool = msgspec.structs.replace(self._pool, target_ports=ports)
        state = ObjectState(pool, tuple(endpoints.values()))
        if state != self._state:
            self._state = state
            self._sink.objects_changed(state)


def _entries(documents: list[Document], source: str) -> tuple[_Entry, ...]:
    """The endpoints of a file; raises InvalidInput for the first fault."""
    if len(documents) != 1:
        raise InvalidInput(source, f"{len(documents)} documents; expected one, with a list `endpoints`")
    manifest = Manifest(without_nulls(documents[0]), (), DEFAULT_NAMESPACE)
    entries = []
    names: set[tuple[str, str]] = set()
    for index, listed in enumerate(manifest.read(_File).endpoints):
        path = ("endpoints", index)
        if not _ENDPOINT_NAME.fullmatch(listed.name):
            raise manifest.mistake(
                (*path, "name"), f"{listed.name!r} is not a name: 1 to 253 characters, no '/' or space"
            )
        if (listed.namespace, listed.name) in names:
            raise manifest.mistake((*path, "name"), f"{listed.namespace}/{listed.name} is listed twice")
        names.add((listed.namespace, listed.name))
        entries.append(_entry(manifest, path, listed))
    return tuple(entries)


def _entry(manifest: Manifest, path: tuple[str | int, ...], listed: _Listed) -> _Entry:
    at_address = (*path, "address")
    is_host = _HOST.fullmatch(listed.address) is not None
    metrics_address, at_metrics_address = _metrics_field("metricsAddress", listed.metrics_address, path, listed)
    if metrics_address and not _HOST.fullmatch(str(metrics_address)):
        canonical_address(manifest, at_metrics_address, str(metrics_address))
    metrics_port, at_metrics_port = _metrics_field("metricsPort", listed.metrics_port, path, listed)
    if not is_host and not _is_address(listed.address):
        raise manifest.mistake(at_address, f"{listed.address!r} is neither an IP address nor a host name")
    return _Entry(
        listed=listed,
        address="" if is_host else canonical_address(manifest, at_address, listed.address),
        host=listed.address if is_host else "",
        port=_port(manifest, (*path, "port"), listed.port),
        metrics_address=str(metrics_address),
        metrics_port=_port(manifest, at_metrics_port, metrics_port) if metrics_port else 0,
        source=manifest.document.source,
        line=manifest.line_of(at_address),
        field=field_path(at_address),
    )


def _metrics_field(
    name: str, field: int | str, path: tuple[str | int, ...], listed: _Listed
) -> tuple[int | str, tuple[str | int, ...]]:
    """The field, else the label of that name, and where it is written; the reference has labels for clusters."""
    if not field and name in listed.labels:
        return listed.labels[name], (*path, "labels", name)
    return field, (*path, name)


def _port(manifest: Manifest, path: tuple[str | int, ...], written: int | str) -> int:
    text = str(written)
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        raise manifest.mistake(path, f"{written!r} is not a port: 1 to 65535")
    manifest.check_port(path, int(text))
    return int(text)


def _endpoint(entry: _Entry, address: str) -> Endpoint:
    listed = entry.listed
    return Endpoint.create(
        namespace=listed.namespace,
        pod=f"{listed.name}-{address.replace(':', '-')}" if entry.host else listed.name,
        rank=0,
        address=address,
        port=entry.port,
        labels=listed.labels,
        metrics_address=entry.metrics_address,
        metrics_port=entry.metrics_port,
    )


def _wrong(entry: _Entry, problem: str) -> InvalidInput:
    return InvalidInput(entry.source, problem, line=entry.line, field=entry.field)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _in_order(addresses: Sequence[str]) -> tuple[str, ...]:
    """Usable addresses, each once: IPv4 before IPv6, by number."""
    usable = {ipaddress.ip_address(address) for address in addresses if "%" not in address}
    return tuple(str(address) for address in sorted(usable, key=lambda address: (address.version, int(address))))
