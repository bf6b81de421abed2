from typing import Any

from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import PODS, WIDGETS, KubeClient, crd, pod, widget

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MAPS = "/api/v1/namespaces/default/configmaps"
Json = dict[str, Any]


def owned(name: str, *owners: Json, **metadata: Any) -> Json:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": each["metadata"]["name"], "uid": each["metadata"]["uid"]}
        for each in owners
    ]
    return {"metadata": {"name": name, "ownerReferences": references, **metadata}}


async def names(kube: KubeClient, path: str = MAPS) -> list[str]:
    _, listed = await kube.get(path)
    found = [item["metadata"]["name"] for item in listed["items"]]
    return [name for name in found if name != "kube-root-ca.crt"]


async def test_finalizers_hold_an_object(kube: KubeClient) -> None:
    _, made = await kube.create(MAPS, {"metadata": {"name": "m", "finalizers": ["lab.example.com/x"]}})
    _, marked = await kube.delete(f"{MAPS}/m")
    assert marked["metadata"]["deletionTimestamp"] >= made["metadata"]["creationTimestamp"]
    status, told = await kube.merge(f"{MAPS}/m", {"metadata": {"finalizers": ["lab.example.com/x", "other"]}})
    assert status == 422
    assert "no new finalizers can be added if the object is being deleted" in told["message"]
    assert (await kube.merge(f"{MAPS}/m", {"metadata": {"finalizers": None}}))[0] == 200
    assert (await kube.get(f"{MAPS}/m"))[0] == 404


async def test_what_a_client_is_told(kube: KubeClient) -> None:
    _, made = await kube.create(MAPS, {"metadata": {"name": "m"}})
    status, told = await kube.delete(f"{MAPS}/m")
    assert (status, told["kind"], told["status"]) == (200, "Status", "Success")
    assert told["details"] == {"name": "m", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert (await kube.delete(f"{MAPS}/m"))[0] == 404


async def test_preconditions(kube: KubeClient) -> None:
    await kube.create(MAPS, {"metadata": {"name": "m"}})
    status, told = await kube.delete(f"{MAPS}/m", {"preconditions": {"uid": "other"}})
    assert (status, told["reason"]) == (409, "Conflict")
    assert "Precondition failed: UID in precondition: other" in told["message"]
    assert (await kube.delete(f"{MAPS}/m", {"preconditions": {"resourceVersion": "1"}}))[0] == 409
    assert (await kube.delete(f"{MAPS}/m", {"propagationPolicy": "Sideways"}))[0] == 422


async def test_a_pod_on_a_node_gets_its_grace(api: KubeApi, kube: KubeClient) -> None:
    await kube.create(PODS, pod("nowhere"))
    await kube.delete(f"{PODS}/nowhere")
    assert (await kube.get(f"{PODS}/nowhere"))[0] == 404
    for name in ("a", "b"):
        await kube.create(PODS, pod(name, nodeName="n1", terminationGracePeriodSeconds=7))
    _, marked = await kube.delete(f"{PODS}/a")
    assert (marked["kind"], marked["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 7)
    assert (await kube.get(f"{PODS}/a"))[0] == 200
    await kube.delete(f"{PODS}/a", gracePeriodSeconds="0")
    assert (await kube.get(f"{PODS}/a"))[0] == 404
    await kube.delete(f"{PODS}/b", {"gracePeriodSeconds": 3})
    await kube.merge(f"{PODS}/b/status", {"status": {"phase": "Succeeded"}})
    assert (await kube.get(f"{PODS}/b"))[0] == 404


async def test_dependents_go_with_their_last_owner(kube: KubeClient) -> None:
    _, first = await kube.create(MAPS, {"metadata": {"name": "first"}})
    _, second = await kube.create(MAPS, {"metadata": {"name": "second"}})
    await kube.create(MAPS, owned("of-both", first, second))
    await kube.create(MAPS, owned("of-first", first))
    await kube.delete(f"{MAPS}/first")
    assert await names(kube) == ["of-both", "second"]
    await kube.delete(f"{MAPS}/second", {"propagationPolicy": "Orphan"})
    assert await names(kube) == ["of-both"]
    assert "second" not in str((await kube.get(f"{MAPS}/of-both"))[1]["metadata"]["ownerReferences"])


async def test_an_owner_waits_for_its_dependents_in_the_foreground(kube: KubeClient) -> None:
    _, owner = await kube.create(MAPS, {"metadata": {"name": "owner"}})
    await kube.create(MAPS, owned("held", owner, finalizers=["lab.example.com/x"]))
    _, marked = await kube.delete(f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert await names(kube) == ["held", "owner"]
    await kube.merge(f"{MAPS}/held", {"metadata": {"finalizers": None}})
    assert await names(kube) == []


async def test_a_collection(kube: KubeClient) -> None:
    for name in "abc":
        await kube.create(PODS, pod(name, labels={"x": name}))
    await kube.delete(PODS, labelSelector="x in (a,b)")
    assert await names(kube, PODS) == ["c"]


async def test_a_namespace_goes_with_its_contents(kube: KubeClient) -> None:
    await kube.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    assert (await kube.get("/api/v1/namespaces/team/serviceaccounts/default"))[0] == 200
    await kube.create("/api/v1/namespaces/team/configmaps", {"metadata": {"name": "m", "finalizers": ["x.io/y"]}})
    await kube.delete("/api/v1/namespaces/team")
    _, leaving = await kube.get("/api/v1/namespaces/team")
    assert leaving["status"]["phase"] == "Terminating"
    status, told = await kube.create("/api/v1/namespaces/team/configmaps", {"metadata": {"name": "late"}})
    assert (status, told["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    await kube.merge("/api/v1/namespaces/team/configmaps/m", {"metadata": {"finalizers": None}})
    assert (await kube.get("/api/v1/namespaces/team"))[0] == 404
    assert await names(kube, "/api/v1/namespaces/team/serviceaccounts") == []


async def test_a_definition_takes_its_objects_and_watches_along(kube: KubeClient) -> None:
    await kube.create(CRDS, crd())
    await kube.create(WIDGETS, widget("w"))
    async with kube.watch(WIDGETS) as watch:
        assert await watch.short() == ("ADDED", "w")
        await kube.delete(f"{CRDS}/widgets.lab.example.com")
        assert await watch.short() == ("DELETED", "w")
        assert await watch.ended()
    assert (await kube.get(WIDGETS))[0] == 404
    await kube.create(CRDS, crd())
    assert await names(kube, WIDGETS) == []
