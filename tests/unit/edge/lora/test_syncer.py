"""When to reconcile, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from epp.edge.lora.configuration import Adapter, LoraConfig, load_configuration
from epp.edge.lora.plan import Action, Step
from epp.edge.lora.reconcile import Reconciled, StepTaken
from epp.edge.lora.syncer import Syncer
from tests.support.virtual_clock import VirtualClock, settle

FOOD = load_configuration("vLLMLoRAConfig: {ensureExist: {models: [{id: food, source: a}]}}", "lora.yaml")
CAD = load_configuration("vLLMLoRAConfig: {ensureExist: {models: [{id: cad, source: b}]}}", "lora.yaml")
WELL = Reconciled()
FAILED = Reconciled((StepTaken(Step(Action.LOAD, Adapter("food", "a")), is_served=False, problem="nothing there"),))


class Bench:
    """A syncer whose reconciles take `lasts_s` and end with `result`."""

    def __init__(self, *, period_s: float = 5.0) -> None:
        self.clock = VirtualClock(0.0)
        self.lasts_s = 0.0
        self.result = WELL
        self.begun: list[tuple[float, LoraConfig]] = []
        self.running = 0
        self.ended: list[Reconciled] = []
        self.syncer = Syncer(self.reconcile, period_s=period_s, sleep=self.clock.sleep, on_reconciled=self.ended.append)

    async def reconcile(self, in_force: Callable[[], LoraConfig]) -> Reconciled:
        self.running += 1
        assert self.running == 1, "two at once"
        self.begun.append((self.clock.now, in_force()))
        if self.lasts_s:
            await self.clock.sleep(self.lasts_s)
        self.running -= 1
        return self.result

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.begun]

    @asynccontextmanager
    async def runs(self) -> AsyncIterator["Bench"]:
        task = asyncio.ensure_future(self.syncer.run())
        await settle()
        yield self
        assert not task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_waits_for_a_configuration_and_then_begins_at_once() -> None:
    async with Bench().runs() as bench:
        await bench.clock.advance(100.0)
        assert (bench.times, bench.syncer.unready) == ([], "there is no configuration yet")
        bench.syncer.take_over(FOOD)
        await settle()
        assert bench.begun == [(100.0, FOOD)]


async def test_it_reconciles_again_every_period() -> None:
    async with Bench().runs() as bench:
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(12.0)
        assert bench.times == [0.0, 5.0, 10.0]
        assert bench.ended == [WELL] * 3


async def test_a_change_is_reconciled_at_once() -> None:
    async with Bench().runs() as bench:
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(1.0)
        bench.syncer.take_over(CAD)
        await bench.clock.advance(0.0)
        assert bench.begun == [(0.0, FOOD), (1.0, CAD)]
        await bench.clock.advance(4.9)
        assert len(bench.begun) == 2, "the period begins anew"


async def test_changes_during_a_reconcile_make_exactly_one_more() -> None:
    bench = Bench()
    bench.lasts_s = 3.0
    async with bench.runs():
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(1.0)
        for config in (CAD, FOOD, CAD):
            bench.syncer.take_over(config)
        await bench.clock.advance(6.0)
        assert bench.begun == [(0.0, FOOD), (3.0, CAD)]


async def test_a_failure_is_tried_again_with_back_off_up_to_the_period() -> None:
    bench = Bench()
    bench.result = FAILED
    async with bench.runs():
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(22.0)
        assert bench.times == [0.0, 1.0, 3.0, 7.0, 12.0, 17.0, 22.0]
        bench.result = WELL
        await bench.clock.advance(10.0)
        assert bench.times[7:] == [27.0, 32.0]
        bench.result = FAILED
        await bench.clock.advance(6.0)
        assert bench.times[9:] == [37.0, 38.0], "from the beginning again"


async def test_a_long_period_does_not_make_a_failure_wait_for_it() -> None:
    bench = Bench(period_s=3600.0)
    bench.result = FAILED
    async with bench.runs():
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(200.0)
        assert bench.times[-3:] == [63.0, 123.0, 183.0]


async def test_it_is_ready_once_everything_was_as_wished() -> None:
    bench = Bench()
    bench.lasts_s = 1.0
    bench.result = Reconciled(problem="http://localhost:8000/health: HTTP status 503")
    async with bench.runs():
        bench.syncer.take_over(FOOD)
        await settle()
        assert "http://localhost:8000" in bench.syncer.unready
        await bench.clock.advance(1.5)
        assert bench.syncer.unready == "http://localhost:8000/health: HTTP status 503"
        bench.result = FAILED
        await bench.clock.advance(2.0)
        assert bench.syncer.unready == "food: nothing there"
        bench.result = WELL
        await bench.clock.advance(5.0)
        assert bench.syncer.unready == ""
        bench.result = FAILED
        await bench.clock.advance(10.0)
        assert bench.syncer.unready == "", "a side-car that is not ready takes its whole pod away"


async def test_being_overtaken_by_a_change_is_no_failure() -> None:
    bench = Bench()
    bench.result = Reconciled(is_superseded=True)
    async with bench.runs():
        bench.syncer.take_over(FOOD)
        await bench.clock.advance(6.0)
        assert bench.times == [0.0, 5.0]
        assert bench.syncer.unready == "the configuration has changed"
