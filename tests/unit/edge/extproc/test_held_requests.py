"""Requests that routing holds with a Ticket: granted later, overdue, or withdrawn because the client went."""

import asyncio

import pytest

from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.protocol.conversation import TIMEOUT_MARGIN_S
from epp.core.protocol.events import BodyMode
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import holding, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
MODES = pytest.mark.parametrize(
    "mode", [BUFFERED, DUPLEX, BodyMode.STREAMED, BodyMode.NONE], ids=lambda mode: mode.name
)


@MODES
async def test_granted_later(mode: BodyMode) -> None:
    picker, router = holding()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: router.held)
        assert not sending.done()
        assert picker.ledger.open_count == 0, "a request that waits takes no place"
        router.grant()
        forwarded = await sending
        assert forwarded.body == BODY
        assert picker.budget.held_bytes == 0, "the body has gone on"
        assert request.extensions == ([] if mode is DUPLEX else [30.0 + TIMEOUT_MARGIN_S])
        await request.answered(served=forwarded.destination)
        request.reset()
        await picker.at_rest()
        assert len(picker.metrics.finished) == 1


@MODES
async def test_overdue(mode: BodyMode) -> None:
    picker, router = holding(wait_s=0.02)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        with pytest.raises(Refused) as refused:
            await request.send(BODY)
        assert refused.value.status == 503
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == DroppedReason.TTL_EXPIRED.value
        assert refused.value.headers["retry-after"] == "1"
        assert "no endpoint within 0.02 s" in refused.value.error["message"]
        [(_, ticket)] = router.held
        assert not ticket.is_open, "whoever holds it must not dispatch it any more"
        request.reset()
        await picker.at_rest()


@pytest.mark.parametrize("half_closes", [False, True], ids=["reset", "half-close"])
@MODES
async def test_withdrawn(mode: BodyMode, half_closes: bool) -> None:
    picker, router = holding()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        await request.begin()
        if mode in {BUFFERED, DUPLEX}:
            await request.chunk(BODY, end_of_stream=True)
        await eventually(lambda: router.held)
        if half_closes:
            await request.stream.half_close()
        else:
            request.reset()
        await picker.at_rest()
        [(_, ticket)] = router.held
        assert not ticket.is_open
        assert picker.metrics.routed == []
        assert picker.metrics.finished == []


async def test_who_holds_a_request_says_why_it_waited_in_vain() -> None:
    """Also where that comes a moment after the time that was promised."""
    picker, router = holding(wait_s=0.05)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        sending = envoy.in_background(envoy.request(BUFFERED).send(BODY))
        await eventually(lambda: router.held)
        [(_, ticket)] = router.held
        too_late = ResourceExhausted("waited too long", reason=DroppedReason.TTL_EXPIRED)
        asyncio.get_running_loop().call_later(0.1, ticket.answer, too_late)
        with pytest.raises(Refused) as refused:
            await sending
        assert refused.value.status == 429


async def test_refused_while_waiting() -> None:
    picker, router = holding()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: router.held)
        [(_, ticket)] = router.held
        ticket.answer(ResourceExhausted("evicted", reason=DroppedReason.EVICTED))
        with pytest.raises(Refused) as refused:
            await sending
        assert refused.value.status == 429
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == "evicted"
        request.reset()
        await picker.at_rest()


async def test_granted_in_the_order_of_the_router() -> None:
    picker, router = holding()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        requests = [envoy.request(BUFFERED) for _ in range(5)]
        sendings = [
            envoy.in_background(request.send(BODY, headers={"x-request-id": f"r-{number}"}))
            for number, request in enumerate(requests)
        ]
        await eventually(lambda: len(router.held) == 5)
        router.held.reverse()
        expected = [request.request_id for request, _ in router.held]
        for _ in range(5):
            router.grant()
        for sending in sendings:
            await sending
        assert [decision.request.request_id for decision in picker.metrics.routed] == expected
        assert picker.ledger.open_count == 5


async def test_a_local_reply_of_the_proxy_withdraws_the_ticket_and_the_stream_goes_on() -> None:
    picker, router = holding()
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        await request.begin()
        await request.chunk(BODY, end_of_stream=True)
        await eventually(lambda: router.held)
        await request.answered(504)
        [(_, ticket)] = router.held
        assert not ticket.is_open
        assert picker.budget.held_bytes == len(BODY), "until the stream is over"
        request.reset()
        await picker.at_rest()


async def test_a_wait_never_exceeds_what_the_proxy_grants() -> None:
    picker, router = holding(wait_s=600.0)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: router.held)
        router.grant()
        await sending
        assert request.extensions == [120.0]
        request.reset()
        await picker.at_rest()
