"""Built-in kinds by the real schemas."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.kube_api import PODS, KubeClient, pod
from tests.support.kube_schemas import built_in_schemas

Json = dict[str, Any]
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
async def api() -> AsyncIterator[KubeApi]:
    async with KubeApi(KubeApiSettings(seed=1), schemas=built_in_schemas()) as server:
        yield server


def deployment(**template_labels: str) -> Json:
    template = {"metadata": {"labels": template_labels}, "spec": pod("x")["spec"]}
    spec = {"selector": {"matchLabels": {"app": "vllm"}}, "template": template, "replicas": 2}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        ({"containers": []}, 422, 'Pod "a" is invalid: spec.containers: Required value'),
        ({"containers": [{"image": "i"}]}, 422, "spec.containers[0].name: Required value"),
        ({"containers": [{"name": "c"}]}, 422, "spec.containers[0].image: Required value"),
        ({"containers": [{"name": "c", "image": "i"}] * 2}, 422, 'spec.containers[1].name: Duplicate value: "c"'),
        ({"containers": "c"}, 400, "json: cannot unmarshal string into Go struct field Pod.spec.containers of type []"),
        ({"hostNetwork": "yes"}, 400, "json: cannot unmarshal string into Go struct field Pod.spec.hostNetwork"),
    ],
)
async def test_pods(kube: KubeClient, spec: Json, status: int, words: str) -> None:
    code, told = await kube.create(PODS, {**pod("a"), "spec": {**pod("a")["spec"], **spec}})
    assert code == status, told
    assert words in told["message"]


async def test_unknown_fields(kube: KubeClient) -> None:
    given = pod("a", hostNetworking=True)
    status, told = await kube.create(PODS, given, fieldValidation="Strict")
    assert (status, told["message"]) == (
        400,
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.hostNetworking"',
    )
    _, made = await kube.create(PODS, given)
    assert "hostNetworking" not in made["spec"]


async def test_workloads_and_services(kube: KubeClient) -> None:
    status, told = await kube.create(DEPLOYMENTS, deployment(app="other"))
    assert status == 422
    assert "`selector` does not match template `labels`" in told["message"]
    assert (await kube.create(DEPLOYMENTS, deployment(app="vllm")))[0] == 201
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 0}]}}
    status, told = await kube.create("/api/v1/namespaces/default/services", service)
    assert "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive" in told["message"]
    service["spec"] = {"ports": [{"port": 9002}]}
    _, made = await kube.create("/api/v1/namespaces/default/services", service)
    assert made["spec"]["clusterIP"].startswith("10.96.")
    assert made["spec"]["ports"] == [{"port": 9002, "protocol": "TCP", "targetPort": 9002}]


async def test_a_strategic_merge_patch(kube: KubeClient) -> None:
    await kube.create(DEPLOYMENTS, deployment(app="vllm"))
    containers = [{"name": "vllm", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "s:1"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}, "replicas": None}}
    status, after = await kube.ask("PATCH", f"{DEPLOYMENTS}/d", patch, content_type=STRATEGIC)
    assert status == 200, after
    found = after["spec"]["template"]["spec"]["containers"]
    assert [(each["name"], each["image"]) for each in found] == [("vllm", "vllm:1"), ("side", "s:1")]
    assert found[0]["env"] == [{"name": "A", "value": "1"}]
    assert "replicas" not in after["spec"]
    order = [{"name": "side"}, {"name": "vllm"}]
    spec = {"$setElementOrder/containers": order, "containers": [{"name": "side", "$patch": "delete"}]}
    _, after = await kube.ask(
        "PATCH", f"{DEPLOYMENTS}/d", {"spec": {"template": {"spec": spec}}}, content_type=STRATEGIC
    )
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["vllm"]


async def test_lists_without_keys_are_replaced_or_joined(kube: KubeClient) -> None:
    given = pod("a")
    given["metadata"]["finalizers"] = ["x.io/a"]
    await kube.create(PODS, given)
    _, after = await kube.ask("PATCH", f"{PODS}/a", {"metadata": {"finalizers": ["x.io/b"]}}, content_type=STRATEGIC)
    assert after["metadata"]["finalizers"] == ["x.io/a", "x.io/b"]
    gone = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a"]}}
    _, after = await kube.ask("PATCH", f"{PODS}/a", gone, content_type=STRATEGIC)
    assert after["metadata"]["finalizers"] == ["x.io/b"]
    status, told = await kube.ask("PATCH", f"{PODS}/a", {"metadata": {"$patch": "jump"}}, content_type=STRATEGIC)
    assert (status, "unknown patch type" in told["message"]) == (400, True)
