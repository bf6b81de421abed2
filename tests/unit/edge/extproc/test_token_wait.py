"""Requests that wait for their token ids before they are routed."""

import asyncio

import pytest

from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.conversation import TIMEOUT_MARGIN_S
from epp.core.protocol.events import BodyMode
from epp.edge.extproc.body_budget import BodyBudget
from epp.edge.extproc.executor import LONGEST_WAIT_S
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import HoldingRouter, Picker, holding, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
IDS = b"\x01\0\0\0\x02\0\0\0"
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
MODES = pytest.mark.parametrize("mode", [BUFFERED, DUPLEX], ids=lambda mode: mode.name)


class ScriptedTokens:
    """TokenSource that answers when the test says so."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.asked: list[InferenceRequest] = []
        self.given_up = 0
        self.answer: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def wants(self, request: InferenceRequest) -> bool:
        return self.wanted

    async def with_tokens(self, request: InferenceRequest) -> InferenceRequest:
        self.asked.append(request)
        try:
            tokens = await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return replaced(request, prompt_tokens=tokens)


def asking(*, wanted: bool = True, wait_s: float = 30.0) -> tuple[Picker, HoldingRouter, ScriptedTokens]:
    """A picker that asks for tokens, and a router that keeps what it is asked."""
    picker, router = holding(wait_s)
    picker.tokens = tokens = ScriptedTokens(wanted=wanted)
    return picker, router, tokens


@MODES
@pytest.mark.parametrize("told", [IDS, None], ids=["told", "not told"])
async def test_the_request_is_routed_once_somebody_has_answered(mode: BodyMode, told: bytes | None) -> None:
    picker, router, tokens = asking()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: tokens.asked)
        assert router.held == [], "not routed yet"
        assert bytes(tokens.asked[0].prompt.body) == BODY
        tokens.answer.set_result(told)
        await eventually(lambda: router.held)
        assert router.held[0][0].prompt_tokens == told
        router.grant()
        forwarded = await sending
        assert forwarded.body == BODY
        assert request.extensions == ([] if mode is DUPLEX else [LONGEST_WAIT_S + TIMEOUT_MARGIN_S]), "once for both"
        request.reset()
        await picker.at_rest()
        assert len(picker.metrics.started) == 1
        assert picker.metrics.routed[0].request.prompt_tokens is None, "a decision keeps no prompt"


async def test_a_request_that_needs_none_is_routed_at_once() -> None:
    picker, router, tokens = asking(wanted=False)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        sending = envoy.in_background(envoy.request(BUFFERED).send(BODY))
        await eventually(lambda: router.held)
        assert tokens.asked == []
        router.grant()
        await sending


@MODES
@pytest.mark.parametrize("half_closes", [False, True], ids=["reset", "half-close"])
async def test_nobody_is_asked_any_more_when_the_client_has_gone(mode: BodyMode, half_closes: bool) -> None:
    picker, router, tokens = asking()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        await request.begin()
        await request.chunk(BODY, end_of_stream=True)
        await eventually(lambda: tokens.asked)
        if half_closes:
            await request.stream.half_close()
        else:
            request.reset()
        await picker.at_rest()
        await eventually(lambda: tokens.given_up)
        tokens.answer.set_result(IDS)
        assert router.held == []


async def test_a_local_reply_of_the_proxy_ends_the_wait() -> None:
    picker, router, tokens = asking()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        await request.begin()
        await request.chunk(BODY, end_of_stream=True)
        await eventually(lambda: tokens.asked)
        await request.answered(504)
        assert tokens.given_up == 1
        request.reset()
        await picker.at_rest()
        assert router.held == []


async def test_a_server_that_stops_tells_who_waits() -> None:
    picker, _, tokens = asking()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: tokens.asked)
        draining = envoy.in_background(picker.transport.drain(5.0))
        with pytest.raises(Refused) as refused:
            await sending
        assert refused.value.status == 503
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == "rejected-shutting-down"
        request.reset()
        await draining


async def test_a_source_that_breaks_its_promise_costs_the_tokens_and_not_the_request() -> None:
    picker, router, tokens = asking()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        sending = envoy.in_background(envoy.request(BUFFERED).send(BODY))
        await eventually(lambda: tokens.asked)
        tokens.answer.set_exception(RuntimeError("a fault of ours"))
        await eventually(lambda: router.held)
        router.grant()
        await sending
        assert picker.faults.events == ["token source failed"]
        picker.faults.faults.clear()


async def test_a_full_body_budget_does_not_refuse_who_waits_for_tokens() -> None:
    picker, router, tokens = asking()
    picker.budget = BodyBudget(10)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: tokens.asked)
        assert picker.budget.waiting_streams == 0
        tokens.answer.set_result(IDS)
        await eventually(lambda: router.held)
        router.grant()
        assert (await sending).body == BODY
        request.reset()
        await picker.at_rest()


async def test_a_place_in_the_queue_that_was_waited_for_too_long_is_refused() -> None:
    picker, router, tokens = asking(wait_s=0.02)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: tokens.asked)
        tokens.answer.set_result(IDS)
        with pytest.raises(Refused) as refused:
            await sending
        assert refused.value.status == 503
        assert not router.held[0][1].is_open
        request.reset()
        await picker.at_rest()
