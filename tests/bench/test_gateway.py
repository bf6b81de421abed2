"""A moment of the benchmark: its pods and its generator around a real picker and a real Envoy."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from bench.gateway.cases import GRPCIO, GRPCIO_DUPLEX, NO_PICKER
from bench.gateway.load import LoadPlan, LoadResult
from bench.gateway.load_process import LoadError, run_load
from bench.gateway.stacks import ENVOY, EPP, PODS, GatewayStack, UnavailableError, Variant
from epp.lab.verdict import EXT_PROC_COUNTERS
from tests.support.eventually import eventually


def plan_for(stack: GatewayStack, **more: object) -> LoadPlan:
    plan = LoadPlan(
        stack.envoy.listener_port,
        800,
        0.3,
        connections=4,
        warm_up_s=0.1,
        expected_decision="own" if stack.variant.transport else "none",
        watched=stack.watched(),
    )
    return msgspec.structs.replace(plan, **more)


def assert_good(result: LoadResult) -> None:
    assert result.failures == {}
    assert result.completed > 0


@pytest.mark.parametrize(
    ("variant", "more"),
    [(GRPCIO, {}), (GRPCIO_DUPLEX, {"is_streamed": True, "duration_s": 0.8, "rate_per_s": 20.0})],
    ids=["closed loop, buffered", "open loop, full-duplex, streamed"],
)
async def test_every_request_goes_where_the_picker_said(variant: Variant, more: dict[str, object]) -> None:
    async with GatewayStack(variant, 3) as stack:
        result = await run_load(plan_for(stack, **more), stack.directory)
        assert_good(result)
        assert result.cpu_s[EPP] > 0.0
        assert result.cpu_s[ENVOY] > 0.0
        counters = await stack.counters()
        assert not any(counters[name] for name in EXT_PROC_COUNTERS)
        assert counters["stream_msgs_sent"] >= 3 * result.answered
        assert min(stack.picker_rss_bytes()) > 1 << 24


async def test_without_a_picker_nobody_is_asked() -> None:
    async with GatewayStack(NO_PICKER, 2) as stack:
        result = await run_load(plan_for(stack), stack.directory)
        assert_good(result)
        assert result.cpu_s.keys() == {ENVOY, PODS}
        assert stack.picker_rss_bytes() == ()
        wrong = await run_load(plan_for(stack, expected_decision="own"), stack.directory)
        assert list(wrong.failures) == ["served by a pod that says: decision none"]


async def test_flags_that_the_picker_does_not_know_are_no_fault_of_the_run() -> None:
    unknown = Variant("pigeon", "pigeon")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(UnavailableError, match="--transport: 'pigeon' is none of"):
        async with GatewayStack(unknown, 1):
            pass


async def test_a_cancelled_run_leaves_no_process_behind(tmp_path: Path) -> None:
    pids: list[int] = []

    async def forever() -> None:
        async with GatewayStack(GRPCIO, 1) as stack:
            pids.extend(pid for each in stack.watched().values() for pid in each)
            await run_load(plan_for(stack, duration_s=60.0), tmp_path)

    running = asyncio.ensure_future(forever())
    await eventually((tmp_path / "load.log").exists, within_s=20.0, what="the generator has been started")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_generator_without_a_gateway_says_so(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"ended with code 1:\n(.|\n)*Connect call failed|Connection refused"):
        await run_load(LoadPlan(1, 800, 0.1), tmp_path)
