"""An API server in trouble: what was read stays in force, trouble is told, and the picture is right afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from epp.core.domain.pool import POOL_GROUP
from epp.edge.objects.kubernetes import api_server, reflector
from epp.edge.objects.kubernetes.reflector import Sync
from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.eventually import eventually
from tests.support.kube_objects import NAMESPACE, Followed, followed, install_crds, pod, pool


@pytest.fixture
async def cluster() -> AsyncIterator[KubeApi]:
    """A pool with one pod."""
    async with KubeApi(KubeApiSettings(seed=1)) as api:
        install_crds(api)
        api.objects.create(pool())
        api.objects.create(pod("vllm-0", "10.0.0.1"))
        yield api


async def until_synced(seen: Followed) -> None:
    await seen.until(lambda state: state.endpoints)
    await eventually(lambda: {found.sync for found in seen.source.conditions.values()} <= {Sync.SYNCED, Sync.MISSING})


async def test_while_the_server_is_away_the_picture_stays_and_its_age_is_told(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await until_synced(seen)
        assert seen.source.stale_s == 0.0
        states = len(seen.states)
        await cluster.kill()
        await seen.until_problem(f"API server: {cluster.url} cannot be asked")
        await eventually(lambda: seen.source.stale_s > 0.0)
        cluster.objects.create(pod("vllm-1", "10.0.0.2"))
        cluster.objects.delete("v1", "Pod", NAMESPACE, "vllm-0", grace_s=0)
        assert len(seen.states) == states, "what was read stays in force"
        await cluster.start()
        await seen.until(lambda _: seen.destinations == ["10.0.0.2:8000"], within_s=20.0)
        await seen.until_no_problem()
        assert seen.source.stale_s == 0.0
        assert cluster.audit.count("list", "pods") == 1, "the versions in between are asked for"


async def test_a_server_that_has_forgotten_is_listed_anew(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await until_synced(seen)
        await cluster.kill()
        cluster.objects.create(pod("vllm-1", "10.0.0.2"))
        cluster.compact()
        await cluster.restart()
        await seen.until(lambda state: len(state.endpoints) == 2, within_s=20.0)
        assert cluster.audit.count("list", "pods") == 2


async def test_a_watch_that_says_nothing_is_begun_anew(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path, silence_s=0.3) as seen:
        await until_synced(seen)
        cluster.watches.silence()
        cluster.objects.create(pod("vllm-1", "10.0.0.2"))
        await seen.until(lambda state: len(state.endpoints) == 2)
        assert cluster.audit.count("list", "pods") == 1


async def test_a_watch_that_is_cut_in_the_middle_of_a_line(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await until_synced(seen)
        cluster.watches.cut()
        cluster.objects.create(pod("vllm-1", "10.0.0.2"))
        await seen.until(lambda state: len(state.endpoints) == 2)
        await seen.until_no_problem()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(verb="list", resource="pods", status=500, times=2),
        Fault(verb="list", resource="pods", status=503, retry_after_s=1, times=1),
        Fault(verb="list", resource="pods", status=429, retry_after_s=1, times=1),
        Fault(verb="list", resource="pods", cut_after_bytes=40, times=2),
        Fault(verb="list", resource="pods", cut_after_bytes=0, times=2),
        Fault(verb="watch", resource="pods", status=500, times=2),
        Fault(verb="list", delay_s=0.3),
    ],
    ids=["500", "503", "429", "cut", "no-answer", "watch-500", "slow"],
)
async def test_trouble_at_the_start(cluster: KubeApi, tmp_path: Path, fault: Fault) -> None:
    cluster.faults.add(fault)
    async with followed(cluster, tmp_path) as seen:
        await until_synced(seen)
        await seen.until_no_problem()


async def test_pages_of_a_list_whose_token_is_too_old(
    cluster: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "PAGE_OBJECTS", 2)
    for number in range(1, 7):
        cluster.objects.create(pod(f"vllm-{number}", f"10.0.0.{number + 1}"))
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == 7)
        assert cluster.audit.count("list", "pods") == 4, "in pages"
    cluster.faults.add(Fault(verb="list", resource="pods", status=410, times=1))
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == 7)


async def test_a_token_that_has_expired_is_read_anew(
    cluster: KubeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubelet does: a new token in the place of the old one, before or after it has run out."""
    monkeypatch.setattr(api_server, "RENEW_EVERY_S", 0.0)
    token_file = tmp_path / "token"
    token = cluster.token("picker", ["system:masters"])
    token_file.write_text(token)
    async with followed(cluster, tmp_path, token_file=token_file) as seen:
        await until_synced(seen)
        cluster.revoke(token)
        cluster.watches.cut()
        await seen.until_problem("401 Unauthorized")
        assert seen.destinations == ["10.0.0.1:8000"], "what was read stays in force"
        token_file.write_text(cluster.token("picker", ["system:masters"]))
        cluster.objects.create(pod("vllm-1", "10.0.0.2"))
        await seen.until(lambda state: len(state.endpoints) == 2, within_s=20.0)
        await seen.until_no_problem()


async def test_another_selector_while_the_server_is_away_changes_nothing_until_its_pods_are_known(
    cluster: KubeApi, tmp_path: Path
) -> None:
    cluster.objects.create(pod("new-0", "10.0.1.1", app="new"))
    async with followed(cluster, tmp_path) as seen:
        await until_synced(seen)
        fault = cluster.faults.add(Fault(verb="list", resource="pods", status=500))
        change = {"spec": {"selector": {"matchLabels": {"app": "new"}}}}
        cluster.objects.patch(f"{POOL_GROUP}/v1", "InferencePool", NAMESPACE, "pool", change)
        await seen.until_problem("500")
        await asyncio.sleep(0)
        assert seen.destinations == ["10.0.0.1:8000"], "an empty pool would refuse every request"
        cluster.faults.remove(fault)
        await seen.until(lambda _: seen.destinations == ["10.0.1.1:8000"], within_s=20.0)
