from typing import Any

import pytest

from epp.lab.kube_api.server import KubeApi
from epp.lab.kube_api.status import MODIFIED
from tests.support.kube_api import MERGE, PODS, WIDGETS, KubeClient, crd, pod, widget

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
JSON_PATCH = "application/json-patch+json"
Json = dict[str, Any]


def message(answer: tuple[int, Json]) -> tuple[int, str]:
    return answer[0], answer[1]["message"]


async def test_what_the_server_fills_in(kube: KubeClient) -> None:
    given = {**pod("a"), "status": {"phase": "Running"}}
    given["metadata"] |= {"uid": "mine", "creationTimestamp": "1999-01-01T00:00:00Z", "generation": 9}
    status, made = await kube.create(PODS, given)
    metadata = made["metadata"]
    assert status == 201
    assert len(metadata["uid"]) == 36
    assert metadata["creationTimestamp"] > "2020"
    assert (metadata["namespace"], metadata["generation"]) == ("default", 1)
    assert made["status"]["phase"] == "Pending"
    assert (await kube.get(f"{PODS}/a"))[1] == made


async def test_names(kube: KubeClient) -> None:
    generated = {**pod(""), "metadata": {"generateName": "vllm-"}}
    _, first = await kube.create(PODS, generated)
    _, second = await kube.create(PODS, generated)
    assert first["metadata"]["name"].startswith("vllm-")
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert message(await kube.create(PODS, {**pod(""), "metadata": {}})) == (
        422,
        'Pod "" is invalid: metadata.name: Required value: name or generateName is required',
    )
    status, told = await kube.create(PODS, pod("No_Name"))
    assert status == 422
    assert told["details"]["causes"][0]["field"] == "metadata.name"
    assert "a lowercase RFC 1123 subdomain must consist of" in told["message"]
    await kube.create(PODS, pod("a"))
    assert message(await kube.create(PODS, pod("a"))) == (409, 'pods "a" already exists')
    assert message(await kube.get(f"{PODS}/b")) == (404, 'pods "b" not found')


async def test_namespaces_must_be_there(kube: KubeClient) -> None:
    answer = await kube.create("/api/v1/namespaces/nowhere/pods", pod("a"))
    assert message(answer) == (404, 'namespaces "nowhere" not found')
    elsewhere = pod("a")
    elsewhere["metadata"]["namespace"] = "kube-system"
    status, text = message(await kube.create(PODS, elsewhere))
    assert status == 400
    assert "does not match the namespace sent on the request" in text


async def test_an_update_needs_the_latest_version(kube: KubeClient) -> None:
    lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    _, first = await kube.create(LEASES, lease)
    first["spec"]["holderIdentity"] = "b"
    status, second = await kube.update(f"{LEASES}/leader", first)
    assert status == 200
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert message(await kube.update(f"{LEASES}/leader", first)) == (
        409,
        f'Operation cannot be fulfilled on leases.coordination.k8s.io "leader": {MODIFIED}',
    )
    status, text = message(await kube.update(f"{LEASES}/leader", lease))
    assert status == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in text
    second["metadata"]["uid"] = "other"
    assert "Precondition failed: UID in precondition" in message(await kube.update(f"{LEASES}/leader", second))[1]


async def test_a_write_that_changes_nothing_has_no_new_version(kube: KubeClient) -> None:
    _, made = await kube.create(PODS, pod("a"))
    _, same = await kube.update(f"{PODS}/a", made)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_some_kinds_are_made_by_an_update(kube: KubeClient) -> None:
    lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
    assert (await kube.update(f"{LEASES}/leader", lease))[0] == 201
    assert message(await kube.update(f"{PODS}/a", pod("a"))) == (404, 'pods "a" not found')


async def test_numbers_of_a_lease(kube: KubeClient) -> None:
    lease = {"metadata": {"name": "leader"}, "spec": {"leaseDurationSeconds": 0}}
    assert (
        "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
        in (message(await kube.create(LEASES, lease))[1])
    )


async def test_spec_and_status_are_written_apart(kube: KubeClient) -> None:
    await kube.create(CRDS, crd())
    _, made = await kube.create(WIDGETS, {**widget("w", size=1), "status": {"ready": True}})
    assert "status" not in made
    _, after = await kube.merge(f"{WIDGETS}/w/status", {"spec": {"size": 2}, "status": {"ready": True}})
    assert (after["spec"], after["status"], after["metadata"]["generation"]) == ({"size": 1}, {"ready": True}, 1)
    _, after = await kube.merge(f"{WIDGETS}/w", {"spec": {"size": 2}, "status": {"ready": False}})
    assert (after["spec"], after["status"], after["metadata"]["generation"]) == ({"size": 2}, {"ready": True}, 2)
    _, after = await kube.merge(f"{WIDGETS}/w", {"metadata": {"labels": {"a": "b"}}})
    assert after["metadata"]["generation"] == 2
    assert (await kube.get(f"{WIDGETS}/w/status"))[1] == after
    assert (await kube.get(f"{WIDGETS}/w/scale"))[0] == 404


async def test_the_spec_of_a_pod_is_fixed(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a"))
    status, text = message(await kube.merge(f"{PODS}/a", {"spec": {"hostname": "other"}}))
    assert status == 422
    assert "spec: Forbidden: pod updates may not change fields other than" in text


async def test_merge_patch_and_json_patch(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a", labels={"x": "1", "y": "2"}))
    _, merged = await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"x": None, "z": "3"}}})
    assert merged["metadata"]["labels"] == {"y": "2", "z": "3"}
    operations = [
        {"op": "test", "path": "/metadata/labels/y", "value": "2"},
        {"op": "replace", "path": "/metadata/labels/y", "value": "4"},
        {"op": "add", "path": "/metadata/annotations", "value": {"n": "v"}},
    ]
    _, patched = await kube.ask("PATCH", f"{PODS}/a", operations, content_type=JSON_PATCH)
    assert patched["metadata"]["labels"]["y"] == "4"
    assert patched["metadata"]["annotations"] == {"n": "v"}


@pytest.mark.parametrize(
    ("content_type", "patch", "status"),
    [
        (JSON_PATCH, [{"op": "test", "path": "/metadata/name", "value": "b"}], 422),
        (JSON_PATCH, [{"op": "remove", "path": "/spec/nothing"}], 422),
        (JSON_PATCH, [{"op": "jump", "path": "/spec"}], 400),
        (JSON_PATCH, {"spec": {}}, 400),
        (JSON_PATCH, "{", 400),
        (MERGE, [1], 400),
        (MERGE, {"metadata": {"resourceVersion": "1"}}, 409),
        (MERGE, {"metadata": {"name": "b"}}, 400),
        (MERGE, {"kind": "Service"}, 400),
        (MERGE, {"apiVersion": "v2"}, 400),
        ("application/json", {}, 415),
        ("text/plain", {}, 415),
    ],
)
async def test_patches_that_are_refused(kube: KubeClient, content_type: str, patch: Any, status: int) -> None:
    _, before = await kube.create(PODS, pod("a"))
    code, told = await kube.ask("PATCH", f"{PODS}/a", patch, content_type=content_type)
    assert (code, told["kind"], told["code"]) == (status, "Status", status)
    assert (await kube.get(f"{PODS}/a"))[1] == before


async def test_a_dry_run_changes_nothing(kube: KubeClient) -> None:
    status, made = await kube.create(PODS, pod("a"), dryRun="All")
    assert (status, made["metadata"]["name"]) == (201, "a")
    assert (await kube.get(f"{PODS}/a"))[0] == 404
    await kube.create(PODS, pod("a"))
    _, changed = await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}}, dryRun="All")
    assert changed["metadata"]["labels"] == {"x": "y"}
    await kube.delete(f"{PODS}/a", dryRun="All")
    assert "labels" not in (await kube.get(f"{PODS}/a"))[1]["metadata"]
    assert (await kube.create(PODS, pod("b"), dryRun="Some"))[0] == 422


async def test_secrets_keep_what_was_given_as_text(kube: KubeClient) -> None:
    secrets = "/api/v1/namespaces/default/secrets"
    _, made = await kube.create(secrets, {"metadata": {"name": "hf"}, "stringData": {"token": "abc"}})
    assert (made["data"], made["type"]) == ({"token": "YWJj"}, "Opaque")
    assert "stringData" not in made
    assert "type: Invalid value" in message(await kube.merge(f"{secrets}/hf", {"type": "other"}))[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/namespaces/default/nothings", 404),
        ("GET", "/apis/none.example.com/v1/things", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/pods/a", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("POST", f"{PODS}/a", 405),
        ("PUT", PODS, 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("GET", "/apis/authorization.k8s.io/v1/subjectaccessreviews", 405),
    ],
)
async def test_paths_and_methods_that_are_not_there(kube: KubeClient, method: str, path: str, status: int) -> None:
    code, told = await kube.ask(method, path, {} if method in ("POST", "PUT") else None)
    assert code == status
    if status == 404:
        assert told == "404 page not found\n"
    else:
        assert told["reason"] == "MethodNotAllowed"


async def test_bodies_that_cannot_be_read(kube: KubeClient) -> None:
    assert (await kube.ask("POST", PODS, "{"))[0] == 400
    assert (await kube.ask("POST", PODS, "[]"))[0] == 400
    assert (await kube.ask("POST", PODS, "{}", content_type="text/plain"))[0] == 415
    wrong_kind = {**pod("a"), "kind": "Service"}
    assert (await kube.create(PODS, wrong_kind))[0] == 400
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"
    assert (await kube.ask("POST", PODS, text, content_type="application/yaml"))[0] == 201


async def test_500_pods_come_change_and_go(api: KubeApi, kube: KubeClient) -> None:
    for index in range(500):
        api.objects.create({**pod(f"p{index}"), "metadata": {"name": f"p{index}", "namespace": "default"}})
    for index in range(500):
        api.objects.set_status("v1", "Pod", "default", f"p{index}", {"phase": "Running"})
    _, pods = await kube.get(PODS, fieldSelector="status.phase=Running")
    assert len(pods["items"]) == 500
    for index in range(500):
        api.objects.delete("v1", "Pod", "default", f"p{index}")
    assert (await kube.get(PODS))[1]["items"] == []
