import aiohttp
import pytest

from epp.lab.kube_api.faults import Fault
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.eventually import eventually
from tests.support.kube_api import PODS, KubeClient, pod


async def version(kube: KubeClient) -> str:
    return str((await kube.get(PODS))[1]["metadata"]["resourceVersion"])


async def test_changes_after_a_version(kube: KubeClient) -> None:
    then = await version(kube)
    await kube.create(PODS, pod("a"))
    async with kube.watch(PODS, resourceVersion=then) as watch:
        assert await watch.short() == ("ADDED", "a")
        await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"x": "y"}}})
        await kube.create("/api/v1/namespaces/kube-system/pods", pod("elsewhere"))
        await kube.delete(f"{PODS}/a")
        kind, changed = await watch.event()
        assert (kind, changed["metadata"]["labels"]) == ("MODIFIED", {"x": "y"})
        kind, gone = await watch.event()
        assert kind == "DELETED"
        assert int(gone["metadata"]["resourceVersion"]) > int(changed["metadata"]["resourceVersion"])


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
async def test_without_a_version_it_begins_with_what_is_there(kube: KubeClient, query: dict[str, str]) -> None:
    await kube.create(PODS, pod("b"))
    await kube.create(PODS, pod("a"))
    async with kube.watch(PODS, **query) as watch:
        assert [await watch.short(), await watch.short()] == [("ADDED", "a"), ("ADDED", "b")]


async def test_an_object_that_stops_matching_is_deleted_for_that_client(kube: KubeClient) -> None:
    then = await version(kube)
    async with kube.watch(PODS, resourceVersion=then, labelSelector="app=vllm") as watch:
        await kube.create(PODS, pod("a"))
        await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"app": "vllm"}}})
        await kube.merge(f"{PODS}/a", {"metadata": {"annotations": {"x": "y"}}})
        await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"app": "other"}}})
        await kube.delete(f"{PODS}/a")
        await kube.create(PODS, pod("b", labels={"app": "vllm"}))
        assert [(await watch.short())[0] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]
        assert await watch.short() == ("ADDED", "b")


async def test_the_end_of_initial_events_is_a_bookmark(kube: KubeClient) -> None:
    await kube.create(PODS, pod("a"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with kube.watch(PODS, **query) as watch:
        assert await watch.short() == ("ADDED", "a")
        kind, bookmark = await watch.event()
        assert (kind, bookmark["kind"]) == ("BOOKMARK", "Pod")
        assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["metadata"]["resourceVersion"] == await version(kube)


async def test_bookmarks_tell_of_changes_elsewhere() -> None:
    settings = KubeApiSettings(bookmark_period_s=0.02)
    async with KubeApi(settings) as api, KubeClient(api.url, api.ca_pem, api.admin_token) as kube:
        then = await version(kube)
        async with kube.watch(PODS, resourceVersion=then, allowWatchBookmarks="true") as watch:
            await kube.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "x"}})
            for _ in range(100):
                kind, bookmark = await watch.event()
                assert kind == "BOOKMARK"
                if int(bookmark["metadata"]["resourceVersion"]) > int(then):
                    break
            else:
                pytest.fail("no bookmark with a later version")


async def test_a_version_that_is_too_old(api: KubeApi, kube: KubeClient) -> None:
    then = await version(kube)
    await kube.create(PODS, pod("a"))
    api.compact()
    async with kube.watch(PODS, resourceVersion=then) as watch:
        assert watch.response.status == 200
        kind, status = await watch.event()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert status["message"].startswith(f"too old resource version: {then} (")
        assert await watch.ended()


async def test_410_as_http_status_and_in_an_open_watch(api: KubeApi, kube: KubeClient) -> None:
    api.faults.add(Fault(verb="watch", resource="pods", status=410, times=1))
    assert (await kube.get(PODS, watch="true"))[0] == 410
    async with kube.watch(PODS, resourceVersion=await version(kube)) as watch:
        await eventually(lambda: api.watches.watches("pods"))
        assert api.watches.expire("pods") == 1
        kind, status = await watch.event()
        assert (kind, status["code"]) == ("ERROR", 410)


async def test_the_time_that_a_client_names(kube: KubeClient) -> None:
    async with kube.watch(PODS, resourceVersion=await version(kube), timeoutSeconds="1") as watch:
        assert await watch.ended()


async def test_a_silent_watch(api: KubeApi, kube: KubeClient) -> None:
    async with kube.watch(PODS, resourceVersion=await version(kube)) as watch:
        await kube.create(PODS, pod("a"))
        assert await watch.short() == ("ADDED", "a")
        assert api.watches.silence("pods") == 1
        await kube.create(PODS, pod("b"))
        api.watches.end_all()
        assert await watch.ended()


async def test_a_connection_that_breaks_in_the_middle_of_a_line(api: KubeApi, kube: KubeClient) -> None:
    async with kube.watch(PODS, resourceVersion=await version(kube)) as watch:
        await eventually(lambda: api.watches.watches("pods"))
        api.watches.cut("pods")
        with pytest.raises(aiohttp.ClientError):
            await watch.response.content.read()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"resourceVersionMatch": "Exact"}, "forbidden for watch unless sendInitialEvents"),
        ({"sendInitialEvents": "true"}, "requires setting resourceVersionMatch to NotOlderThan"),
    ],
)
async def test_what_cannot_be_watched(kube: KubeClient, query: dict[str, str], words: str) -> None:
    status, told = await kube.get(PODS, watch="true", **query)
    assert status == 422
    assert words in told["message"]


async def test_a_watch_ends_with_its_client_and_is_counted_once(api: KubeApi, kube: KubeClient) -> None:
    async with kube.watch(PODS, resourceVersion=await version(kube)):
        await eventually(api.watches.watches)
    await eventually(lambda: not api.watches.watches())
    assert api.audit.count("watch", "pods") == 1
    assert api.audit.count("list", "pods") == 1
