"""kmock as a second opinion: the same requests to both emulators, the same answers where kmock claims to emulate.

kmock keeps objects as plain JSON without versions: it answers 200 to a create and sends the same watch whatever version
is asked for. Those differences are asserted too, so that this test tells when they go away.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import kmock
import pytest

from epp.lab.kube_api.server import KubeApi
from tests.support.kube_api import PODS, KubeClient, pod

Both = tuple[KubeClient, KubeClient]
Json = dict[str, Any]


@pytest.fixture
async def both(api: KubeApi) -> AsyncIterator[Both]:
    """Clients of our server and of kmock."""
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(KubeClient(api.url, api.ca_pem, api.admin_token))
        emulator = await stack.enter_async_context(kmock.KubernetesEmulator())
        await stack.enter_async_context(kmock.Server(emulator))
        emulator.resources["v1/pods"] = kmock.ResourceInfo(kind="Pod", namespaced=True)
        theirs = await stack.enter_async_context(KubeClient(str(emulator.url).rstrip("/"), api.ca_pem, None))
        yield ours, theirs


def listed(answer: tuple[int, Json]) -> tuple[int, list[str]]:
    return answer[0], sorted(item["metadata"]["name"] for item in answer[1]["items"])


async def test_objects_come_and_go_alike(both: Both) -> None:
    told: list[list[object]] = []
    for kube in both:
        steps: list[object] = [listed(await kube.get(PODS))]
        await kube.create(PODS, pod("a", labels={"x": "1", "y": "1"}))
        await kube.create(PODS, pod("b"))
        steps += [listed(await kube.get(PODS)), (await kube.create(PODS, pod("a")))[0]]
        _, patched = await kube.merge(f"{PODS}/a", {"metadata": {"labels": {"y": None, "z": "1"}}})
        steps += [patched["metadata"]["labels"], (await kube.get(f"{PODS}/a"))[1]["metadata"]["labels"]]
        steps += [(await kube.delete(f"{PODS}/b"))[0], (await kube.delete(f"{PODS}/b"))[0]]
        steps += [
            (await kube.get(f"{PODS}/b"))[0],
            (await kube.merge(f"{PODS}/b", {}))[0],
            listed(await kube.get(PODS)),
        ]
        told.append(steps)
    assert told[0] == told[1]


async def test_watches_tell_alike(both: Both) -> None:
    told = []
    for kube in both:
        await kube.create(PODS, pod("there"))
        async with kube.watch(PODS) as watch:
            events = [await watch.short()]
            named = pod("a")
            named["metadata"]["namespace"] = "default"  # by which kmock finds whom to tell
            await kube.create(PODS, named)
            await kube.merge(f"{PODS}/a", {"metadata": {"annotations": {"x": "y"}}})
            await kube.delete(f"{PODS}/a")
            told.append([*events, await watch.short(), await watch.short(), await watch.short()])
    assert told[0] == told[1] == [("ADDED", "there"), ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_finalizers_hold_alike(both: Both) -> None:
    told = []
    for kube in both:
        held = pod("a")
        held["metadata"]["finalizers"] = ["lab.example.com/x"]
        await kube.create(PODS, held)
        _, marked = await kube.delete(f"{PODS}/a")
        still = (await kube.get(f"{PODS}/a"))[0]
        await kube.merge(f"{PODS}/a", {"metadata": {"finalizers": []}})
        told.append(("deletionTimestamp" in marked["metadata"], still, (await kube.get(f"{PODS}/a"))[0]))
    assert told[0] == told[1] == (True, 200, 404)


async def test_where_they_differ(both: Both, api: KubeApi) -> None:
    ours, theirs = both
    created = [(await kube.create(PODS, pod("a")))[0] for kube in both]
    assert created == [201, 200]
    old = (await ours.get(PODS))[1]["metadata"]["resourceVersion"]
    assert (await theirs.get(PODS))[1]["metadata"]["resourceVersion"] == "..."
    await ours.create(PODS, pod("b"))
    api.compact()
    first = []
    for kube in both:
        async with kube.watch(PODS, resourceVersion=old) as watch:
            first.append((await watch.event())[0])
    assert first == ["ERROR", "ADDED"]
