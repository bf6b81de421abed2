"""CPU time of one coroutine, step by step."""

import asyncio
from typing import Any

import pytest

from epp.edge.scrape.cpu_meter import CpuMetered
from tests.support.virtual_clock import VirtualClock


class Cpu:
    """A CPU clock that the test's coroutines move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_counts_the_steps_of_its_own_coroutine_only() -> None:
    cpu, clock = Cpu(), VirtualClock()

    async def work(step_s: float, result: str) -> str:
        cpu.now += step_s
        await clock.sleep(1.0)
        cpu.now += step_s
        return result

    mine = CpuMetered(work(0.25, "mine"), cpu)
    theirs = CpuMetered(work(8.0, "theirs"), cpu)
    tasks = [asyncio.ensure_future(_result(metered)) for metered in (mine, theirs)]
    await clock.advance(1.0)
    assert [task.result() for task in tasks] == ["mine", "theirs"]
    assert (mine.cpu_s, theirs.cpu_s) == (0.5, 16.0)


async def test_hands_errors_and_cancellation_through() -> None:
    cpu, clock = Cpu(), VirtualClock()
    seen = []

    async def work() -> None:
        cpu.now += 1.0
        try:
            await clock.sleep(5.0)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    metered = CpuMetered(work(), cpu)
    task = asyncio.ensure_future(_result(metered))
    await clock.advance(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (seen, metered.cpu_s) == (["cancelled"], 1.0)

    async def fail() -> None:
        cpu.now += 2.0
        raise LookupError("gone")

    failing = CpuMetered(fail(), cpu)
    with pytest.raises(LookupError, match="gone"):
        await failing
    assert failing.cpu_s == 2.0


async def _result(metered: CpuMetered[Any]) -> object:
    return await metered
