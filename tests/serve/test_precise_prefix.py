"""`epp serve` with a precise producer: a prompt goes where an engine says that it is cached."""

import asyncio
from pathlib import Path

import aiohttp
import msgspec

from epp.core.protocol.events import BodyMode
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings, PodSettings
from tests.support.ext_proc_client import ExtProcClient
from tests.support.free_ports import free_port
from tests.support.object_yaml import documents, pod_yaml, pool_yaml
from tests.support.served_picker import served_picker

HOSTS = ("127.0.0.1", "127.0.0.2")
PROMPT = "four score and seven years ago " * 20
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: precise-prefix-cache-producer
  parameters:
    kvEventsConfig: {podDiscoveryConfig: {socketPort: %d, replaySocketPort: %d}}
- type: prefix-cache-scorer
"""


async def test_a_prompt_goes_where_its_blocks_are(tmp_path: Path) -> None:
    port, event_port, replay_port = free_port(*HOSTS), free_port(*HOSTS), free_port(*HOSTS)
    engine = EngineSettings(latency=LatencySettings(speed=100.0))
    pods = [
        FakePod(
            PodSettings(
                host=host,
                port=port,
                model="m",
                kv_events_port=event_port,
                kv_events_replay_port=replay_port,
                engine=engine,
            )
        )
        for host in HOSTS
    ]
    config = tmp_path / "picker.yaml"
    config.write_text(CONFIG % (event_port, replay_port))
    body = {"model": "m", "prompt": PROMPT, "max_tokens": 1}
    try:
        for pod in pods:
            await pod.start()
        async with aiohttp.ClientSession() as client, client.post(pods[1].url + "/v1/completions", json=body) as answer:
            assert answer.status == 200
        async with served_picker(tmp_path, f"--config-file={config}") as picker:
            picker.write("all.yaml", documents(pool_yaml(ports=(port,)), *(pod_yaml(host, host) for host in HOSTS)))
            await picker.until_endpoints(*(pod.address for pod in pods))

            async def is_indexed() -> bool:
                return bool(await picker.pages.metric("epp_prefix_index_blocks"))

            await picker.until(is_indexed, "blocks of the time before the picker are replayed")
            async with ExtProcClient(picker.ports.grpc_port) as envoy:
                picked = []
                for mode in (BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED) * 3:
                    request = envoy.request(mode)
                    async with asyncio.timeout(10.0):
                        forwarded = await request.send(msgspec.json.encode(body))
                    await request.answered(served=forwarded.destination)
                    request.reset()
                    picked.append(forwarded.destination)
            assert picked == [pods[1].address] * 6
            assert picker.logged("no token ids, the approximate prefix index decides") == []
    finally:
        for pod in pods:
            await pod.stop()
