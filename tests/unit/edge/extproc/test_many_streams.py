"""Many streams at once on one connection: each gets its own answer, and nothing is left of them."""

import asyncio
from random import Random

import numpy as np
import pytest

from epp.core.domain.ports import Outcome
from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient
from tests.support.picker import Picker, running_picker

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS = 200


async def one_request(picker: Picker, envoy: ExtProcClient, number: int, rng: Random) -> None:
    """A request in any mode that ends in any way."""
    mode = rng.choice([BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.STREAMED])
    body = b'{"model":"m-%d","prompt":"%s"}' % (number, b"x" * rng.randrange(1, 3000))
    cut = rng.randrange(len(body))
    request = envoy.request(mode)
    forwarded = await request.send(body[:cut], body[cut:], headers={"x-request-id": f"r-{number}"})
    assert forwarded.body == body
    assert forwarded.destination in picker.destinations
    ending = rng.choice(["reset", "complete", "error", "half-close"])
    if ending == "complete":
        await request.answered(served=forwarded.destination, end_of_stream=True)
    if ending == "error":
        await request.answered(500, served=forwarded.destination, end_of_stream=True)
    if ending == "half-close":
        await request.stream.half_close()
    else:
        request.reset()


async def test_200_streams() -> None:
    rng = Random(7)
    async with running_picker(10) as picker, ExtProcClient(picker.port) as envoy:
        await asyncio.gather(*(one_request(picker, envoy, number, rng) for number in range(STREAMS)))
        await picker.at_rest()
        assert {request.request_id for request in picker.metrics.started} == {f"r-{n}" for n in range(STREAMS)}
        assert len(picker.metrics.finished) == STREAMS
        assert {report.outcome for report in picker.metrics.reports} == set(Outcome)


async def test_a_burst_between_two_scrapes_is_spread_evenly() -> None:
    """Pick and reserve are one step, so that each pick sees all that came before."""
    async with running_picker(8) as picker, ExtProcClient(picker.port) as envoy:
        requests = [envoy.request(BodyMode.BUFFERED) for _ in range(STREAMS)]
        await asyncio.gather(*(request.send(b'{"model":"m","prompt":"x"}') for request in requests))
        counts = np.array(list(picker.in_flight().values()))
        assert counts.sum() == STREAMS
        assert counts.max() - counts.min() <= 1
        for request in requests:
            request.reset()
        await picker.at_rest()
