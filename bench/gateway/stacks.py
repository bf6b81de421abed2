"""A gateway to measure: the benchmark's pods, `epp serve` in one of its variants, and a real Envoy before them.

Envoy has the shipped configuration with the variant's options, and two worker threads. The variant without a picker is
the same Envoy without its ext_proc filter: it spreads requests over the same pods on its own, and is what latencies are
compared with.
"""

import asyncio
import copy
import os
import tempfile
from pathlib import Path
from typing import Literal, Self

import aiohttp
import msgspec

from bench.gateway.cpu import process_tree, rss_bytes
from epp.edge.gateway.eds import EdsFile
from epp.lab.child_process import ChildError, ChildProcess
from epp.lab.envoy_config import EnvoyOptions, PickerTls, SocketAddress, envoy_config
from epp.lab.envoy_parts import Config, http_manager
from epp.lab.envoy_process import EnvoyProcess
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.object_home import DirectoryHome
from epp.lab.picker_pages import PickerPages
from epp.lab.picker_replica import LOOPBACK, PickerReplica
from epp.lab.pool_files import stack_manifests
from epp.lab.stack import ReadyPods
from epp.lab.verdict import ext_proc_counters

EPP, ENVOY, PODS = "epp", "envoy", "pods"
"""names under which CPU is reported"""
EXT_PROC_FILTER = "envoy.filters.http.ext_proc"
ENVOY_THREADS = 2
USAGE_ERROR = 2
"""exit code of `epp` when it does not know a flag or refuses its value"""
READY_WITHIN_S = 60.0
POLL_S = 0.05


class UnavailableError(Exception):
    """This version of `epp serve` refuses the variant's flags; the message is its own."""


class Variant(msgspec.Struct, frozen=True):
    """How a gateway is set up; `transport` None is a gateway without a picker."""

    name: str
    transport: Literal["grpcio", "native"] | None
    body_mode: Literal["buffered", "full-duplex"] = "buffered"
    workers: int = 0
    secure: bool = False
    """TLS between Envoy and the picker"""

    @property
    def picker_flags(self) -> list[str]:
        """Of `epp serve`."""
        secure = str(self.secure).lower()
        ports = ["--worker-ports"] if self.workers else []
        return [f"--transport={self.transport}", f"--workers={self.workers}", *ports, f"--secure-serving={secure}"]


class GatewayStack:
    """`async with GatewayStack(variant, 10) as stack:` starts everything and leaves no process behind.

    Entering raises UnavailableError, ChildError or EnvoyError.
    """

    def __init__(self, variant: Variant, pods: int) -> None:
        self.variant = variant
        self.envoy: EnvoyProcess
        self._count = pods
        self._temporary = tempfile.TemporaryDirectory(prefix="epp-bench-")
        self.directory = Path(self._temporary.name)
        self._pods = ChildProcess("pods", self._pod_arguments(), self.directory, module="bench.gateway.pods")
        self._picker: PickerReplica | None = None
        self._envoy: EnvoyProcess | None = None
        self._counted: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        try:
            pods = (await self._pods.start(ReadyPods)).pods
            if self.variant.transport is None:
                EdsFile(self._eds_path).write((pod.host, pod.port) for pod in pods)
            else:
                await self._start_picker(pods)
            await self._start_envoy()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Ends the processes in the order in which requests flow."""
        if self._envoy is not None:
            await self._envoy.stop()
        if self._picker is not None:
            await self._picker.stop()
        await self._pods.stop()
        self._temporary.cleanup()

    def watched(self) -> dict[str, tuple[int, ...]]:
        """Processes whose CPU is measured, by name; a picker with its workers is one of them."""
        pids = {ENVOY: process_tree(self.envoy.pid), PODS: process_tree(self._pods.pid)}
        return pids | ({EPP: self._picker_pids()} if self._picker else {})

    def picker_rss_bytes(self) -> tuple[int, ...]:
        """Resident memory of the picker's processes, the parent first; empty without a picker."""
        return tuple(rss_bytes(pid) for pid in self._picker_pids()) if self._picker else ()

    def picker_pages(self, session: aiohttp.ClientSession) -> PickerPages:
        """The picker's own pages."""
        assert self._picker is not None
        return self._picker.pages(session)

    async def counters(self) -> dict[str, int]:
        """What Envoy's ext_proc counters gained since the last call; what must be 0 is in `violations`."""
        stats = await self.envoy.stats("ext_proc")
        now = ext_proc_counters(stats)
        now["stream_msgs_sent"] = sum(int(value) for name, value in stats.items() if name.endswith("stream_msgs_sent"))
        gained = {name: value - self._counted.get(name, 0) for name, value in now.items()}
        self._counted = now
        return gained

    def _picker_pids(self) -> tuple[int, ...]:
        assert self._picker is not None
        assert self._picker.process is not None
        return process_tree(self._picker.process.pid)

    def _pod_arguments(self) -> list[str]:
        # A part of 127.0.0.0/8 of its own, so that other stacks may run beside this one.
        return ["--network", f"127.{20 + os.getpid() % 200}", "--pods", str(self._count)]

    @property
    def _eds_path(self) -> Path:
        directory = self.directory / "eds"
        directory.mkdir(exist_ok=True)
        return directory / "endpoints.json"

    async def _start_picker(self, pods: list[ReadyPod]) -> None:
        home = DirectoryHome(self.directory / "objects")
        await home.start()
        await home.put(*stack_manifests(pods))
        flags = [*await home.picker_flags("picker"), f"--envoy-eds={self._eds_path}", "--drain-timeout=0s"]
        self._picker = PickerReplica("picker", [*flags, *self.variant.picker_flags], self.directory)
        try:
            await self._picker.start()
        except ChildError as error:
            if self._picker.process is not None and self._picker.process.returncode == USAGE_ERROR:
                raise UnavailableError(str(error).rpartition("Error: ")[2].strip()) from error
            raise
        await self._until_scraped(self._picker)

    async def _until_scraped(self, picker: PickerReplica) -> None:
        known = fresh = 0
        async with aiohttp.ClientSession() as session:
            pages = picker.pages(session)
            try:
                async with asyncio.timeout(READY_WITHIN_S):
                    while fresh != self._count:
                        await asyncio.sleep(POLL_S)
                        endpoints = await pages.endpoints()
                        known, fresh = len(endpoints), sum(not endpoint.stale for endpoint in endpoints)
            except TimeoutError:
                raise ChildError(
                    f"the picker knew {known} of {self._count} pods after {READY_WITHIN_S:g} s and had scraped {fresh}"
                ) from None

    async def _start_envoy(self) -> None:
        ports = self._picker.ports.ext_proc_ports if self._picker else ()
        options = EnvoyOptions(
            body_mode=self.variant.body_mode,
            listener=SocketAddress(LOOPBACK, 0),
            admin=SocketAddress(LOOPBACK, 0),
            probes="off",
            pickers=tuple(SocketAddress(LOOPBACK, port) for port in ports),
            picker_tls=PickerTls() if self.variant.secure else None,
            eds_path=str(self._eds_path),
        )
        config = envoy_config(options)
        if self._picker is None:
            config = without_picker(config)
        self._envoy = self.envoy = EnvoyProcess(config, concurrency=ENVOY_THREADS)
        await self.envoy.start()


def without_picker(config: Config) -> Config:
    """The same gateway, which asks nobody: its fallback policy spreads requests over the pool."""
    config = copy.deepcopy(config)
    manager = http_manager(config)
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] != EXT_PROC_FILTER]
    return config
