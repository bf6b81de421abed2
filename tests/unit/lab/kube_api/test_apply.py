"""Server-side apply and managedFields."""

from typing import Any

from epp.lab.kube_api.field_sets import from_fields_v1, shown, to_fields_v1
from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import MERGE, WIDGETS, KubeClient, crd
from tests.unit.lab.kube_api.test_built_in_kinds import DEPLOYMENTS, deployment
from tests.unit.lab.kube_api.test_built_in_kinds import api as api_with_schemas

Json = dict[str, Any]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "application/apply-patch+yaml"
MAPS = "/api/v1/namespaces/default/configmaps"
api = api_with_schemas


def config(data: Json | None = None, **metadata: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "m", **metadata},
        **({"data": data} if data is not None else {}),
    }


async def apply(kube: KubeClient, manager: str, value: Json, path: str = f"{MAPS}/m", **query: str) -> tuple[int, Json]:
    return await kube.ask("PATCH", path, value, content_type=APPLY, fieldManager=manager, **query)


async def test_it_creates_changes_and_takes_back(kube: KubeClient) -> None:
    status, made = await apply(kube, "a", config({"x": "1", "y": "2"}, labels={"l": "1"}))
    assert (status, made["data"]) == (201, {"x": "1", "y": "2"})
    (entry,) = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("a", "Apply", "v1")
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
        "f:data": {".": {}, "f:x": {}, "f:y": {}},
    }
    status, after = await apply(kube, "a", config({"x": "3"}))
    assert (status, after["data"], after["metadata"].get("labels")) == (200, {"x": "3"}, None)
    status, same = await apply(kube, "a", config({"x": "3"}))
    assert same["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


async def test_conflicts_and_force(kube: KubeClient) -> None:
    await apply(kube, "a", config({"x": "1", "y": "1"}))
    assert (await apply(kube, "b", config({"x": "1"})))[0] == 200  # the same value is nobody's conflict
    status, told = await apply(kube, "b", config({"x": "2"}))
    assert (status, told["reason"]) == (409, "Conflict")
    assert told["message"] == 'Apply failed with 1 conflict: conflict with "a": .data.x'
    assert told["details"]["causes"] == [
        {"field": ".data.x", "reason": "FieldManagerConflict", "message": 'conflict with "a"'}
    ]
    _, told = await apply(kube, "b", config({"x": "2", "y": "2"}))
    assert told["message"] == 'Apply failed with 2 conflicts: conflicts with "a":\n- .data.x\n- .data.y'
    status, after = await apply(kube, "b", config({"x": "2"}), force="true")
    assert (status, after["data"]) == (200, {"x": "2", "y": "1"})
    _, after = await apply(kube, "a", config({"y": "1"}))
    assert after["data"] == {"x": "2", "y": "1"}


async def test_an_update_takes_fields_over(kube: KubeClient) -> None:
    await apply(kube, "a", config({"x": "1"}))
    await kube.ask("PATCH", f"{MAPS}/m", {"data": {"x": "2"}}, content_type=MERGE, fieldManager="kubectl-edit")
    status, told = await apply(kube, "a", config({"x": "1"}))
    assert (status, told["message"]) == (
        409,
        'Apply failed with 1 conflict: conflict with "kubectl-edit" using v1: .data.x',
    )
    _, value = await kube.get(f"{MAPS}/m")
    owners = {entry["manager"]: entry["fieldsV1"] for entry in value["metadata"]["managedFields"]}
    assert owners == {"a": {"f:data": {}}, "kubectl-edit": {"f:data": {"f:x": {}}}}


async def test_items_of_lists_have_owners_of_their_own(kube: KubeClient) -> None:
    first = deployment(app="vllm")
    await apply(kube, "a", first, f"{DEPLOYMENTS}/d")
    side: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    side["spec"] = {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}
    _, after = await apply(kube, "b", side, f"{DEPLOYMENTS}/d")
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["vllm", "side"]
    first["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm:2"
    _, after = await apply(kube, "a", first, f"{DEPLOYMENTS}/d")
    assert [each["image"] for each in after["spec"]["template"]["spec"]["containers"]] == ["vllm:2", "s:1"]
    side["spec"] = {"template": {"spec": {"dnsPolicy": "Default"}}}
    _, after = await apply(kube, "b", side, f"{DEPLOYMENTS}/d")
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["vllm"]


async def test_ports_are_told_apart_by_number_and_protocol(kube: KubeClient) -> None:
    service: Json = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    path = "/api/v1/namespaces/default/services/s"
    service["spec"] = {"ports": [{"name": "grpc", "port": 9002}]}
    await apply(kube, "a", service, path)
    service["spec"] = {"ports": [{"name": "grpc", "port": 9002}, {"name": "udp", "port": 9002, "protocol": "UDP"}]}
    _, after = await apply(kube, "a", service, path)
    assert [(each["port"], each["protocol"]) for each in after["spec"]["ports"]] == [(9002, "TCP"), (9002, "UDP")]


async def test_custom_resources_and_their_status(kube: KubeClient) -> None:
    await kube.create(CRDS, crd())
    value: Json = {"apiVersion": "lab.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    await apply(kube, "a", {**value, "spec": {"size": 1}}, f"{WIDGETS}/w")
    _, after = await apply(kube, "controller", {**value, "status": {"ready": True}}, f"{WIDGETS}/w/status")
    assert (after["spec"], after["status"]) == ({"size": 1}, {"ready": True})
    entries = {entry["manager"]: entry.get("subresource") for entry in after["metadata"]["managedFields"]}
    assert entries == {"a": None, "controller": "status"}
    status, told = await apply(kube, "a", {**value, "spec": {"size": "big"}}, f"{WIDGETS}/w")
    assert (status, told["reason"]) == (422, "Invalid")


async def test_what_cannot_be_applied(kube: KubeClient, api: KubeApi) -> None:
    status, told = await kube.ask("PATCH", f"{MAPS}/m", config({}), content_type=APPLY)
    assert (status, "fieldManager: Required value: is required for apply patch" in told["message"]) == (422, True)
    assert (await apply(kube, "a", {"metadata": {"name": "m"}}))[0] == 400
    assert (await apply(kube, "a", config({}, managedFields=[{"manager": "x"}])))[0] == 400
    assert (await apply(kube, "a", config({}, name="other")))[0] == 400
    assert api.objects.get("v1", "ConfigMap", "default", "m") is None


async def test_an_apply_may_be_yaml_and_dry(kube: KubeClient) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {x: 'on'}\n"
    query = {"fieldManager": "a", "dryRun": "All"}
    status, made = await kube.ask("PATCH", f"{MAPS}/m", text, content_type=APPLY, **query)
    assert (status, made["data"]) == (201, {"x": "on"})
    assert (await kube.get(f"{MAPS}/m"))[0] == 404


def test_trees_of_fields() -> None:
    tree = {"f:spec": {"f:ports": {".": {}, 'k:{"port":1}': {".": {}, "f:name": {}}}}, "f:tags": {'v:"a"': {}}}
    fields = from_fields_v1(tree)
    assert to_fields_v1(fields) == tree
    assert {shown(path) for path in fields} == {
        ".spec.ports",
        ".spec.ports[port=1]",
        ".spec.ports[port=1].name",
        '.tags[="a"]',
    }
