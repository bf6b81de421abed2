"""The objects in a directory or in an API server: the same stack, the same picks, the same changes"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from epp.lab.once import OncePlan, run_once
from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan
from epp.lab.pool_files import objective_manifest, pod_manifest, pool_manifest
from tests.support.live_stack import LiveStack, live_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
PODS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[False, True], ids=["directory", "api-server"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[LiveStack]:
    async with live_stack(StackPlan(pods=PODS, speed=20.0, kube=request.param)) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: LiveStack) -> AsyncIterator[LiveStack]:
    yield shared
    await shared.assert_clean()


async def served_by(stack: LiveStack) -> set[str]:
    """Who serves many requests at once, so that nobody who may is left out."""
    replies = await asyncio.gather(*(stack.complete(f"{number}", model=BASE_MODEL) for number in range(40)))
    return {reply.served_by for reply in replies}


async def test_every_request_is_served_where_the_decision_says(stack: LiveStack) -> None:
    verdict = await run_once(stack.local, OncePlan(requests=90, concurrency=9), lambda _: None)
    assert verdict.problems == ()
    assert (verdict.ok, verdict.bypassed) == (90, 0)
    assert len(verdict.picks) == PODS


async def test_a_changed_priority_counts_within_two_seconds(stack: LiveStack) -> None:
    reply = await stack.complete("x", model=ADAPTERS[0])
    assert (await stack.decision(reply.request_id)).priority == 10
    await stack.local.home.put(objective_manifest(ADAPTERS[0], -3))

    async def counts() -> bool:
        reply = await stack.complete("x", model=ADAPTERS[0])
        return (await stack.decision(reply.request_id)).priority == -3

    await stack.until(counts, "the new priority counts", within_s=2.0)
    await stack.local.home.put(objective_manifest(ADAPTERS[0], 10))


async def test_a_pod_that_is_not_ready_leaves_and_comes_back(stack: LiveStack) -> None:
    first = stack.local.pods[0]
    await stack.local.home.put(pod_manifest(first, ready=False))
    await stack.until_endpoints(PODS - 1)
    assert f"{first.host}:{first.port}" not in await served_by(stack)
    await stack.local.home.put(pod_manifest(first))
    await stack.until_endpoints(PODS)


async def test_a_pod_that_is_deleted_leaves_and_a_new_one_joins(stack: LiveStack) -> None:
    first = stack.local.pods[0]
    successor = msgspec.structs.replace(first, name="vllm-successor")
    await stack.local.home.remove(pod_manifest(first))
    await stack.until_endpoints(PODS - 1)
    await stack.local.home.put(pod_manifest(successor))
    await stack.until_endpoints(PODS)
    assert (await stack.endpoints())[f"{first.host}:{first.port}"].pod == successor.name

    async def serves() -> bool:
        return f"{first.host}:{first.port}" in await served_by(stack)

    await stack.until(serves, "the successor serves")
    await stack.local.home.remove(pod_manifest(successor))
    await stack.local.home.put(pod_manifest(first))
    await stack.until_endpoints(PODS)


async def test_without_its_pool_requests_are_refused_and_with_it_they_are_served_again(stack: LiveStack) -> None:
    pool = pool_manifest(stack.local.pods[0].port)
    await stack.local.home.remove(pool)
    await stack.until_endpoints(0)
    refused = await stack.complete("nobody serves this")
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert "no pool" in refused.error["message"] or "endpoint" in refused.error["message"]
    assert await stack.pages.unready_reason() != ""
    await stack.local.home.put(pool)
    await stack.until_endpoints(PODS)
    assert (await stack.complete("and this")).status == 200
    assert await stack.pages.unready_reason() == ""


async def test_pages_of_a_picker_in_a_cluster_are_for_those_who_may_read_them(stack: LiveStack) -> None:
    is_guarded = stack.local.plan.kube
    for path in ("/metrics", "/debug/decisions"):
        async with stack.session.get(stack.local.picker.url + path) as response:
            assert response.status == (401 if is_guarded else 200)
    assert await stack.pages.metric("inference_pool_ready_pods") == PODS
    assert bool(stack.local.home.pages_token) is is_guarded


async def test_the_picker_lacks_no_right(stack: LiveStack) -> None:
    process = stack.local.picker.process
    assert process is not None
    log = process.log_path.read_text()
    assert "pool changed" in log
    for sign in ("RBAC", "orbidden", "events about objects"):
        assert sign not in log
