"""The bound on all bodies together: streams over it are not read until there is room, or are refused after a while."""

import asyncio

import pytest

from epp.core.protocol.events import BodyMode
from epp.edge.extproc import executor
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, ProxiedRequest, Refused
from tests.support.picker import Picker, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
BODY = b'{"model":"llama","prompt":"%s"}' % (b"x" * 970)
HALF = len(BODY) // 2


async def begun(picker: Picker, envoy: ExtProcClient, data: bytes) -> ProxiedRequest:
    """A request whose body was sent that far and has arrived."""
    request = envoy.request(DUPLEX)
    before = picker.budget.held_bytes
    await request.begin()
    await request.chunk(data, end_of_stream=False)
    await eventually(lambda: picker.budget.held_bytes == before + len(data))
    return request


async def test_a_stream_over_the_limit_waits_and_goes_on_when_another_is_done() -> None:
    picker = Picker(budget_bytes=len(BODY))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        first = await begun(picker, envoy, BODY[:-10])
        second = await begun(picker, envoy, BODY[:HALF])
        assert picker.budget.is_full
        await second.chunk(BODY[HALF:], end_of_stream=True)
        await first.chunk(BODY[-10:], end_of_stream=True)

        assert (await first.answer("request_headers")).dynamic_metadata
        assert (await second.answer("request_headers")).dynamic_metadata
        assert [decision.request.body_bytes for decision in picker.metrics.routed] == [len(BODY)] * 2
        assert picker.budget.held_bytes == 0
        for request in (first, second):
            request.reset()
        await picker.at_rest()
        assert picker.metrics.refused == []


async def test_a_paused_stream_leaves_its_bytes_with_the_proxy() -> None:
    """gRPC's windows close: what is sent on does not arrive here."""
    picker = Picker(budget_bytes=HALF)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = await begun(picker, envoy, BODY)
        sending = envoy.in_background(flood(request))
        other = envoy.request(BodyMode.BUFFERED)
        await other.send(b'{"model":"m","prompt":"x"}')
        assert not sending.done()
        assert picker.budget.held_bytes == len(BODY)
        other.reset()


async def flood(request: ProxiedRequest) -> None:
    while True:
        await request.chunk(bytes(60_000), end_of_stream=False)


async def test_streams_that_wait_for_one_another_are_refused_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "BUDGET_WAIT_S", 0.05)
    picker = Picker(budget_bytes=len(BODY))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        first, second = await begun(picker, envoy, BODY[:-10]), envoy.request(DUPLEX)
        await second.begin()
        await second.chunk(BODY[:-10], end_of_stream=False)
        await second.chunk(BODY[-10:], end_of_stream=True)
        with pytest.raises(Refused) as refused:
            await second.answer("request_headers")
        assert refused.value.status == 429
        assert refused.value.headers["retry-after"] == "1"
        assert "--max-buffered-bytes" in refused.value.error["message"]

        assert not picker.budget.is_full, "the refused one's bytes count no more"
        await first.chunk(BODY[-10:], end_of_stream=True)
        await first.answer("request_headers")
        first.reset()
        second.reset()
        await picker.at_rest()


async def test_a_single_stream_that_is_too_much_for_the_budget_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "BUDGET_WAIT_S", 0.05)
    picker = Picker(budget_bytes=100)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        await request.begin()
        await request.chunk(BODY[:HALF], end_of_stream=False)
        with pytest.raises(Refused):
            await request.answer("request_headers")
        assert picker.budget.held_bytes == 0
        await request.chunk(BODY[HALF:], end_of_stream=True)
        await request.stream.half_close()
        await picker.at_rest()
        assert picker.metrics.routed == []


async def test_a_client_that_goes_while_its_stream_waits() -> None:
    picker = Picker(budget_bytes=HALF)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = await begun(picker, envoy, BODY)
        request.reset()
        await picker.at_rest()


async def test_who_goes_does_not_stay_in_line() -> None:
    picker = Picker(budget_bytes=HALF)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        first, second = await begun(picker, envoy, BODY), await begun(picker, envoy, BODY)
        assert picker.budget.waiting_streams == 2
        second.reset()
        await eventually(lambda: picker.transport.open_streams == 1)
        assert picker.budget.is_full
        assert picker.budget.waiting_streams == 1
        first.reset()
        await picker.at_rest()


async def test_a_half_close_is_seen_once_the_stream_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "BUDGET_WAIT_S", 0.05)
    picker = Picker(budget_bytes=HALF)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        await request.begin()
        await request.chunk(BODY, end_of_stream=False)
        await request.stream.half_close()
        with pytest.raises(Refused):
            await request.answer("request_headers")
        await picker.at_rest()


async def test_who_waits_goes_on_when_a_client_goes() -> None:
    picker = Picker(budget_bytes=len(BODY))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        first = await begun(picker, envoy, BODY[:-10])
        second = await begun(picker, envoy, BODY[:HALF])
        first.reset()
        await second.chunk(BODY[HALF:], end_of_stream=True)
        await second.answer("request_headers")
        second.reset()
        await picker.at_rest()


async def test_requests_within_the_budget_never_wait() -> None:
    picker = Picker(budget_bytes=20 * len(BODY))
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        requests = [envoy.request(DUPLEX) for _ in range(20)]
        await asyncio.gather(*(request.send(BODY[:HALF], BODY[HALF:]) for request in requests))
        for request in requests:
            request.reset()
        await picker.at_rest()
