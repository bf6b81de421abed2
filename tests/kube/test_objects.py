"""The objects of a cluster, as the picker follows them over real HTTPS, and all that may happen to them."""

import json
from pathlib import Path

import pytest

from epp.core.domain.pool import POOL_GROUP, InferencePool
from epp.edge.objects.directory import ObjectDirectory
from epp.edge.objects.object_store import WantedPool
from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.server import KubeApi
from tests.support.eventually import eventually
from tests.support.kube_api import api  # noqa: F401  a fixture
from tests.support.kube_objects import (
    ALPHA_GROUP,
    NAMESPACE,
    Json,
    Sink,
    crd,
    followed,
    install_crds,
    loosen,
    objective,
    pod,
    pool,
    rewrite,
    set_ready,
)

LLM_D = "llm-d.ai"
PODS = 3


@pytest.fixture
def cluster(api: KubeApi) -> KubeApi:  # noqa: F811  the fixture
    """A pool of three pods with an objective and a rewrite."""
    install_crds(api)
    api.objects.create(pool())
    for number in range(PODS):
        api.objects.create(pod(f"vllm-{number}", f"10.0.0.{number}"))
    api.objects.create(objective("food-review", 10))
    api.objects.create(rewrite("alias", "gpt", "llama"))
    return api


async def test_everything_is_read_and_is_one_state(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        state = await seen.until(lambda state: state.pool is not None)
        assert seen.states == [state], "nothing is told before all of it was read"
        assert seen.destinations == ["10.0.0.0:8000", "10.0.0.1:8000", "10.0.0.2:8000"]
        assert [(found.name, found.priority) for found in state.objectives] == [("food-review", 10)]
        assert [found.name for found in state.rewrites] == ["alias"]
        assert state.pool is not None
        assert state.pool.uid
        assert (seen.problems, seen.notices) == ([], [])


async def test_the_same_objects_in_a_directory_make_the_same_state(cluster: KubeApi, tmp_path: Path) -> None:
    directory = tmp_path / "objects"
    directory.mkdir()
    kinds = (
        (f"{POOL_GROUP}/v1", "InferencePool"),
        ("v1", "Pod"),
        (f"{ALPHA_GROUP}/v1alpha2", "InferenceObjective"),
        (f"{ALPHA_GROUP}/v1alpha2", "InferenceModelRewrite"),
    )
    for api_version, kind in kinds:
        for number, found in enumerate(cluster.objects.list(api_version, kind, NAMESPACE)):
            (directory / f"{kind}-{number}.yaml").write_text(json.dumps(found))
    sink = Sink()
    wanted = WantedPool("pool", NAMESPACE, POOL_GROUP)
    ObjectDirectory(directory, sink, wanted=wanted, on_problem=print, on_notice=print).poll_once()
    async with followed(cluster, tmp_path) as seen:
        assert await seen.until(lambda state: state.pool is not None) == sink.states[-1]


async def test_pods_come_change_and_go(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == PODS)
        cluster.objects.create(pod("vllm-9", "10.0.0.9"))
        await seen.until(lambda state: len(state.endpoints) == PODS + 1)
        set_ready(cluster, "vllm-9", "False")
        await seen.until(lambda state: len(state.endpoints) == PODS)
        set_ready(cluster, "vllm-9", "True")
        await seen.until(lambda state: len(state.endpoints) == PODS + 1)
        cluster.objects.delete("v1", "Pod", NAMESPACE, "vllm-9", grace_s=0)
        await seen.until(lambda state: len(state.endpoints) == PODS)
        cluster.objects.patch("v1", "Pod", NAMESPACE, "vllm-0", {"metadata": {"labels": {"app": "other"}}})
        await seen.until(lambda state: len(state.endpoints) == PODS - 1)
        assert cluster.audit.count("list", "pods") == 1, "watching is enough"


async def test_a_pod_that_is_leaving_is_left_at_once(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == PODS)
        cluster.objects.delete("v1", "Pod", NAMESPACE, "vllm-0", grace_s=30)
        await seen.until(lambda state: len(state.endpoints) == PODS - 1)
        assert cluster.objects.get("v1", "Pod", NAMESPACE, "vllm-0") is not None, "it is still there"


async def test_another_selector_is_followed_and_never_shows_an_empty_pool(cluster: KubeApi, tmp_path: Path) -> None:
    for number in range(2):
        cluster.objects.create(pod(f"new-{number}", f"10.0.1.{number}", app="new"))
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == PODS)
        change = {"spec": {"selector": {"matchLabels": {"app": "new"}}}}
        cluster.objects.patch(f"{POOL_GROUP}/v1", "InferencePool", NAMESPACE, "pool", change)
        await seen.until(lambda _: seen.destinations == ["10.0.1.0:8000", "10.0.1.1:8000"])
        assert all(state.endpoints for state in seen.states)
        cluster.objects.create(pod("new-2", "10.0.1.2", app="new"))
        await seen.until(lambda state: len(state.endpoints) == 3)


async def test_other_ports_are_other_endpoints(cluster: KubeApi, tmp_path: Path) -> None:
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == PODS)
        change = {"spec": {"targetPorts": [{"number": 8000}, {"number": 8001}]}}
        cluster.objects.patch(f"{POOL_GROUP}/v1", "InferencePool", NAMESPACE, "pool", change)
        await seen.until(lambda state: len(state.endpoints) == 2 * PODS)
        assert cluster.audit.count("list", "pods") == 1


async def test_a_deleted_pool_leaves_nothing_and_one_that_comes_back_has_its_pods(
    cluster: KubeApi, tmp_path: Path
) -> None:
    async with followed(cluster, tmp_path) as seen:
        await seen.until(lambda state: len(state.endpoints) == PODS)
        cluster.objects.delete(f"{POOL_GROUP}/v1", "InferencePool", NAMESPACE, "pool")
        await seen.until(lambda state: state.pool is None and not state.endpoints)
        assert seen.problems == ["namespace default of the API server: has objects, but no InferencePool among them"]
        cluster.objects.create(pool())
        await seen.until(lambda state: len(state.endpoints) == PODS)
        assert seen.problems == []


async def test_other_pools_do_not_matter(cluster: KubeApi, tmp_path: Path) -> None:
    cluster.objects.create(pool("another", app="other"))
    cluster.objects.create(objective("of-another", 1, pool_name="another"))
    async with followed(cluster, tmp_path) as seen:
        state = await seen.until(lambda state: len(state.endpoints) == PODS)
        assert [found.name for found in state.objectives] == ["food-review"]


async def test_crds_that_are_not_there_are_picked_up_when_they_appear(
    api: KubeApi,  # noqa: F811  the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("epp.edge.objects.kubernetes.reflector.MISSING_RETRY_S", 0.05)
    api.objects.create(crd(POOL_GROUP, "inferencepools"))
    api.objects.create(pool())
    api.objects.create(pod("vllm-0", "10.0.0.1"))
    async with followed(api, tmp_path) as seen:
        state = await seen.until(lambda state: state.pool is not None)
        assert (len(state.endpoints), state.objectives, seen.problems) == (1, (), [])
        api.objects.create(crd(LLM_D, "inferenceobjectives"))
        api.objects.create(objective("food-review", 5, group=LLM_D))
        await seen.until(lambda state: [found.priority for found in state.objectives] == [5])
        api.objects.create(crd(ALPHA_GROUP, "inferenceobjectives"))
        api.objects.create(objective("base", 2))
        await seen.until(lambda state: [found.name for found in state.objectives] == ["base", "food-review"])
        name = f"inferenceobjectives.{LLM_D}"
        api.objects.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", name)
        await seen.until(lambda state: [found.name for found in state.objectives] == ["base"])


async def test_of_one_name_in_both_groups_that_of_llm_d_counts(cluster: KubeApi, tmp_path: Path) -> None:
    cluster.objects.create(crd(LLM_D, "inferenceobjectives"))
    cluster.objects.create(objective("food-review", 5, group=LLM_D))
    async with followed(cluster, tmp_path) as seen:
        state = await seen.until(lambda state: state.pool is not None)
        assert [found.priority for found in state.objectives] == [5]
        (problem,) = seen.problems
        assert "InferenceObjective default/food-review is already at inferenceobjectives.llm-d.ai" in problem


async def test_an_object_with_a_mistake_is_left_out_and_its_author_told(cluster: KubeApi, tmp_path: Path) -> None:
    loosen(cluster, ALPHA_GROUP, "inferenceobjectives")
    broken = objective("broken", 1)
    broken["spec"]["priority"] = "high"
    cluster.objects.create(broken)
    async with followed(cluster, tmp_path) as seen:
        state = await seen.until(lambda state: state.pool is not None)
        assert [found.name for found in state.objectives] == ["food-review"], "the others are not touched"
        mistake = f"inferenceobjectives.{ALPHA_GROUP} default/broken: spec.priority: expected int, got str"
        assert seen.problems == [mistake]
        await eventually(lambda: cluster.objects.list("events.k8s.io/v1", "Event", NAMESPACE))
        (told,) = cluster.objects.list("events.k8s.io/v1", "Event", NAMESPACE)
        assert (told["note"], told["regarding"]["name"]) == (mistake, "broken")
        change: Json = {"spec": {"priority": 7}}
        cluster.objects.patch(f"{ALPHA_GROUP}/v1alpha2", "InferenceObjective", NAMESPACE, "broken", change)
        await seen.until(lambda state: len(state.objectives) == 2)
        assert seen.problems == []
        change = {"spec": {"priority": "low"}}
        cluster.objects.patch(f"{ALPHA_GROUP}/v1alpha2", "InferenceObjective", NAMESPACE, "broken", change)
        await seen.until_problem("default/broken: spec.priority")
        assert {found.name: found.priority for found in seen.state.objectives}["broken"] == 7, "as it was last good"


async def test_pods_by_a_selector_without_any_pool(api: KubeApi, tmp_path: Path) -> None:  # noqa: F811
    """Also one that an InferencePool could not have."""
    for name, app in (("a", "gold"), ("b", "silver"), ("c", "bronze")):
        api.objects.create(pod(name, f"10.0.0.{ord(name)}", app=app))
    fixed = InferencePool(NAMESPACE, "pool", {}, (8000, 8001))
    async with followed(api, tmp_path, fixed_pool=fixed, pod_selector="app in (gold, silver)") as seen:
        state = await seen.until(lambda state: state.endpoints)
        assert {endpoint.pod for endpoint in state.endpoints} == {"a", "b"}
        assert len(state.endpoints) == 4
        assert {entry.resource for entry in api.audit} == {"pods"}, "nothing else is asked for"


async def test_what_rbac_forbids_is_named_and_the_rest_goes_on(cluster: KubeApi, tmp_path: Path) -> None:
    cluster.faults.add(Fault(resource="inferencemodelrewrites", status=403))
    async with followed(cluster, tmp_path) as seen:
        state = await seen.until(lambda state: len(state.endpoints) == PODS)
        assert (len(state.objectives), state.rewrites) == (1, ())
        for group in (ALPHA_GROUP, LLM_D):
            says = f"API server: RBAC gives no right to list inferencemodelrewrites.{group} in namespace default"
            assert any(problem.startswith(f"{says}; add it to the picker's Role (") for problem in seen.problems)
        assert len(seen.problems) == 2
