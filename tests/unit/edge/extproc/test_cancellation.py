"""The client may go at any time, by reset or half-close: nothing of its request stays behind."""

from collections.abc import Awaitable, Callable

import pytest

from epp.core.domain.ports import Outcome
from epp.core.protocol.events import BodyMode
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, ProxiedRequest
from tests.support.picker import Picker, running_picker

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"llama","prompt":"hello"}'
BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
Stage = Callable[[Picker, ProxiedRequest], Awaitable[None]]


async def headers_sent(picker: Picker, request: ProxiedRequest) -> None:
    await request.begin()
    await eventually(lambda: picker.transport.open_streams == 1)


async def half_a_body_sent(picker: Picker, request: ProxiedRequest) -> None:
    await request.begin()
    await request.chunk(BODY[:10], end_of_stream=False)
    await eventually(lambda: picker.budget.held_bytes == 10)


async def routed(picker: Picker, request: ProxiedRequest) -> None:
    await request.send(BODY)
    assert picker.ledger.open_count == 1


async def headers_of_the_answer(picker: Picker, request: ProxiedRequest) -> None:
    forwarded = await request.send(BODY)
    await request.answered(served=forwarded.destination)


async def half_an_answer(picker: Picker, request: ProxiedRequest) -> None:
    forwarded = await request.send(BODY)
    await request.answered(served=forwarded.destination, headers={"content-type": "text/event-stream"})
    await request.response_body(b"data: {}\n\n", end_of_stream=False)


async def moved(picker: Picker, request: ProxiedRequest) -> None:
    forwarded = await request.send(BODY)
    await request.answered(served=next(name for name in picker.destinations if name != forwarded.destination))


BUFFERED_STAGES: list[Stage] = [headers_sent, routed, headers_of_the_answer, moved]
DUPLEX_STAGES: list[Stage] = [*BUFFERED_STAGES, half_a_body_sent, half_an_answer]
by_end = pytest.mark.parametrize("half_closes", [False, True], ids=["reset", "half-close"])


async def go(request: ProxiedRequest, half_closes: bool) -> None:
    if half_closes:
        await request.stream.half_close()
    else:
        request.reset()


@by_end
@pytest.mark.parametrize(
    ("mode", "stage"),
    [(BUFFERED, stage) for stage in BUFFERED_STAGES] + [(DUPLEX, stage) for stage in DUPLEX_STAGES],
    ids=lambda value: getattr(value, "__name__", None) or value.name,
)
async def test_a_client_that_goes(mode: BodyMode, stage: Stage, half_closes: bool) -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(mode, DUPLEX if mode is DUPLEX else BodyMode.NONE)
        await stage(picker, request)
        await go(request, half_closes)
        await picker.at_rest()
        assert len(picker.metrics.finished) == len(picker.metrics.routed)
        assert all(report.outcome is Outcome.UNKNOWN for report in picker.metrics.reports)


@by_end
async def test_others_do_not_notice(half_closes: bool) -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        stays, goes = envoy.request(BUFFERED), envoy.request(BUFFERED)
        kept = await stays.send(BODY)
        await goes.send(BODY)
        assert picker.ledger.open_count == 2
        await go(goes, half_closes)
        await eventually(lambda: picker.ledger.open_count == 1)
        assert picker.in_flight() == {kept.destination: 1}
        await stays.answered(served=kept.destination, end_of_stream=True)
        await eventually(lambda: picker.ledger.open_count == 0)
        stays.reset()
        await picker.at_rest()
        assert {report.outcome for report in picker.metrics.reports} == {Outcome.UNKNOWN, Outcome.COMPLETE}


async def test_a_connection_that_breaks_ends_all_its_streams() -> None:
    async with running_picker() as picker:
        async with ExtProcClient(picker.port) as envoy:
            for _ in range(5):
                await envoy.request(BUFFERED).send(BODY)
            assert picker.ledger.open_count == 5
        await picker.at_rest()
        assert len(picker.metrics.finished) == 5


async def test_a_released_request_is_not_released_again_when_its_stream_ends() -> None:
    async with running_picker() as picker, ExtProcClient(picker.port) as envoy:
        request = envoy.request(BUFFERED)
        forwarded = await request.send(BODY)
        await request.answered(503, served=forwarded.destination, end_of_stream=True)
        assert picker.ledger.open_count == 0
        request.reset()
        await picker.at_rest()
        [report] = picker.metrics.reports
        assert (report.outcome, report.status) == (Outcome.ERROR, 503)
