"""Requests with a prefill stage through the real picker and a real Envoy: the decode pod is told who prefills."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp.lab.plan import StackPlan
from epp.lab.pool_files import pod_manifest, write_manifests
from tests.support.live_stack import LiveStack, Reply, live_stack
from tests.support.staged_pool import HEAD, disagg

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROLES = ("prefill", "prefill", "decode", "decode", "encode")
PREFILLER, ENCODERS = "x-prefiller-host-port", "x-encoder-hosts-ports"
FORGED = "169.254.169.254:80"
POLICY = disagg(
    "deciders: {prefill: long, encode: media}",
    "{type: prefix-based-pd-decider, name: long, parameters: {nonCachedTokens: 20}}",
)
LONG, SHORT = "tell me a long story " * 20, "hi"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["buffered", "full-duplex"])
async def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveStack]:
    config = tmp_path_factory.mktemp("stages") / "epp.yaml"
    config.write_text(HEAD + POLICY)
    plan = StackPlan(pods=len(ROLES), roles=ROLES, body_mode=request.param, speed=20.0, config_file=config)
    async with live_stack(plan) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: LiveStack) -> AsyncIterator[LiveStack]:
    yield shared
    await shared.assert_clean()


def pods(stack: LiveStack, role: str) -> set[str]:
    return {f"{pod.host}:{pod.port}" for pod, its in zip(stack.local.pods, ROLES, strict=True) if its == role}


def told(reply: Reply) -> dict[str, str]:
    """What arrived at the pod of the headers for a sidecar."""
    names = ("x-prefiller", "x-encoder", "x-data-parallel", "x-kv-cache")
    return {name.lower(): value for name, value in reply.echo.headers if name.lower().startswith(names)}


async def test_the_decode_pod_is_told_which_pod_prefills(stack: LiveStack) -> None:
    reply = await stack.echo({"model": "m", "prompt": LONG})
    assert reply.status == 200
    decision = await stack.decision(reply.request_id)
    assert decision.picked is not None
    assert reply.served_by == decision.picked.destination
    assert reply.served_by in pods(stack, "decode")
    (stage,) = decision.stages
    assert told(reply) == {PREFILLER: stage.picked.destination} == decision.request_headers
    assert stage.picked.destination in pods(stack, "prefill")
    assert {candidate.destination for candidate in stage.candidates} == pods(stack, "prefill")
    assert (decision.disaggregation, decision.profile, stage.profile) == ("prefill-decode", "decode", "prefill")


async def test_a_short_prompt_stays_at_the_decode_pod(stack: LiveStack) -> None:
    reply = await stack.echo({"model": "m", "prompt": SHORT})
    assert told(reply) == {}
    assert (await stack.decision(reply.request_id)).disaggregation == "decode-only"


async def test_pictures_are_encoded_elsewhere(stack: LiveStack) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    reply = await stack.post("/debug/echo/v1/chat/completions", body)
    assert told(reply)[ENCODERS] in pods(stack, "encode")
    assert reply.served_by in pods(stack, "decode")


@pytest.mark.parametrize("prompt", [LONG, SHORT])
async def test_a_client_cannot_name_a_prefiller(stack: LiveStack, prompt: str) -> None:
    names = (PREFILLER, ENCODERS, "x-prefiller-url", "x-data-parallel-host-port", "x-kv-cache-source-host-port")
    reply = await stack.echo({"model": "m", "prompt": prompt}, headers=dict.fromkeys(names, FORGED))
    assert reply.status == 200
    assert FORGED not in told(reply).values()
    assert told(reply).keys() <= {PREFILLER}


async def test_many_at_once_use_every_pod_of_their_role_and_leave_nothing_behind(stack: LiveStack) -> None:
    replies = await asyncio.gather(*(stack.complete(f"{number} {LONG}") for number in range(40)))
    assert [reply.status for reply in replies] == [200] * 40
    decisions = [await stack.decision(reply.request_id) for reply in replies]
    for reply, decision in zip(replies, decisions, strict=True):
        assert decision.picked is not None
        assert reply.served_by == decision.picked.destination
    assert {reply.served_by for reply in replies} == pods(stack, "decode")
    assert {decision.stages[0].picked.destination for decision in decisions} == pods(stack, "prefill")


async def test_a_place_at_the_prefill_pod_is_given_back_when_the_answer_begins(stack: LiveStack) -> None:
    body = {"model": "food-review", "prompt": LONG + "!", "max_tokens": 4000, "stream": True, "ignore_eos": True}
    async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
        await response.content.readany()
        in_flight = {one.destination: one.in_flight for one in await stack.pages.endpoints()}
        assert sum(in_flight.values()) == 1
        assert not any(in_flight[destination] for destination in pods(stack, "prefill"))
    await stack.until_idle()


async def decisions_without_prefill(stack: LiveStack) -> float:
    async with stack.session.get(f"{stack.local.picker.url}/metrics") as page:
        lines = (await page.text()).splitlines()
    named = 'epp_disagg_decisions_total{decision="decode-only",failed_stage="prefill"} '
    return sum(float(line.removeprefix(named)) for line in lines if line.startswith(named))


async def test_without_prefill_pods_decode_pods_answer_alone_and_it_is_counted(stack: LiveStack) -> None:
    numbers = itertools.count()

    async def split() -> bool:
        reply = await stack.echo({"model": "m", "prompt": f"{next(numbers)}: what nobody asked before, {LONG}"})
        assert reply.status == 200
        assert reply.served_by in pods(stack, "decode")
        return PREFILLER in told(reply)

    async def alone() -> bool:
        return not await split()

    def rewrite(prefill: str) -> None:
        roles = [prefill if role == "prefill" else role for role in ROLES]
        manifests = [pod_manifest(pod, role=role) for pod, role in zip(stack.local.pods, roles, strict=True)]
        write_manifests(stack.local.objects / "pods.yaml", manifests)

    before = await decisions_without_prefill(stack)
    rewrite("nothing")
    await stack.until(alone, "no prefill pod is named")
    assert await decisions_without_prefill(stack) > before
    rewrite("prefill")
    await stack.until(split, "a prefill pod is named again")
