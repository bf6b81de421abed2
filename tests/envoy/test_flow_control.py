"""Flow control behind a real Envoy: who waits, goes, is refused, leaves or is broken off."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
import pytest

from epp.lab.plan import BASE_MODEL, StackPlan
from epp.lab.pool_files import pod_manifest, write_manifests
from tests.support.envoy_edits import patient
from tests.support.live_stack import LiveStack, Reply, live_stack

TENANTS = ("hog", "a", "b", "c")
PRIORITIES = (20, 0, -20)
HEAD = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: active-request-scorer
- type: max-score-picker
- type: round-robin-fairness-policy
- type: concurrency-detector
  parameters: {maxConcurrency: EACH}
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, maxRequests: 400}
  defaultNegativePriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, maxRequests: 400}
"""
Mode = Literal["buffered", "full-duplex"]
QUEUED = "inference_extension_flow_control_queue_size"


@asynccontextmanager
async def stack_of(
    directory: Path, *, pods: int = 1, each: int = 1, more: str = "", mode: Mode = "buffered", speed: float = 20.0
) -> AsyncIterator[LiveStack]:
    """So many requests fit on a pod; `more` is added to `flowControl`."""
    config = directory / "flow.yaml"
    config.write_text(HEAD.replace("EACH", str(each)) + more)
    async with live_stack(StackPlan(pods=pods, body_mode=mode, config_file=config, speed=speed), patient) as stack:
        yield stack
        await stack.assert_clean()


def asking(
    stack: LiveStack, text: str, *, priority: int = 0, tenant: str = "t", tokens: int = 1
) -> asyncio.Task[Reply]:
    headers = {"x-gateway-inference-fairness-id": tenant}
    return asyncio.ensure_future(
        stack.complete(text, model=BASE_MODEL, max_tokens=tokens, priority=priority, headers=headers)
    )


async def occupied(stack: LiveStack, count: int, *, for_s: float, priority: int = 0) -> list[asyncio.Task[Reply]]:
    """`count` requests that their pods do not read for so long, each in its place."""
    for destination in await stack.endpoints():
        await stack.inject(destination, delay_s=for_s)
    tasks = [asking(stack, f"blocker {number}", priority=priority) for number in range(count)]

    async def all_there() -> bool:
        return sum(endpoint.in_flight for endpoint in (await stack.endpoints()).values()) == count

    await stack.until(all_there, f"{count} places are taken")
    return tasks


async def no_more_delays(stack: LiveStack) -> None:
    for destination in await stack.endpoints():
        await stack.inject(destination)


async def until_waiting(stack: LiveStack, count: int) -> None:
    async def queued() -> bool:
        return await stack.pages.metric(QUEUED) == count

    await stack.until(queued, f"{count} requests wait")


async def served_as_decided(stack: LiveStack, replies: Sequence[Reply]) -> None:
    picked = {one.request_id: one.picked for one in await stack.pages.decisions()}
    for reply in replies:
        endpoint = picked[reply.request_id]
        assert endpoint is not None
        assert endpoint.destination == reply.served_by


@pytest.mark.parametrize("mode", ["buffered", "full-duplex"])
async def test_requests_beyond_the_limit_wait_and_go_where_the_decision_says(tmp_path: Path, mode: Mode) -> None:
    async with stack_of(tmp_path, pods=2, each=2, mode=mode) as stack:
        replies = await asyncio.gather(*(asking(stack, f"{n}", tokens=8) for n in range(30)))
        assert {reply.status for reply in replies} == {200}
        await served_as_decided(stack, replies)
        assert await stack.pages.metric("inference_extension_flow_control_requests_total") == 30


async def test_five_hundred_at_once_with_three_priorities_and_four_tenants(tmp_path: Path) -> None:
    async with stack_of(tmp_path, pods=4, each=2, speed=50.0) as stack:
        blockers = await occupied(stack, 8, for_s=60.0)
        await no_more_delays(stack)
        shares = [tenant for tenant, share in zip(TENANTS, (35, 5, 5, 5), strict=True) for _ in range(share)]
        asked: list[asyncio.Task[Reply]] = []
        while len(asked) < 500:  # in waves, so that a busy machine does not make Envoy give the picker up
            wave = range(len(asked), len(asked) + 50)
            asked += [
                asking(stack, f"{n}", priority=PRIORITIES[n % 3], tenant=shares[n // 3 % 50], tokens=1) for n in wave
            ]
            await until_waiting(stack, len(asked))
        for blocker in blockers:
            blocker.cancel()
        replies = await asyncio.gather(*asked)
        assert Counter(reply.status for reply in replies) == {200: 500}, "none lost"

        waited = {reply.request_id for reply in replies}
        order = [one for one in reversed(await stack.pages.decisions()) if one.request_id in waited]
        assert len(order) == 500
        assert [one.priority for one in order] == sorted((one.priority for one in order), reverse=True)
        tenant_of = {reply.request_id: shares[n // 3 % 50] for n, reply in enumerate(replies)}
        for priority in PRIORITIES:
            band = [tenant_of[one.request_id] for one in order if one.priority == priority]
            fair = 4 * min(Counter(band).values())
            counts = Counter(band[:fair])
            assert max(counts.values()) - min(counts.values()) <= 1, "they take turns while all of them wait"


async def test_a_client_that_leaves_is_never_dispatched(tmp_path: Path) -> None:
    async with stack_of(tmp_path) as stack:
        [blocker] = await occupied(stack, 1, for_s=60.0)
        await no_more_delays(stack)
        leaving = asking(stack, "leaving")
        await until_waiting(stack, 1)
        leaving.cancel()
        await until_waiting(stack, 0)
        blocker.cancel()
        await stack.until_idle()
        assert len(await stack.pages.decisions()) == 1, "the blocker alone"


async def test_a_request_says_how_long_it_is_ready_to_wait(tmp_path: Path) -> None:
    async with stack_of(tmp_path) as stack:
        blockers = await occupied(stack, 1, for_s=60.0)
        reply = await stack.complete("x", model=BASE_MODEL, headers={"x-llm-d-request-ttl-ms": "50"})
        assert reply.status == 429
        assert reply.headers["x-llm-d-request-dropped-reason"] == "rejected-ttl-expired"
        assert reply.headers["retry-after"] == "1"
        waited = re.search(r"request timed out in queue: waited (\d+\.\d+) s", reply.error["message"])
        assert waited is not None
        assert float(waited[1]) >= 0.05
        blockers[0].cancel()


async def test_a_full_queue_refuses(tmp_path: Path) -> None:
    async with stack_of(tmp_path, more="  maxRequests: 1\n") as stack:
        [blocker] = await occupied(stack, 1, for_s=60.0)
        await no_more_delays(stack)
        waiting = asking(stack, "waits")
        await until_waiting(stack, 1)
        refused = await asking(stack, "too many")
        assert refused.status == 429
        assert refused.headers["x-llm-d-request-dropped-reason"] == "rejected-saturated"
        assert "maxRequests of 1" in refused.error["message"]
        blocker.cancel()
        assert (await waiting).status == 200


@pytest.mark.parametrize("mode", ["buffered", "full-duplex"])
async def test_requests_wait_while_the_pool_has_no_pod(tmp_path: Path, mode: Mode) -> None:
    async with stack_of(tmp_path, pods=2, each=10, mode=mode) as stack:
        pods, manifests = stack.local.pods, stack.local.objects / "pods.yaml"
        write_manifests(manifests, [pod_manifest(pod, ready=False) for pod in pods])
        await stack.until_endpoints(0)
        waiting = [asking(stack, f"{n}") for n in range(5)]
        await until_waiting(stack, 5)
        write_manifests(manifests, [pod_manifest(pod) for pod in pods])
        replies: Sequence[Reply] = await asyncio.gather(*waiting)
        assert {reply.status for reply in replies} == {200}
        await served_as_decided(stack, replies)
        await stack.until_endpoints(2)


async def test_a_sheddable_request_is_broken_off_for_one_that_matters_more(tmp_path: Path) -> None:
    async with stack_of(tmp_path, more="  enableEviction: true\n") as stack:
        [cheap] = await occupied(stack, 1, for_s=60.0, priority=-5)
        await no_more_delays(stack)
        dear = await asking(stack, "urgent", priority=5)
        evicted = await cheap
        assert (dear.status, evicted.status) == (200, 429)
        assert evicted.headers["x-llm-d-request-dropped-reason"] == "evicted"
        assert evicted.headers["retry-after"] == "1"
        assert "evicted to make room" in evicted.error["message"]


async def test_an_answer_that_has_begun_is_cut_only_if_configured(tmp_path: Path) -> None:
    more = "  enableEviction: true\n  evictAfterResponseHeaders: true\n"
    async with stack_of(tmp_path, more=more, speed=1.0) as stack:
        body = {"model": BASE_MODEL, "prompt": "x", "max_tokens": 400, "stream": True, "priority": -5}
        async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
            assert response.status == 200
            await response.content.readany()
            dear = await asking(stack, "urgent", priority=5)
            assert dear.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
