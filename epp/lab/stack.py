"""The local stack: fake vLLM pods, the picker and a real Envoy, each a process of its own."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import aiohttp
import msgspec

from epp.lab.api_server_home import ApiServerHome
from epp.lab.child_process import ChildError, ChildProcess
from epp.lab.envoy_config import EnvoyOptions, PickerTls, SocketAddress, envoy_config
from epp.lab.envoy_parts import Config
from epp.lab.envoy_process import EnvoyProcess
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.object_home import DirectoryHome, ObjectHome
from epp.lab.picker_pages import PickerPages
from epp.lab.picker_replica import LOOPBACK, PickerReplica
from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan, free_port
from epp.lab.pool_files import stack_manifests

START_ATTEMPTS = 3
READY_WITHIN_S = 30.0
POLL_S = 0.05


class ReadyPods(msgspec.Struct, frozen=True):
    """What `epp fake-vllm` writes into its ready file."""

    pods: list[ReadyPod]


def unchanged(config: Config) -> Config:
    """The configuration as it is."""
    return config


class LocalStack:
    """`async with LocalStack(plan) as stack:` starts everything and leaves no process behind."""

    def __init__(self, plan: StackPlan, *, edit_envoy: Callable[[Config], Config] = unchanged) -> None:
        """`edit_envoy` has the last word on Envoy's configuration."""
        self.plan = plan
        self._edit_envoy = edit_envoy
        self.pods: list[ReadyPod] = []
        self.pickers: list[PickerReplica] = []
        self.envoy: EnvoyProcess
        self._temporary = tempfile.TemporaryDirectory(prefix="epp-up-")
        self.directory = Path(self._temporary.name)
        self.objects = self.directory / "objects"
        """of a stack without an API server: the files of its objects; the picker follows changes"""
        self.home: ObjectHome = (
            ApiServerHome(self.directory, with_election=plan.pickers > 1) if plan.kube else DirectoryHome(self.objects)
        )
        self.pods_process: ChildProcess | None = None
        self._envoy: EnvoyProcess | None = None

    @property
    def url(self) -> str:
        """Where clients send requests."""
        return f"http://{LOOPBACK}:{self.envoy.listener_port}"

    @property
    def picker(self) -> PickerReplica:
        """The first one, which leads until it ends."""
        return self.pickers[0]

    async def __aenter__(self) -> Self:
        try:
            await self._start_pods()
            await self._place_objects()
            await self._start_pickers()
            await self._start_envoy()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, Exception):
            for line in self._ends_of_logs():  # they go with the directory
                error.add_note(line)
        await self.stop()

    async def stop(self) -> None:
        """Ends the processes in the order in which requests flow."""
        if self._envoy is not None:
            await self._envoy.stop()
        await asyncio.gather(*(picker.stop() for picker in self.pickers))
        await self.home.stop()
        if self.pods_process is not None:
            await self.pods_process.stop()
        self._temporary.cleanup()

    def _ends_of_logs(self) -> Iterator[str]:
        """What each picker said last, and the exit code of one that has ended."""
        for picker in self.pickers:
            if picker.process is not None:
                code = picker.process.returncode
                state = "runs" if code is None else f"ended with exit code {code}"
                yield f"{picker.name} {state}; the end of its log:\n{picker.process.log_tail()}"

    async def ready_pages(self, session: aiohttp.ClientSession) -> PickerPages:
        """Pages of the picker that is ready, of the first one when none is; raises nothing."""
        for picker in self.pickers:
            pages = picker.pages(session)
            try:
                if not await pages.unready_reason():
                    return pages
            except aiohttp.ClientError:
                continue
        return self.picker.pages(session)

    async def _start_pods(self) -> None:
        for attempt in range(START_ATTEMPTS):
            pods = ChildProcess("pods", self._pod_arguments(free_port(self.plan.hosts)), self.directory)
            try:
                self.pods = (await pods.start(ReadyPods)).pods
            except ChildError:  # another stack may have taken the port since it was found free
                if attempt + 1 == START_ATTEMPTS:
                    raise
            else:
                self.pods_process = pods
                break

    async def _place_objects(self) -> None:
        plan = self.plan
        await self.home.start()
        manifests = stack_manifests(self.pods, plan.roles, port=plan.pool_port, app_protocol=plan.app_protocol)
        await self.home.put(*manifests)

    async def _start_pickers(self) -> None:
        """One after the other: the first one is to lead, and no second one takes the lease before it."""
        for number in range(self.plan.pickers):
            name = "picker" if self.plan.pickers == 1 else f"picker-{number}"
            flags = [*await self.home.picker_flags(name), *self._picker_flags()]
            picker = PickerReplica(name, flags, self.directory, pages_token=self.home.pages_token)
            self.pickers.append(picker)
            await picker.start()
            if number == 0:
                await self._until_ready(picker)

    async def _until_ready(self, picker: PickerReplica) -> None:
        reason = ""
        async with aiohttp.ClientSession() as session:
            pages = picker.pages(session)
            try:
                async with asyncio.timeout(READY_WITHIN_S):
                    while True:
                        reason = await pages.unready_reason()
                        if not reason:
                            return
                        await asyncio.sleep(POLL_S)
            except TimeoutError:
                raise ChildError(f"{picker.name} was not ready after {READY_WITHIN_S:g} s: {reason}") from None

    def _pod_arguments(self, port: int) -> list[str]:
        arguments = ["fake-vllm", "--model", BASE_MODEL, "--name", "vllm", "--port", str(port)]
        arguments += ["--max-loras", str(self.plan.max_loras), "--speed", str(self.plan.speed)]
        arguments += ["--num-gpu-blocks", str(self.plan.kv_blocks)]
        for host in self.plan.hosts:
            arguments += ["--host", host]
        for adapter in ADAPTERS:
            arguments += ["--lora-modules", f"{adapter}=/adapters/{adapter}"]
        return [*arguments, *self.plan.pod_flags]

    def _picker_flags(self) -> list[str]:
        flags = [
            # All replicas write the one file that Envoy watches. It is replaced in one step, and made from the same
            # objects by each of them, so it says the same whoever wrote last. A replica whose watch is some
            # milliseconds behind may take a pod out again that another one has added already: for as long Envoy passes
            # over a pick that it does not know and takes another pod, and the late one mends the file as it catches up.
            f"--envoy-eds={self._eds_path}",
            f"--secure-serving={str(self.plan.secure).lower()}",
            "--drain-timeout=0s",
        ]
        if self.plan.pool_port:
            flags.append(f"--model-server-metrics-port={self.pods[0].port}")
        if self.plan.config_file is not None:
            flags.append(f"--config-file={self.plan.config_file}")
        return [*flags, *self.plan.picker_flags]

    @property
    def _eds_path(self) -> Path:
        directory = self.directory / "eds"
        directory.mkdir(exist_ok=True)
        return directory / "endpoints.json"

    async def _start_envoy(self) -> None:
        places = [picker.ports for picker in self.pickers]
        options = EnvoyOptions(
            body_mode=self.plan.body_mode,
            failure_mode=self.plan.failure_mode,
            listener=SocketAddress(LOOPBACK, self.plan.listener_port),
            admin=SocketAddress(LOOPBACK, 0),
            probes="off",
            pickers=tuple(SocketAddress(LOOPBACK, port) for ports in places for port in ports.ext_proc_ports),
            picker_health_ports=tuple(ports.health_port for ports in places for _ in ports.ext_proc_ports)
            if len(places) > 1
            else (),
            picker_tls=PickerTls() if self.plan.secure else None,
            eds_path=str(self._eds_path),
            app_protocol=self.plan.app_protocol,
        )
        self._envoy = self.envoy = EnvoyProcess(self._edit_envoy(envoy_config(options)))
        await self.envoy.start()
