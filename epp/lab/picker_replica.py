"""One picker of a local stack: a process that may end and come back on its former ports."""

from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from epp.lab.child_process import ChildProcess
from epp.lab.picker_pages import PickerPages

LOOPBACK = "127.0.0.1"


class ReadyPicker(msgspec.Struct, frozen=True):
    """What `epp serve` writes into its ready file."""

    grpc_port: int
    health_port: int
    metrics_port: int
    picker_ports: tuple[int, ...] = ()
    """where each picker process of one replica has a port of its own; else all are behind `grpc_port`"""

    @property
    def ext_proc_ports(self) -> tuple[int, ...]:
        """Where Envoy finds it."""
        return self.picker_ports or (self.grpc_port,)


class PickerReplica:
    """`start`, as often as it has ended."""

    def __init__(self, name: str, flags: Sequence[str], directory: Path, *, pages_token: str = "") -> None:
        """`flags` are those of `epp serve` but for addresses and ports; `pages_token` opens its pages."""
        self.name = name
        self.process: ChildProcess | None = None
        self.ports = ReadyPicker(0, 0, 0)
        self._flags = flags
        self._directory = directory
        self._pages_token = pages_token

    @property
    def url(self) -> str:
        """Its HTTP pages."""
        return f"http://{LOOPBACK}:{self.ports.metrics_port}"

    async def start(self) -> None:
        """Starts it, and returns when it listens, whether or not it is ready; raises ChildError."""
        arguments = [
            "serve",
            f"--bind-address={LOOPBACK}",
            f"--metrics-bind-address={LOOPBACK}",
            f"--grpc-port={self.ports.grpc_port}",
            f"--grpc-health-port={self.ports.health_port}",
            f"--metrics-port={self.ports.metrics_port}",
            *self._flags,
        ]
        # The name tells replicas apart in the lease and in events, as the name of a pod does.
        self.process = ChildProcess(self.name, arguments, self._directory, environment={"POD_NAME": self.name})
        self.ports = await self.process.start(ReadyPicker)

    async def stop(self, grace_s: float = 5.0) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; harmless when it has ended."""
        if self.process is not None:
            await self.process.stop(grace_s)

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            await self.process.kill()

    def pages(self, session: aiohttp.ClientSession) -> PickerPages:
        """Its pages."""
        return PickerPages(session, self.url, self._pages_token)
