"""The rights in manifests/rbac: enough for the picker, and no more than it needs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from epp.lab.kube_api.server import KubeApi
from tests.support.eventually import eventually
from tests.support.kube_api import MERGE, KubeClient
from tests.support.kube_objects import ALPHA_GROUP, NAMESPACE, crd, followed, install_crds, objective, pod, pool
from tests.support.manifest_files import RBAC

PICKER = "endpoint-picker"
READER = "endpoint-picker-metrics-reader"
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"


def give(api: KubeApi, *files: str) -> None:
    for name in files:
        for value in yaml.safe_load_all((RBAC / name).read_text()):
            api.objects.create(value)


@pytest.fixture
def cluster(api: KubeApi) -> KubeApi:
    """What `kubectl apply -k manifests/rbac` gives, and a pool."""
    give(api, *yaml.safe_load((RBAC / "kustomization.yaml").read_text())["resources"])
    install_crds(api)
    api.objects.create(pool())
    api.objects.create(pod("vllm-0", "10.0.0.1"))
    return api


@pytest.fixture
async def picker(cluster: KubeApi) -> AsyncIterator[KubeClient]:
    token = cluster.account_token(NAMESPACE, PICKER)
    async with KubeClient(cluster.url, cluster.ca_pem, token) as client:
        yield client


async def test_the_picker_reads_all_its_objects_and_tells_of_mistakes(cluster: KubeApi, tmp_path: Path) -> None:
    loose = crd(ALPHA_GROUP, "inferenceobjectives")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    cluster.objects.apply(loose)
    broken = objective("broken", 1)
    broken["spec"]["priority"] = "high"
    cluster.objects.create(broken)
    async with followed(cluster, tmp_path, token=cluster.account_token(NAMESPACE, PICKER)) as seen:
        await seen.until(lambda state: state.pool is not None and state.endpoints)
        assert [problem for problem in seen.problems if "RBAC" in problem] == []
        await eventually(
            lambda: cluster.objects.list("events.k8s.io/v1", "Event", NAMESPACE), what="an event about the mistake"
        )


@pytest.mark.parametrize("path", ["pods/vllm-0", "secrets", "configmaps"])
async def test_the_picker_neither_writes_objects_nor_reads_others(picker: KubeClient, path: str) -> None:
    verb = "PATCH" if "/" in path else "GET"
    status, told = await picker.ask(
        verb, f"/api/v1/namespaces/{NAMESPACE}/{path}", {} if verb == "PATCH" else None, content_type=MERGE
    )
    assert (status, told["reason"]) == (403, "Forbidden")


async def test_other_namespaces_are_closed(picker: KubeClient) -> None:
    assert (await picker.get("/api/v1/namespaces/kube-system/pods"))[0] == 403
    assert (await picker.get("/api/v1/pods"))[0] == 403


async def test_leases_are_for_those_who_elect_a_leader(cluster: KubeApi, picker: KubeClient) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "epp"}}
    assert (await picker.create(LEASES, lease))[0] == 403
    give(cluster, "leader-election.yaml")
    assert (await picker.create(LEASES, lease))[0] == 201
    assert (await picker.get(f"{LEASES}/epp"))[0] == 200
    assert (await picker.delete(f"{LEASES}/epp"))[0] == 403


async def test_pages_are_opened_one_right_at_a_time(cluster: KubeApi, picker: KubeClient) -> None:
    async def may_get(path: str) -> bool:
        spec = {
            "user": f"system:serviceaccount:{NAMESPACE}:{READER}",
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status, told = await picker.create(ACCESS_REVIEWS, review)
        assert status == 201, "the picker itself asks"
        allowed: bool = told["status"]["allowed"]
        return allowed

    paths = ("/metrics", "/debug/decisions", "/debug/endpoints")
    assert [await may_get(path) for path in paths] == [False, False, False]
    give(cluster, "metrics-reader.yaml")
    assert [await may_get(path) for path in paths] == [True, False, False]
    give(cluster, "debug-reader.yaml")
    assert [await may_get(path) for path in paths] == [True, True, True]
