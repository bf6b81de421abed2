"""The local stack: fake vLLM pods, the picker and a real Envoy, each a process of its own."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec

from epp.lab.child_process import ChildError, ChildProcess
from epp.lab.envoy_config import EnvoyOptions, PickerTls, SocketAddress, envoy_config
from epp.lab.envoy_parts import Config
from epp.lab.envoy_process import EnvoyProcess
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan, free_port
from epp.lab.pool_files import write_pool

LOOPBACK = "127.0.0.1"
START_ATTEMPTS = 3


class ReadyPods(msgspec.Struct, frozen=True):
    """What `epp fake-vllm` writes into its ready file."""

    pods: list[ReadyPod]


class ReadyPicker(msgspec.Struct, frozen=True):
    """What `epp serve` writes into its ready file."""

    grpc_port: int
    health_port: int
    metrics_port: int


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
        self.picker: ReadyPicker
        self.envoy: EnvoyProcess
        self._temporary = tempfile.TemporaryDirectory(prefix="epp-up-")
        self.directory = Path(self._temporary.name)
        self.pods_process: ChildProcess | None = None
        self.picker_process: ChildProcess | None = None
        self._envoy: EnvoyProcess | None = None

    @property
    def url(self) -> str:
        """Where clients send requests."""
        return f"http://{LOOPBACK}:{self.envoy.listener_port}"

    @property
    def picker_url(self) -> str:
        """The picker's HTTP pages."""
        return f"http://{LOOPBACK}:{self.picker.metrics_port}"

    @property
    def objects(self) -> Path:
        """Directory of the Kubernetes objects; the picker follows changes."""
        return self.directory / "objects"

    async def __aenter__(self) -> Self:
        try:
            await self._start_pods()
            await self.start_picker()
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
        for child in (self.picker_process, self.pods_process):
            if child is not None:
                await child.stop()
        self._temporary.cleanup()

    async def start_picker(self) -> None:
        """Starts the picker, on its former port if it had one."""
        former = getattr(self, "picker", None)
        self.picker_process = ChildProcess("picker", self._picker_arguments(former), self.directory)
        self.picker = await self.picker_process.start(ReadyPicker)

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
        plan = self.plan
        write_pool(self.objects, self.pods, plan.roles, port=plan.pool_port, app_protocol=plan.app_protocol)

    def _pod_arguments(self, port: int) -> list[str]:
        arguments = ["fake-vllm", "--model", BASE_MODEL, "--name", "vllm", "--port", str(port)]
        arguments += ["--max-loras", str(self.plan.max_loras), "--speed", str(self.plan.speed)]
        arguments += ["--num-gpu-blocks", str(self.plan.kv_blocks)]
        for host in self.plan.hosts:
            arguments += ["--host", host]
        for adapter in ADAPTERS:
            arguments += ["--lora-modules", f"{adapter}=/adapters/{adapter}"]
        return [*arguments, *self.plan.pod_flags]

    def _picker_arguments(self, former: ReadyPicker | None) -> list[str]:
        ports = former or ReadyPicker(0, 0, 0)
        arguments = [
            "serve",
            f"--objects={self.objects}",
            f"--envoy-eds={self._eds_path}",
            f"--bind-address={LOOPBACK}",
            f"--grpc-port={ports.grpc_port}",
            f"--grpc-health-port={ports.health_port}",
            f"--metrics-port={ports.metrics_port}",
            f"--secure-serving={str(self.plan.secure).lower()}",
            "--drain-timeout=0s",
        ]
        if self.plan.pool_port:
            arguments.append(f"--model-server-metrics-port={self.pods[0].port}")
        if self.plan.config_file is not None:
            arguments.append(f"--config-file={self.plan.config_file}")
        return [*arguments, *self.plan.picker_flags]

    @property
    def _eds_path(self) -> Path:
        directory = self.directory / "eds"
        directory.mkdir(exist_ok=True)
        return directory / "endpoints.json"

    async def _start_envoy(self) -> None:
        options = EnvoyOptions(
            body_mode=self.plan.body_mode,
            failure_mode=self.plan.failure_mode,
            listener=SocketAddress(LOOPBACK, self.plan.listener_port),
            admin=SocketAddress(LOOPBACK, 0),
            probes="off",
            pickers=(SocketAddress(LOOPBACK, self.picker.grpc_port),),
            picker_tls=PickerTls() if self.plan.secure else None,
            eds_path=str(self._eds_path),
            app_protocol=self.plan.app_protocol,
        )
        self._envoy = self.envoy = EnvoyProcess(self._edit_envoy(envoy_config(options)))
        await self.envoy.start()
