"""Faults, restarts, and the server as a process."""

from pathlib import Path

import aiohttp
import msgspec
import pytest

from epp.lab.child_process import ChildProcess
from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.process import ReadyKubeApi
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.free_ports import free_port
from tests.support.kube_api import PODS, KubeClient, pod


async def test_injected_errors(api: KubeApi, kube: KubeClient) -> None:
    api.faults.add(Fault(verb="list", resource="pods", status=429, retry_after_s=7, times=1))
    api.faults.add(Fault(resource="pods", status=500, times=1))
    status, told = await kube.get(PODS)
    assert (status, told["reason"], kube.last_headers["Retry-After"]) == (429, "TooManyRequests", "7")
    status, told = await kube.get(PODS)
    assert (status, told["message"]) == (500, "Internal error occurred: injected fault")
    assert (await kube.get(PODS))[0] == 200
    fault = api.faults.add(Fault(user="kubernetes-admin", forbidden=True))
    status, told = await kube.get(PODS)
    assert (status, told["reason"]) == (403, "Forbidden")
    assert 'User "kubernetes-admin" cannot list resource "pods"' in told["message"]
    api.faults.remove(fault)
    assert (await kube.get(PODS))[0] == 200


@pytest.mark.parametrize("after_bytes", [0, 40])
async def test_a_connection_that_breaks(api: KubeApi, kube: KubeClient, after_bytes: int) -> None:
    await kube.create(PODS, pod("a"))
    api.faults.add(Fault(verb="list", cut_after_bytes=after_bytes))
    with pytest.raises(aiohttp.ClientError):
        await kube.get(PODS)
    api.faults.clear()
    assert (await kube.get(PODS))[0] == 200


async def test_a_watch_that_is_silent_from_the_start(api: KubeApi, kube: KubeClient) -> None:
    api.faults.add(Fault(verb="watch", silent=True))
    await kube.create(PODS, pod("a"))
    async with kube.watch(PODS, timeoutSeconds="1") as watch:
        assert await watch.ended()


async def test_a_slow_answer(api: KubeApi, kube: KubeClient) -> None:
    api.faults.add(Fault(delay_s=30.0))
    with pytest.raises(TimeoutError):
        async with kube.session.get(f"{api.url}/version", timeout=aiohttp.ClientTimeout(total=0.05)):
            pass


async def test_objects_survive_a_restart_and_earlier_versions_do_not() -> None:
    async with KubeApi() as api, KubeClient(api.url, api.ca_pem, api.admin_token) as kube:
        _, made = await kube.create(PODS, pod("a"))
        await kube.create(PODS, pod("b"))
        before = api.url
        await api.restart()
        assert api.url == before
        assert [item["metadata"]["name"] for item in (await kube.get(PODS))[1]["items"]] == ["a", "b"]
        async with kube.watch(PODS, resourceVersion=made["metadata"]["resourceVersion"]) as watch:
            kind, status = await watch.event()
            assert (kind, status["code"]) == ("ERROR", 410)
        await api.kill()
        with pytest.raises(aiohttp.ClientError):
            await kube.get(PODS)
        await api.start()
        assert (await kube.get(f"{PODS}/a"))[1]["metadata"]["uid"] == made["metadata"]["uid"]


async def test_the_audit_log(api: KubeApi, kube: KubeClient) -> None:
    await kube.get(PODS, limit="5")
    await kube.get("/version")
    entries = list(api.audit)
    assert [(entry.verb, entry.resource, entry.status) for entry in entries] == [
        ("list", "pods", 200),
        ("get", "", 200),
    ]
    assert (entries[0].query, entries[0].user, entries[0].namespace) == ("limit=5", "kubernetes-admin", "default")
    assert api.audit.counts()["list", "pods"] == 1
    api.audit.clear()
    assert api.audit.count("list") == 0


async def test_a_clock_that_is_ahead() -> None:
    settings = KubeApiSettings(clock_offset_s=3600)
    async with KubeApi(settings, clock=lambda: 1_700_000_000.0) as api:
        made = api.objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}})
    assert made["metadata"]["creationTimestamp"] == "2023-11-14T23:13:20Z"


async def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    arguments = ["kube-api", "--port", str(free_port()), "--kubeconfig", str(tmp_path / "config")]
    process = ChildProcess("kube-api", [*arguments, "--state", str(tmp_path / "state")], tmp_path)
    ready = await process.start(ReadyKubeApi)
    state = msgspec.json.decode((tmp_path / "state").read_bytes().partition(b"\n")[0])
    ca_pem, token = state["certificates"]["ca_pem"], state["admin_token"]
    try:
        async with KubeClient(ready.url, ca_pem, token) as kube:
            _, made = await kube.create(PODS, pod("a"))
            await kube.create(PODS, pod("b"))
            await kube.delete(f"{PODS}/b")
            await process.kill()
            again = await process.start(ReadyKubeApi)
            assert again == ready
            assert (await kube.get(f"{PODS}/a"))[1] == made
            assert (await kube.get(f"{PODS}/b"))[0] == 404
            assert (await kube.create(PODS, pod("b")))[0] == 201
    finally:
        await process.stop()
    assert process.returncode == 0
