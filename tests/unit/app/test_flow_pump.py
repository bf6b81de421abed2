"""One turn of flow control per turn of the event loop, one timer, and no fault stops it."""

import asyncio
import math

import pytest

from epp.app.flow_pump import FlowPump
from epp.edge.observe.logs import get_logger
from epp.edge.observe.repeated import RepeatedProblems
from tests.support.eventually import eventually


class Work:
    """Says next what the test wants."""

    def __init__(self, *answers: float | Exception | None) -> None:
        self.answers = list(answers)
        self.calls = 0

    def work(self) -> float | None:
        self.calls += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def pump_for(work: Work) -> tuple[FlowPump, list[float]]:
    cycles: list[float] = []
    clock = asyncio.get_running_loop().time
    return FlowPump(work, clock, RepeatedProblems(get_logger("test"), clock), cycles.append), cycles


async def a_turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_many_wakes_in_one_turn_are_one_piece_of_work_and_never_within_the_call() -> None:
    work = Work()
    pump, cycles = pump_for(work)
    for _ in range(5):
        pump.wake()
    assert work.calls == 0
    await a_turn()
    assert (work.calls, len(cycles)) == (1, 1)
    pump.wake()
    await a_turn()
    assert work.calls == 2


@pytest.mark.asyncio
async def test_the_deadline_leads_to_the_next_piece_of_work() -> None:
    work = Work(asyncio.get_running_loop().time() + 0.01, -math.inf)
    pump, _ = pump_for(work)
    pump.wake()
    await eventually(lambda: work.calls == 3, what="the deadline, and one that was over already")


@pytest.mark.asyncio
async def test_after_a_fault_there_is_another_turn() -> None:
    work = Work(KeyError("no such band"))
    pump, _ = pump_for(work)
    pump.wake()
    await eventually(lambda: work.calls == 2, what="another try")


@pytest.mark.asyncio
async def test_after_the_stop_nothing_is_called() -> None:
    work = Work(asyncio.get_running_loop().time())
    pump, _ = pump_for(work)
    pump.wake()
    pump.stop()
    await a_turn()
    assert work.calls == 0
