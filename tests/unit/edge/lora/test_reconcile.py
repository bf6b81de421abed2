"""One reconcile after another, beside a scripted model server and in virtual time."""

import asyncio

import msgspec
import pytest

from epp.edge.lora.configuration import LoraConfig, Target, load_configuration
from epp.edge.lora.plan import Action
from epp.edge.lora.reconcile import HealthWait, Reconciled, Reconciler, StepTaken
from tests.support.virtual_clock import VirtualClock, settle
from tests.unit.edge.lora.scripted_model_server import URL, ScriptedModelServer

BOTH = """\
vLLMLoRAConfig:
  defaultBaseModel: base
  ensureExist: {models: [{id: v1, source: repo/v1}, {id: v3, source: repo/v3}, {id: there, source: repo/there}]}
  ensureNotExist: {models: [{id: v2}, {id: v3}, {id: remove}]}
"""
FOOD = "vLLMLoRAConfig: {ensureExist: {models: [{id: food, source: repo/food}]}}"


class Bench:
    """A reconciler, its server, and what it reported."""

    def __init__(self, text: str, server: ScriptedModelServer, *, timeout_s: float = 300.0) -> None:
        self.server = server
        self.clock = VirtualClock()
        self.waited: list[str] = []
        self.steps: list[StepTaken] = []
        self.config = load_configuration(text, "lora.yaml")
        self.reconciler = Reconciler(
            server,
            HealthWait(timeout_s, 2.0),
            clock=self.clock,
            sleep=self.clock.sleep,
            on_waiting=lambda target, problem: self.waited.append(f"{target.url}: {problem}"),
            on_step=self.steps.append,
        )

    def in_force(self) -> LoraConfig:
        return self.config

    def replace(self, text: str) -> None:
        self.config = load_configuration(text, "lora.yaml")

    async def reconcile(self) -> Reconciled:
        return await self.reconciler.reconcile(self.in_force)

    def start(self) -> "asyncio.Future[Reconciled]":
        return asyncio.ensure_future(self.reconcile())


async def test_the_case_of_the_reference() -> None:
    server = ScriptedModelServer(there="repo/there", v2="repo/v2", remove="repo/remove", v3="repo/v3", other="x")
    bench = Bench(BOTH, server)
    result = await bench.reconcile()
    assert server.told == ["load v1 from repo/v1 on base", "unload v2", "unload remove"]
    assert server.adapters.keys() == {"v1", "there", "v3", "other"}
    assert result.is_complete
    assert {taken.step.adapter.id: taken.is_served for taken in bench.steps} == {
        "v1": True,
        "there": True,
        "v2": False,
        "remove": False,
    }
    assert tuple(bench.steps) == result.steps


async def test_a_second_reconcile_changes_nothing() -> None:
    bench = Bench(BOTH, ScriptedModelServer(v2="repo/v2"))
    await bench.reconcile()
    told = list(bench.server.told)
    assert (await bench.reconcile()).is_complete
    assert bench.server.told == told


async def test_an_adapter_of_no_list_any_more_stays() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    await bench.reconcile()
    bench.replace("vLLMLoRAConfig: {ensureExist: {models: []}}")
    await bench.reconcile()
    assert bench.server.adapters.keys() == {"food"}


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        (FOOD.replace("repo/food", "repo/better"), "load food from repo/better on any"),
        (FOOD.replace("{ensure", "{defaultBaseModel: b, ensure"), "load food from repo/food on b"),
    ],
    ids=["source", "base-model"],
)
async def test_another_source_or_base_model_loads_again(text: str, loaded: str) -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    await bench.reconcile()
    bench.replace(text)
    await bench.reconcile()
    assert bench.server.told[1:] == ["unload food", loaded]
    assert (await bench.reconcile()).is_complete
    assert len(bench.server.told) == 3


async def test_a_restarted_server_gets_its_adapters_back() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    await bench.reconcile()
    bench.server.adapters.clear()
    assert (await bench.reconcile()).is_complete
    assert bench.server.told == ["load food from repo/food on any"] * 2


async def test_another_server_is_another_book() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    await bench.reconcile()
    bench.server.adapters["food"] = "/their/food"
    bench.replace(FOOD.replace("{ensure", "{port: 8001, ensure"))
    await bench.reconcile()
    assert bench.steps[-1].step.reason == "somebody else loaded it from '/their/food'"


async def test_a_failed_step_is_named_and_does_not_stop_the_others() -> None:
    server = ScriptedModelServer(v2="repo/v2", remove="repo/remove")
    server.broken = {"v1", "v2"}
    bench = Bench(BOTH, server)
    result = await bench.reconcile()
    assert not result.is_complete
    assert [(taken.step.adapter.id, taken.is_served, taken.problem) for taken in result.problems] == [
        ("v1", False, f"{URL}/v1/load_lora_adapter: HTTP status 404: No adapter found for repo/v1"),
        ("v2", True, f"{URL}/v1/unload_lora_adapter: HTTP status 500: out of order"),
    ]
    assert server.adapters.keys() == {"v2", "there"}
    server.broken.clear()
    assert (await bench.reconcile()).is_complete


async def test_an_adapter_that_somebody_else_loads_meanwhile_counts_as_loaded() -> None:
    server = ScriptedModelServer()
    server.loaded_meanwhile = {"food"}
    bench = Bench(FOOD, server)
    assert (await bench.reconcile()).is_complete
    assert bench.steps[0].is_served


async def test_a_wish_with_the_name_of_a_base_model_is_refused() -> None:
    bench = Bench(FOOD.replace("id: food", "id: base"), ScriptedModelServer())
    (taken,) = (await bench.reconcile()).problems
    assert (taken.step.action, taken.is_served) == (Action.REFUSE, False)
    assert bench.server.told == []


async def test_health_comes_first_and_is_waited_for() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    bench.server.is_healthy = lambda: bench.clock.now >= 1005.0
    running = bench.start()
    await bench.clock.advance(4.0)
    assert (bench.server.told, len(bench.server.health_checks)) == ([], 3)
    assert bench.waited == [f"{URL}: {URL}/health: HTTP status 503"]
    await bench.clock.advance(2.0)
    assert (await running).is_complete


async def test_it_gives_up_when_health_does_not_come_in_time() -> None:
    bench = Bench(FOOD, ScriptedModelServer(), timeout_s=5.0)
    bench.server.is_healthy = lambda: False
    running = bench.start()
    await bench.clock.advance(5.9)
    assert not running.done()
    await bench.clock.advance(0.1)
    result = await running
    assert result.problem == f"{URL}/health: HTTP status 503"
    assert not result.is_complete
    assert len(bench.server.health_checks) == 4


async def test_a_new_address_counts_while_health_is_waited_for() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    bench.server.is_healthy = lambda: bench.server.health_checks[-1].port == 8001
    running = bench.start()
    await settle()
    bench.config = msgspec.structs.replace(bench.config, target=Target("localhost", 8001))
    await bench.clock.advance(2.0)
    assert (await running).is_complete


async def test_a_server_that_does_not_list_its_models_is_left_alone() -> None:
    bench = Bench(FOOD, ScriptedModelServer())
    bench.server.cannot_list = True
    result = await bench.reconcile()
    assert (result.problem, result.steps) == (f"{URL}/v1/models: no answer within 10 s", ())
    assert bench.server.told == []


async def test_a_new_configuration_ends_a_reconcile_before_its_next_step() -> None:
    bench = Bench(BOTH, ScriptedModelServer())
    bench.server.on_load = lambda _: bench.replace(FOOD)
    result = await bench.reconcile()
    assert bench.server.told == ["load v1 from repo/v1 on base"]
    assert result.is_superseded
    assert not result.is_complete
    bench.server.on_load = lambda _: None
    assert (await bench.reconcile()).is_complete
