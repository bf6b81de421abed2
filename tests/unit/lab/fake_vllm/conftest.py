"""A running pod on a free port and an HTTP client."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import msgspec
import pytest

from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import AdapterSource, EngineSettings, LatencySettings, PodSettings

StartPod = Callable[..., Awaitable[FakePod]]

FAST = EngineSettings(num_gpu_blocks=2000, max_loras=2, latency=LatencySettings(speed=100.0))
SETTINGS = PodSettings(
    name="pod-a",
    model="meta/base",
    adapters=(AdapterSource("food", "repo/food"),),
    engine=FAST,
)


@pytest.fixture
async def start_pod() -> AsyncIterator[StartPod]:
    """Starts pods, `speed=1` and other settings as keywords; all are stopped at the end."""
    pods: list[FakePod] = []

    async def start(speed: float = 100.0, engine: dict[str, object] | None = None, **changes: object) -> FakePod:
        latency = msgspec.structs.replace(FAST.latency, speed=speed)
        settings = msgspec.structs.replace(
            SETTINGS, engine=msgspec.structs.replace(FAST, latency=latency, **(engine or {})), **changes
        )
        pod = FakePod(settings)
        await pod.start()
        pods.append(pod)
        return pod

    yield start
    for pod in pods:
        await pod.stop()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session
