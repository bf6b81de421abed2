"""ApiWriter against the API server in memory: new objects, changed ones, kinds of CRDs, tokens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from epp.core.domain.pool import POOL_GROUP
from epp.edge.objects.kubernetes.access import AccessSettings, find_access
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.errors import ApiError, NotFound
from epp.lab.api_writer import KIND_WITHIN_ATTEMPTS, ApiWriter
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.kube_api.server import KubeApi
from epp.lab.pool_files import NAMESPACE, objective_manifest, pod_manifest, pool_manifest
from tests.support.kube_api import api  # noqa: F401  a fixture
from tests.support.kube_objects import ALPHA_GROUP, crd

POD = ReadyPod("vllm-0", "127.0.0.11", 8000)
OBJECTIVE = (f"{ALPHA_GROUP}/v1alpha2", "InferenceObjective", NAMESPACE)


class Naps:
    """Sleeps not at all, and counts."""

    def __init__(self) -> None:
        self.taken = 0

    async def __call__(self, _: float) -> None:
        self.taken += 1


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def writer(api: KubeApi, tmp_path: Path, naps: Naps) -> AsyncIterator[ApiWriter]:  # noqa: F811  the fixture
    path = api.kubeconfig(tmp_path / "kubeconfig")
    server = ApiServer(find_access(AccessSettings(kubeconfig=str(path)), {}), lambda: 0.0)
    yield ApiWriter(server, sleep=naps)
    await server.close()


async def test_a_pod_gets_its_status_and_the_uid_of_the_server(api: KubeApi, writer: ApiWriter) -> None:  # noqa: F811
    await writer.put(pod_manifest(POD))
    made = api.objects.get("v1", "Pod", NAMESPACE, POD.name)
    assert made is not None
    assert made["spec"]["nodeName"]
    assert made["status"]["podIP"] == POD.host
    assert made["metadata"]["uid"] != pod_manifest(POD)["metadata"]["uid"]
    await writer.put(pod_manifest(POD, ready=False, role="prefill"))
    changed = api.objects.get("v1", "Pod", NAMESPACE, POD.name)
    assert changed is not None
    assert [each["status"] for each in changed["status"]["conditions"]] == ["False"]
    assert changed["metadata"]["labels"]["llm-d.ai/role"] == "prefill"
    assert changed["metadata"]["uid"] == made["metadata"]["uid"], "changed, not made anew"


async def test_a_kind_is_known_as_soon_as_its_crd_is_there(api: KubeApi, writer: ApiWriter) -> None:  # noqa: F811
    await writer.put(crd(ALPHA_GROUP, "inferenceobjectives"))
    for priority in (10, -5):
        await writer.put(objective_manifest("food-review", priority))
        found = api.objects.get(*OBJECTIVE, "food-review")
        assert found is not None
        assert found["spec"]["priority"] == priority
    asked = api.audit.count("patch", f"inferenceobjectives.{ALPHA_GROUP}")
    assert asked == 1, "the first one was created"


async def test_a_kind_that_is_not_served_is_asked_for_a_while_and_named(writer: ApiWriter, naps: Naps) -> None:
    with pytest.raises(ApiError, match=rf"serves no InferencePool of {POOL_GROUP}/v1: is its CRD installed\?"):
        await writer.put(pool_manifest(8000))
    assert naps.taken == KIND_WITHIN_ATTEMPTS


async def test_what_is_removed_is_gone_at_once_and_once_more_does_no_harm(
    api: KubeApi,  # noqa: F811
    writer: ApiWriter,
) -> None:
    await writer.put(pod_manifest(POD))
    for _ in range(2):
        await writer.remove(pod_manifest(POD))
        assert api.objects.get("v1", "Pod", NAMESPACE, POD.name) is None


async def test_a_token_is_that_of_the_account(api: KubeApi, writer: ApiWriter, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(NotFound):
        await writer.token(NAMESPACE, "reader", 3600)
    await writer.put(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": NAMESPACE}}
    )
    path = api.kubeconfig(tmp_path / "reader", token=await writer.token(NAMESPACE, "reader", 3600))
    server = ApiServer(find_access(AccessSettings(kubeconfig=str(path)), {}), lambda: 0.0)
    try:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        told = await server.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
        assert b"system:serviceaccount:default:reader" in told
    finally:
        await server.close()
