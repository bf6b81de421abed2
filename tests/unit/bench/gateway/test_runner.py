"""Which gateways are started, what is asked of the generator, and what is noted when something does not work."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import msgspec

from bench.gateway.cases import GRPCIO, LONG, NATIVE, NO_PICKER, SHORT, Case, Durations
from bench.gateway.latency import Quantiles
from bench.gateway.load import LoadPlan, LoadResult
from bench.gateway.load_process import LoadError
from bench.gateway.runner import Runner
from bench.gateway.stacks import EPP, GatewayStack, UnavailableError, Variant
from epp.lab.child_process import ChildError
from epp.lab.envoy_process import EnvoyProcess
from tests.support.bench_findings import load_result

QUICK = Durations(warm_up=0.0, closed=1.0, open=2.0, overload=3.0, idle=0.0, rest=0.0)


class StandIn(GatewayStack):
    """Starts nothing."""

    counted: ClassVar[dict[str, int]] = {}

    def __init__(self, variant: Variant, pods: int) -> None:
        self.variant = variant
        self.pods = pods
        self.directory = Path(tempfile.gettempdir())

    async def __aenter__(self) -> Self:
        self.envoy = EnvoyProcess({})
        self.envoy._listeners = {"models": ("127.0.0.1", 1234)}
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    def watched(self) -> dict[str, tuple[int, ...]]:
        return {EPP: (os.getpid(),)}

    def picker_rss_bytes(self) -> tuple[int, ...]:
        return (1000,)

    async def counters(self) -> dict[str, int]:
        usual = {"failure_mode_allowed": 0, "streams_failed": 0, "spurious_msgs_received": 0, "message_timeouts": 0}
        return usual | {"stream_msgs_sent": 4500} | self.counted


class Recorder:
    """A runner with stand-ins, and what it did."""

    def __init__(self, stack: Callable[[Variant, int], GatewayStack] = StandIn) -> None:
        self.opened: list[tuple[str, int]] = []
        self.plans: list[LoadPlan] = []
        self.begun: list[str] = []
        self.results: list[LoadResult] = []
        self._stack = stack
        self.runner = Runner(
            QUICK, lambda case: self.begun.append(case.name), open_stack=self._open, generate=self._generate
        )

    def _open(self, variant: Variant, pods: int) -> GatewayStack:
        self.opened.append((variant.name, pods))
        return self._stack(variant, pods)

    async def _generate(self, plan: LoadPlan, directory: Path) -> LoadResult:
        self.plans.append(plan)
        return self.results.pop(0) if self.results else load_result(epp_s=1.0)


async def test_neighbours_share_a_gateway() -> None:
    recorder = Recorder()
    cases = [
        Case("saturation", GRPCIO, SHORT),
        Case("saturation", GRPCIO, LONG),
        Case("saturation", NATIVE, SHORT),
        Case("idle", NATIVE, pods=100),
    ]
    await recorder.runner.run(cases)
    assert recorder.opened == [("grpcio", 10), ("native", 10), ("native", 100)]
    assert recorder.begun == [case.name for case in cases]
    assert [each.name for each in recorder.runner.findings] == recorder.begun
    assert recorder.runner.findings[0].messages == 3.0
    assert recorder.runner.findings[3].load is None


async def test_open_loops_have_the_rate_of_the_slowest_and_are_compared() -> None:
    recorder = Recorder()
    slow = msgspec.structs.replace(load_result(epp_s=1.0), completed=200)  # in 2 s
    later = msgspec.structs.replace(load_result(epp_s=1.0), total=Quantiles(5.0, 9.0))
    recorder.results = [load_result(), slow, load_result(), later]
    kinds = ("saturation", "latency")
    await recorder.runner.run([Case(kind, each, SHORT) for kind in kinds for each in (NO_PICKER, GRPCIO)])  # type: ignore[arg-type]  # both are kinds
    closed, _, baseline, measured = recorder.plans
    assert (closed.rate_per_s, closed.connections, closed.duration_s) == (0.0, SHORT.connections, 1.0)
    assert (baseline.rate_per_s, measured.rate_per_s, measured.duration_s) == (30.0, 30.0, 2.0)
    assert (baseline.expected_decision, measured.expected_decision) == ("none", "own")
    assert recorder.runner.findings[3].added == Quantiles(3.0, 5.0)


async def test_overload_is_twice_of_what_was_reached() -> None:
    recorder = Recorder()
    await recorder.runner.run([Case("saturation", NATIVE, SHORT), Case("overload", NATIVE, SHORT)])
    plan = recorder.plans[1]
    assert (plan.rate_per_s, plan.connections, plan.duration_s) == (1000.0, 500, 3.0)


async def test_failed_requests_and_counters_are_problems() -> None:
    class Bypassed(StandIn):
        counted: ClassVar[dict[str, int]] = {"failure_mode_allowed": 7}

    recorder = Recorder(Bypassed)
    recorder.results = [load_result(failures={"status 503": 2})]
    await recorder.runner.run([Case("saturation", NATIVE, SHORT)])
    assert recorder.runner.findings[0].problems == (
        "2 requests: status 503",
        "Envoy counted failure_mode_allowed = 7",
    )


async def test_nothing_answered_is_a_problem() -> None:
    recorder = Recorder()
    recorder.results = [msgspec.structs.replace(load_result(), completed=0)]
    await recorder.runner.run([Case("saturation", NATIVE, SHORT)])
    assert recorder.runner.findings[0].problems == ("no request was answered in the window",)


async def test_a_gateway_that_this_version_cannot_be_is_tried_once() -> None:
    class Refusing(StandIn):
        async def __aenter__(self) -> Self:
            if self.variant == NATIVE:
                raise UnavailableError("--transport: 'native' is none of grpcio")
            return await super().__aenter__()

    recorder = Recorder(Refusing)
    cases = [Case("saturation", NATIVE, SHORT), Case("saturation", GRPCIO, SHORT), Case("idle", NATIVE)]
    await recorder.runner.run(cases)
    assert recorder.opened == [("native", 10), ("grpcio", 10)]
    assert [(each.variant, each.kind) for each in recorder.runner.missing] == [("native", "not available")]
    assert [each.variant for each in recorder.runner.findings] == ["grpcio"]
    assert recorder.begun == [case.name for case in cases], "the time that is left stays right"


async def test_one_that_fails_is_noted_and_the_others_go_on() -> None:
    class Failing(StandIn):
        async def __aenter__(self) -> Self:
            if self.variant == GRPCIO:
                raise ChildError("picker ended with exit code 1")
            return await super().__aenter__()

    recorder = Recorder(Failing)
    await recorder.runner.run([Case("saturation", GRPCIO, SHORT), Case("saturation", NATIVE, SHORT)])
    assert [(each.variant, each.reason, each.kind) for each in recorder.runner.missing] == [
        ("grpcio", "picker ended with exit code 1", "failed")
    ]
    assert [each.variant for each in recorder.runner.findings] == ["native"]


async def test_a_generator_that_fails_is_noted() -> None:
    async def broken(plan: LoadPlan, directory: Path) -> LoadResult:
        raise LoadError("the load generator ended with code 1")

    runner = Runner(QUICK, lambda case: None, open_stack=StandIn, generate=broken)
    await runner.run([Case("saturation", GRPCIO, SHORT)])
    assert [each.kind for each in runner.missing] == ["failed"]
