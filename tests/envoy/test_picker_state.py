"""The real picker follows objects, pods and what Envoy reports, behind a real Envoy."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan
from epp.lab.pool_files import objective_manifest, pod_manifest, write_manifests
from tests.support.live_stack import LiveStack, live_stack

SESSION_CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: session-affinity-scorer
- type: random-picker
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: session-affinity-scorer}
  - {pluginRef: max-score-picker}
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[LiveStack]:
    plan = StackPlan(pods=3, speed=20.0, picker_flags=("--sample-responses=1",))
    async with live_stack(plan) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: LiveStack) -> AsyncIterator[LiveStack]:
    yield shared
    await shared.assert_clean()


async def test_a_changed_objective_counts_within_two_seconds(stack: LiveStack) -> None:
    write_manifests(stack.local.objects / "extra.yaml", [objective_manifest("cad-fabricator", -3)])

    async def counts() -> bool:
        reply = await stack.complete("x", model=ADAPTERS[1])
        return (await stack.decision(reply.request_id)).priority == -3

    async with asyncio.timeout(2):
        await stack.until(counts, "the objective counts")
    (stack.local.objects / "extra.yaml").unlink()


async def test_a_pod_that_is_not_ready_any_more_gets_nothing_and_comes_back(stack: LiveStack) -> None:
    first, *others = stack.local.pods
    write_manifests(
        stack.local.objects / "pods.yaml", [pod_manifest(first, ready=False), *(pod_manifest(pod) for pod in others)]
    )
    await stack.until_endpoints(2)
    served = Counter([(await stack.complete(f"{number}", model=BASE_MODEL)).served_by for number in range(12)])
    assert f"{first.host}:{first.port}" not in served
    write_manifests(stack.local.objects / "pods.yaml", [pod_manifest(pod) for pod in stack.local.pods])
    await stack.until_endpoints(3)


async def test_a_file_with_a_mistake_keeps_the_last_good_state(stack: LiveStack) -> None:
    pods = stack.local.objects / "pods.yaml"
    good = pods.read_text()
    pods.write_text(good.replace("podIP: 127.", "podIP: x127.", 1))

    async def reported() -> bool:
        return await stack.pages.metric("epp_object_problems") > 0

    await stack.until(reported, "the mistake is reported")
    assert len(await stack.endpoints()) == 3
    assert (await stack.complete("x")).status == 200
    pods.write_text(good)

    async def mended() -> bool:
        return await stack.pages.metric("epp_object_problems") == 0

    await stack.until(mended, "the mistake is gone")


async def test_an_unreachable_pod_is_avoided_and_the_ledger_follows_who_served(stack: LiveStack) -> None:
    dead = (await stack.pages.endpoints())[0].destination
    await stack.inject(dead, drop_connections=True)
    replies = [await stack.complete(f"{number}", model=BASE_MODEL) for number in range(20)]
    assert {reply.status for reply in replies} <= {200, 503}

    async def cooling() -> bool:
        return (await stack.endpoints())[dead].cooling

    await stack.until(cooling, "two failures in a row cool the endpoint down")
    served = {(await stack.complete(f"again {number}", model=BASE_MODEL)).served_by for number in range(9)}
    assert dead not in served
    await stack.inject(dead)


async def test_samples_show_usage_and_first_token_time(stack: LiveStack) -> None:
    before = await stack.pages.metric("inference_objective_output_tokens_count")
    await stack.complete("plain", max_tokens=7)
    await stack.complete("streamed", max_tokens=7, stream=True, stream_options={"include_usage": True})
    await stack.until_idle()
    assert await stack.pages.metric("inference_objective_output_tokens_count") == before + 2
    assert await stack.pages.metric("inference_objective_request_ttft_seconds_count") >= 1


async def test_a_repeated_beginning_goes_where_it_is_cached(stack: LiveStack) -> None:
    document = "the same long document " * 100
    replies = [await stack.complete(f"{document} question {number}", model=BASE_MODEL) for number in range(6)]
    assert len({reply.served_by for reply in replies}) == 1
    decision = await stack.decision(replies[-1].request_id)
    scores = [candidate.scores["expected-cost-scorer"] for candidate in decision.candidates]
    best, second, *_ = sorted(scores, reverse=True)
    assert best == 1.0 > second


async def test_a_session_stays_with_its_pod_by_the_token_on_the_response(tmp_path: Path) -> None:
    config = tmp_path / "picker.yaml"
    config.write_text(SESSION_CONFIG)
    async with live_stack(StackPlan(pods=4, speed=20.0, config_file=config)) as stack:
        first = await stack.complete("hello", model=BASE_MODEL)
        token = first.headers["x-session-token"]
        assert first.served_by not in token, "the token does not reveal the pod"
        again = [
            await stack.complete(f"turn {turn}", model=BASE_MODEL, headers={"x-session-token": token})
            for turn in range(8)
        ]
        assert {reply.served_by for reply in again} == {first.served_by}
        assert {reply.headers["x-session-token"] for reply in again} == {token}
        forged = await stack.complete("x", model=BASE_MODEL, headers={"x-session-token": "forged"})
        assert forged.status == 200
        assert forged.headers["x-session-token"] != "forged"
        await stack.assert_clean()
