"""The real picker under load, behind a real Envoy: bursts, a thousand requests, saturation, its own death."""

import asyncio
from collections import Counter

import pytest

from epp.lab.once import OncePlan, run_once
from epp.lab.plan import BASE_MODEL, StackPlan
from epp.lab.verdict import Verdict
from tests.support.live_stack import LiveStack, live_stack


async def _once(stack: LiveStack, **plan: int | bool) -> Verdict:
    return await run_once(stack.local, OncePlan(**plan), lambda _: None)  # type: ignore[arg-type]  # names are checked


async def test_forty_requests_at_once_spread_evenly_over_idle_pods() -> None:
    # Steps of a second: as with a real engine, metrics say "idle" for as long as the burst lasts.
    async with live_stack(StackPlan(pods=4, pod_flags=("--step-base-ms", "1000"))) as stack:
        ask = (stack.complete(f"{number} " * 40, model=BASE_MODEL, max_tokens=1) for number in range(40))
        served = Counter(reply.served_by for reply in await asyncio.gather(*ask))
        assert all(8 <= served[pod] <= 12 for pod in await stack.endpoints()), served
        await stack.assert_clean()


@pytest.mark.parametrize("body_mode", ["buffered", "full-duplex"])
async def test_a_thousand_requests_at_fifty_at_once(body_mode: str) -> None:
    plan = StackPlan(pods=4, body_mode="buffered" if body_mode == "buffered" else "full-duplex", speed=20.0)
    async with live_stack(plan) as stack:
        verdict = await _once(stack, requests=1000, concurrency=50)
        assert verdict.problems == ()
        assert verdict.ok == 1000
        assert verdict.picks.keys() == (await stack.endpoints()).keys(), "nobody was left out"
        await stack.assert_clean()


async def test_a_slow_pod_gets_less() -> None:
    async with live_stack(StackPlan(pods=3, speed=20.0)) as stack:
        slow, *others = await stack.endpoints()
        await stack.inject(slow, delay_s=0.5)
        asked = iter(range(240))
        served: Counter[str] = Counter()

        async def client() -> None:
            for number in asked:
                served[(await stack.complete(f"{number} " * 40, model=BASE_MODEL, max_tokens=8)).served_by] += 1

        await asyncio.gather(*(client() for _ in range(12)))
        assert served[slow] < min(served[pod] for pod in others), served
        await stack.inject(slow)
        await stack.assert_clean()


async def test_a_sheddable_request_is_refused_while_the_pool_is_saturated() -> None:
    flags = ("--max-num-seqs", "1", "--step-base-ms", "50")
    async with live_stack(StackPlan(pods=1, pod_flags=flags)) as stack:
        crowd = [asyncio.ensure_future(stack.complete(f"{n}", model=BASE_MODEL, max_tokens=4)) for n in range(12)]

        async def is_full() -> bool:
            return (await stack.pages.endpoints())[0].waiting >= 5

        await stack.until(is_full, "five requests wait")
        shed = await stack.complete("x", model=BASE_MODEL, priority=-1)
        assert shed.status == 429
        assert "system saturated, sheddable request dropped" in shed.error["message"]
        assert shed.headers["x-llm-d-request-dropped-reason"] == "rejected-saturated"
        assert shed.headers["retry-after"] == "1"
        assert {reply.status for reply in await asyncio.gather(*crowd)} == {200}, "others wait in the engine"
        assert (await stack.complete("x", model=BASE_MODEL, priority=-1)).status == 200
        await stack.assert_clean()


async def test_no_request_is_lost_when_the_picker_dies() -> None:
    async with live_stack(StackPlan(pods=3, speed=5.0)) as stack:
        verdict = await _once(stack, requests=200, concurrency=40, kill_picker=True)
        assert verdict.problems == ()
        assert verdict.ok == 200
        assert verdict.bypassed > 0
        assert verdict.picks.total() + verdict.bypassed == 200  # type: ignore[attr-defined]  # a Counter
        assert verdict.counters["failure_mode_allowed"] >= verdict.bypassed
        await stack.local.picker.start()
        await stack.until_endpoints(3)
        reply = await stack.complete("the new picker picks again")
        assert (await stack.decision(reply.request_id)).picked is not None


async def test_failing_close_refuses_new_requests_and_cuts_no_answer() -> None:
    async with live_stack(StackPlan(pods=2, failure_mode="close")) as stack:
        body = {"model": BASE_MODEL, "prompt": "count", "max_tokens": 60, "stream": True, "ignore_eos": True}
        async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
            await response.content.readany()
            await stack.local.picker.kill()
            refused = await stack.complete("x")
            assert refused.status == 503
            assert refused.error["code"] == 503
            rest = await response.content.read()
        assert rest.endswith(b"data: [DONE]\n\n")


async def test_without_any_ready_pod_requests_get_503() -> None:
    async with live_stack(StackPlan(pods=1)) as stack:
        (stack.local.objects / "pods.yaml").unlink()
        await stack.until_endpoints(0)
        reply = await stack.complete("x")
        assert reply.status == 503
        assert "failed to find endpoint candidates for serving the request" in reply.error["message"]
        assert reply.headers["x-llm-d-request-dropped-reason"] == "rejected-no-endpoints"
        assert reply.headers["retry-after"] == "1"
        await stack.assert_clean()
