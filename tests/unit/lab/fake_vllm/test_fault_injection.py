"""Faults and draining over HTTP."""

import asyncio
from typing import Any

import aiohttp
import pytest

from epp.lab.fake_vllm.pod import FakePod
from tests.unit.lab.fake_vllm.conftest import StartPod

COMPLETION = "/v1/completions"
ONE_TOKEN = {"prompt": "x", "max_tokens": 1}


async def inject(client: aiohttp.ClientSession, pod: FakePod, **faults: Any) -> None:
    async with client.post(pod.url + "/debug/faults", json=faults) as response:
        assert (response.status, await response.json()) == (200, faults)


async def status_of(client: aiohttp.ClientSession, url: str) -> int:
    async with client.get(url) as response:
        return response.status


async def test_health_can_fail_alone(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    await inject(client, pod, health=503)
    assert await status_of(client, pod.url + "/health") == 503
    async with client.post(pod.url + COMPLETION, json=ONE_TOKEN) as response:
        assert response.status == 200
    await inject(client, pod)
    assert await status_of(client, pod.url + "/health") == 200


async def test_some_requests_can_fail(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    await inject(client, pod, status=500, times=2)
    statuses = []
    for _ in range(3):
        async with client.post(pod.url + COMPLETION, json=ONE_TOKEN) as response:
            statuses.append(response.status)
    assert statuses == [500, 500, 200]
    assert [served.outcome for served in pod.served] == ["refused", "refused", "completed"]


async def test_connections_can_be_dropped(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    await inject(client, pod, drop_connections=True)
    with pytest.raises(aiohttp.ClientError):
        await client.post(pod.url + COMPLETION, json=ONE_TOKEN)
    with pytest.raises(aiohttp.ClientError):
        await client.get(pod.url + "/health")
    await inject(client, pod)
    assert await status_of(client, pod.url + "/health") == 200


async def test_metrics_can_go_wrong_in_every_way(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    url = pod.url + "/metrics"
    await inject(client, pod, metrics=500)
    assert await status_of(client, url) == 500
    await inject(client, pod, metrics="empty")
    async with client.get(url) as response:
        assert (response.status, await response.read()) == (200, b"")
    await inject(client, pod, metrics="garbage")
    async with client.get(url) as response:
        assert response.status == 200
        with pytest.raises(UnicodeDecodeError):
            (await response.read()).decode()
    await inject(client, pod, metrics="silent")
    with pytest.raises(TimeoutError):
        await client.get(url, timeout=aiohttp.ClientTimeout(total=0.05))
    await inject(client, pod)
    assert await status_of(client, url) == 200


async def test_adapters_can_be_impossible_to_load(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    url, body = pod.url + "/v1/load_lora_adapter", {"lora_name": "cad", "lora_path": "repo/cad"}
    await inject(client, pod, adapters=503)
    async with client.post(url, json=body) as response:
        assert response.status == 503
    await inject(client, pod, adapters="silent")
    with pytest.raises(TimeoutError):
        await client.post(url, json=body, timeout=aiohttp.ClientTimeout(total=0.05))
    await inject(client, pod, missing_sources=["repo/cad"])
    async with client.post(url, json=body) as response:
        assert response.status == 404
        assert "Loading lora cad failed: No adapter found for repo/cad" in await response.text()
    await inject(client, pod)
    async with client.post(url, json=body) as response:
        assert response.status == 200


async def test_requests_can_be_delayed(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    await inject(client, pod, delay_s=0.1)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    async with client.post(pod.url + COMPLETION, json=ONE_TOKEN) as response:
        assert response.status == 200
    assert loop.time() - begin >= 0.1


async def test_unknown_faults_are_refused_and_change_nothing(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod()
    await inject(client, pod, health=500)
    async with client.post(pod.url + "/debug/faults", json={"healht": 200}) as response:
        assert response.status == 400
    async with client.get(pod.url + "/debug/faults") as response:
        assert await response.json() == {"health": 500}


async def test_a_draining_pod_finishes_what_it_has(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod(speed=10)
    body = {"prompt": "x", "max_tokens": 300, "ignore_eos": True, "stream": True}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        await response.content.readuntil(b"\n\n")
        draining = asyncio.ensure_future(pod.drain(grace_s=20))
        while await status_of(client, pod.url + "/health") != 503:
            assert not draining.done()
        async with client.post(pod.url + COMPLETION, json=ONE_TOKEN) as refused:
            assert refused.status == 503
        assert not draining.done()
        rest = await response.read()

    assert rest.endswith(b"data: [DONE]\n\n")
    assert await draining
    assert [(served.outcome, served.status) for served in pod.served] == [("refused", 503), ("completed", 200)]


async def test_a_drain_gives_up_when_the_grace_is_over(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod(speed=1)
    body = {"prompt": "x", "max_tokens": 2000, "ignore_eos": True, "stream": True}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        assert not await pod.drain(grace_s=0.02)
        await pod.stop()
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert pod.served[0].outcome == "aborted"


async def test_idle_connections_are_closed_after_the_keepalive_timeout(start_pod: StartPod) -> None:
    pod = await start_pod(keepalive_timeout_s=0.05)
    reader, writer = await asyncio.open_connection(pod.host, pod.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: pod\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")

    assert await reader.read() == b"", "closed by the pod"
    writer.close()
    await writer.wait_closed()


async def test_an_idle_pod_has_no_timer(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    async with client.post(pod.url + COMPLETION, json=ONE_TOKEN) as response:
        assert response.status == 200
    driver = pod._running().driver
    assert driver._timer is None
    assert driver._readers == {}
