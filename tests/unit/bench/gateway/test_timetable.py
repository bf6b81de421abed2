"""Arrivals of an open loop, and the clock that announces them."""

import asyncio
import time
from random import Random

from bench.gateway.timetable import PreciseClock, arrivals
from tests.support.eventually import eventually


def test_arrivals_have_the_rate_and_are_the_same_again() -> None:
    times = arrivals(500.0, 10.0, Random(3))
    assert times == arrivals(500.0, 10.0, Random(3))
    assert times == sorted(times)
    assert times[0] > 0.0
    assert times[-1] < 10.0
    assert 4_700 < len(times) < 5_300  # more than four standard deviations of a Poisson count


async def test_the_clock_never_calls_early_and_tells_of_every_time() -> None:
    now = time.perf_counter()
    times = [now + at for at in (0.0, 0.001, 0.001, 0.005, 0.02)]
    called: list[float] = []
    clock = PreciseClock(times, lambda: called.append(time.perf_counter()))
    clock.start()
    await eventually(lambda: called and called[-1] >= times[-1], what="the last time has come")
    clock.stop()
    assert len(called) <= len(times)
    for at in times:
        assert any(each >= at for each in called)
    assert called[0] >= times[0]


async def test_a_stopped_clock_ends_at_once() -> None:
    called: list[float] = []
    clock = PreciseClock([time.perf_counter() + 0.01 * number for number in range(1_000)], lambda: called.append(0.0))
    clock.stop()
    clock.start()
    clock.stop()
    await asyncio.sleep(0)
    assert len(called) <= 1
