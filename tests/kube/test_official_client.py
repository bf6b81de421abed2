"""The official Python client against the emulated server: it reads what it is told and is refused as by a cluster."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kubernetes.aio.client
import kubernetes.aio.config
import kubernetes.aio.dynamic
import kubernetes.aio.watch
import pytest
from kubernetes.aio.client.exceptions import ApiException

from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import crd, pod, widget

client: Any = kubernetes.aio.client  # its annotations want models where it takes dicts as well
config: Any = kubernetes.aio.config
dynamic_client: Any = kubernetes.aio.dynamic.DynamicClient
watch: Any = kubernetes.aio.watch


@pytest.fixture
async def connected(api: KubeApi, tmp_path: Path) -> AsyncIterator[Any]:
    """A client by kubeconfig."""
    configuration = client.Configuration()
    path = api.kubeconfig(tmp_path / "config")
    await config.load_kube_config(config_file=str(path), client_configuration=configuration)
    async with client.ApiClient(configuration) as made:
        yield made


async def test_pages(connected: Any) -> None:
    core = client.CoreV1Api(connected)
    for name in ("a", "b", "c"):
        await core.create_namespaced_pod("default", pod(name))
    first = await core.list_namespaced_pod("default", limit=2)
    assert [each.metadata.name for each in first.items] == ["a", "b"]
    second = await core.list_namespaced_pod("default", limit=2, _continue=first.metadata._continue)
    assert [each.metadata.name for each in second.items] == ["c"]
    assert second.metadata.resource_version == first.metadata.resource_version
    assert (await core.list_namespaced_pod("default", field_selector="metadata.name=b")).items[0].metadata.name == "b"


async def test_watching(connected: Any) -> None:
    core = client.CoreV1Api(connected)
    listed = await core.list_namespaced_pod("default")
    seen: list[tuple[str, str]] = []

    async def follow() -> None:
        query = {"resource_version": listed.metadata.resource_version, "timeout_seconds": 30}
        async with watch.Watch() as watching:
            async for event in watching.stream(core.list_namespaced_pod, "default", **query):
                seen.append((event["type"], event["object"].metadata.name))
                if event["type"] == "DELETED":
                    return

    task = asyncio.create_task(follow())
    await core.create_namespaced_pod("default", pod("a"))
    await core.patch_namespaced_pod("a", "default", {"metadata": {"labels": {"x": "y"}}})
    await core.delete_namespaced_pod("a", "default")
    await asyncio.wait_for(task, 10)
    assert seen == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_an_old_version_is_gone(connected: Any, api: KubeApi) -> None:
    core = client.CoreV1Api(connected)
    old = (await core.list_namespaced_pod("default")).metadata.resource_version
    await core.create_namespaced_pod("default", pod("a"))
    api.compact()
    with pytest.raises(ApiException) as gone:
        await core.list_namespaced_pod("default", resource_version=old, resource_version_match="Exact")
    assert gone.value.status == 410


async def test_a_lease_that_another_has_changed(connected: Any) -> None:
    leases = client.CoordinationV1Api(connected)
    made = await leases.create_namespaced_lease(
        "default", {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    )
    made.spec.holder_identity = "b"
    taken = await leases.replace_namespaced_lease("leader", "default", made)
    assert taken.spec.holder_identity == "b"
    made.spec.holder_identity = "c"
    with pytest.raises(ApiException) as conflict:
        await leases.replace_namespaced_lease("leader", "default", made)
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")


async def test_reviews(connected: Any, api: KubeApi) -> None:
    token = api.token("jane", ["readers"])
    review = await client.AuthenticationV1Api(connected).create_token_review({"spec": {"token": token}})
    assert review.status.authenticated
    assert review.status.user.username == "jane"
    spec = {"user": "jane", "nonResourceAttributes": {"path": "/metrics", "verb": "get"}}
    access = await client.AuthorizationV1Api(connected).create_subject_access_review({"spec": spec})
    assert access.status.allowed is False


async def test_custom_objects(connected: Any) -> None:
    await client.ApiextensionsV1Api(connected).create_custom_resource_definition(crd())
    custom = client.CustomObjectsApi(connected)
    where = ("lab.example.com", "v1", "default", "widgets")
    await custom.create_namespaced_custom_object(*where, widget("w", size=1))
    listed = await custom.list_namespaced_custom_object(*where)
    assert listed["items"][0]["spec"] == {"size": 1}
    await custom.patch_namespaced_custom_object_status(*where, "w", {"status": {"ready": True}})
    shown = await custom.get_namespaced_custom_object(*where, "w")
    assert (shown["status"], shown["metadata"]["generation"]) == ({"ready": True}, 1)


async def test_the_dynamic_client(connected: Any, api: KubeApi) -> None:
    api.objects.create(crd())
    async with dynamic_client(connected) as dynamic:
        widgets = await dynamic.resources.get(api_version="lab.example.com/v1", kind="Widget")
        made = await widgets.create(body=widget("w", size=1), namespace="default")
        assert made.spec.size == 1
        merge = {"content_type": "application/merge-patch+json"}
        body = {"metadata": {"name": "w"}, "spec": {"size": 2}}
        changed = await widgets.patch(body=body, namespace="default", **merge)
        assert changed.spec.size == 2
        applied = await widgets.server_side_apply(
            body={"apiVersion": "lab.example.com/v1", "kind": "Widget", **body},
            namespace="default",
            field_manager="picker",
        )
        assert {entry.manager for entry in applied.metadata.managedFields} >= {"picker"}
        assert [each.metadata.name for each in (await widgets.get(namespace="default")).items] == ["w"]
        await widgets.delete(name="w", namespace="default")
        assert (await widgets.get(namespace="default")).items == []
