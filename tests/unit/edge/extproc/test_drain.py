"""The picker stops: begun answers end with OK and go on without it, waiting requests are told, nobody new is served."""

import asyncio

import grpc
import pytest

from epp.core.protocol.events import BodyMode
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.picker import holding, running_picker, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
LONG_S = 30.0


async def test_a_begun_answer_ends_with_ok_at_once() -> None:
    """Envoy finishes it without us; an error here would cut it (measured)."""
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        await request.answered(served=forwarded.destination)
        async with asyncio.timeout(5.0):
            await picker.transport.drain(LONG_S)
        assert await request.stream.status() is grpc.StatusCode.OK
        assert picker.ledger.open_count == 0
        assert len(picker.metrics.finished) == 1


@pytest.mark.parametrize("mode", [BUFFERED, DUPLEX], ids=lambda mode: mode.name)
async def test_a_waiting_request_is_told_that_we_stop(mode: BodyMode) -> None:
    picker, router = holding(LONG_S)
    async with serving(picker), ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode)
        sending = envoy.in_background(request.send(BODY))
        await eventually(lambda: router.held)
        draining = envoy.in_background(picker.transport.drain(LONG_S))
        with pytest.raises(Refused) as refused:
            await sending
        assert refused.value.status == 503
        assert refused.value.headers["x-llm-d-request-dropped-reason"] == "rejected-shutting-down"
        assert refused.value.headers["retry-after"] == "1"
        request.reset()
        async with asyncio.timeout(5.0):
            await draining


async def test_a_routed_request_may_still_get_its_answer() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        draining = envoy.in_background(picker.transport.drain(LONG_S))
        await request.answered(served=forwarded.destination)
        assert picker.in_flight() == {forwarded.destination: 1}
        request.reset()
        async with asyncio.timeout(5.0):
            await draining
        assert picker.metrics.reports[0].served == forwarded.destination


async def test_a_body_that_is_coming_may_still_be_routed() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(DUPLEX)
        await request.begin()
        await request.chunk(BODY[:10], end_of_stream=False)
        await eventually(lambda: picker.budget.held_bytes)
        draining = envoy.in_background(picker.transport.drain(LONG_S))
        await request.chunk(BODY[10:], end_of_stream=True)
        await request.answer("request_headers")
        request.reset()
        async with asyncio.timeout(5.0):
            await draining


async def test_what_is_left_after_the_grace_ends_with_ok() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        routed, headers_only = envoy.request(BUFFERED), envoy.request(BUFFERED)
        await routed.send(BODY)
        await headers_only.begin()
        await headers_only.answer("request_headers")
        await picker.transport.drain(0.05)
        assert await routed.stream.status() is grpc.StatusCode.OK
        assert await headers_only.stream.status() is grpc.StatusCode.OK
        assert picker.ledger.open_count == 0


async def test_new_streams_are_refused() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy, ExtProcClient(picker.port) as other:
        routed, answering = envoy.request(BUFFERED), envoy.request(BUFFERED)
        await routed.send(BODY)
        forwarded = await answering.send(BODY)
        await answering.answered(served=forwarded.destination)
        draining = envoy.in_background(picker.transport.drain(LONG_S))
        assert await answering.stream.status() is grpc.StatusCode.OK, "the drain has begun"
        for client in (envoy, other):
            assert await client.stream().status() is grpc.StatusCode.UNAVAILABLE
        assert len(picker.metrics.started) == 2
        routed.reset()
        async with asyncio.timeout(5.0):
            await draining
