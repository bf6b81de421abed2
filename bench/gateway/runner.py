"""Measures case after case; neighbours with the same gateway share it, every kind of measurement has a fresh one."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.gateway.cases import (
    MOST_OVERLOAD_CONNECTIONS,
    NO_PICKER,
    OPEN_LOOP_SHARE,
    OVERLOAD_FACTOR,
    Case,
    Durations,
)
from bench.gateway.cpu import cpu_s
from bench.gateway.findings import Finding, Missing
from bench.gateway.load import LoadPlan, LoadResult
from bench.gateway.load_process import LoadError, run_load
from bench.gateway.stacks import EPP, GatewayStack, UnavailableError, Variant
from epp.lab.child_process import ChildError
from epp.lab.envoy_process import EnvoyError
from epp.lab.verdict import EXT_PROC_COUNTERS

OPEN_LOOP_CONNECTIONS = 256


class Runner:
    """`run` fills `findings` and `missing`."""

    def __init__(
        self,
        durations: Durations,
        on_case: Callable[[Case], None],
        *,
        open_stack: Callable[[Variant, int], GatewayStack] = GatewayStack,
        generate: Callable[[LoadPlan, Path], Awaitable[LoadResult]] = run_load,
    ) -> None:
        """`on_case` is told of each case before it begins; `open_stack` gets the number of pods."""
        self.findings: list[Finding] = []
        self.missing: list[Missing] = []
        self._durations = durations
        self._on_case = on_case
        self._open_stack = open_stack
        self._generate = generate

    async def run(self, cases: Sequence[Case]) -> None:
        """Measures them in their order; what fails is noted, and the rest goes on."""
        for (_, variant, pods), group in itertools.groupby(cases, lambda each: each.gateway):
            together = list(group)
            if any(each.variant == variant.name and each.kind == "not available" for each in self.missing):
                for case in together:
                    self._on_case(case)
                continue
            try:
                await self._measure_together(variant, pods, together)
            except UnavailableError as error:
                self.missing.append(Missing(variant.name, str(error), "not available"))
            except (ChildError, EnvoyError, LoadError) as error:
                self.missing.append(Missing(variant.name, str(error), "failed"))

    async def _measure_together(self, variant: Variant, pods: int, cases: Sequence[Case]) -> None:
        self._on_case(cases[0])
        async with self._open_stack(variant, pods) as stack:
            for case in cases:
                if case is not cases[0]:
                    self._on_case(case)
                self.findings.append(await self._measure(stack, case))

    async def _measure(self, stack: GatewayStack, case: Case) -> Finding:
        if case.body is None:
            return await self._idle(stack, case)
        plan = self._plan(stack, case)
        load = await self._generate(plan, stack.directory)
        if case.kind == "memory":
            await asyncio.sleep(self._durations.rest)
        counters = await stack.counters()
        baseline = self._load_of(Case("latency", NO_PICKER, case.body)) if case.kind == "latency" else None
        return Finding(
            kind=case.kind,
            variant=case.variant.name,
            pods=case.pods,
            body=case.body.name,
            prompt_bytes=case.body.prompt_bytes,
            rate_per_s=plan.rate_per_s,
            load=load,
            added=load.total.above(baseline.total) if baseline else None,
            added_first_byte=load.first_byte.above(baseline.first_byte) if baseline else None,
            rss_bytes=stack.picker_rss_bytes(),
            messages=counters["stream_msgs_sent"] / max(1, load.answered),
            problems=_problems(load, counters),
        )

    async def _idle(self, stack: GatewayStack, case: Case) -> Finding:
        pids = stack.watched()[EPP]
        loop = asyncio.get_running_loop()
        began, before = loop.time(), cpu_s(pids)
        await asyncio.sleep(self._durations.idle)
        cores = (cpu_s(pids) - before) / (loop.time() - began)
        return Finding(case.kind, case.variant.name, case.pods, idle_cores=cores, rss_bytes=stack.picker_rss_bytes())

    def _plan(self, stack: GatewayStack, case: Case) -> LoadPlan:
        assert case.body is not None
        durations = self._durations
        seconds, rate, connections = durations.closed, 0.0, case.body.connections
        if case.kind == "latency":
            seconds, rate, connections = durations.open, self._open_loop_rate(case), OPEN_LOOP_CONNECTIONS
        elif case.kind == "overload":
            reached = self._load_of(Case("saturation", case.variant, case.body))
            per_s = reached.per_s if reached else 1.0
            seconds, rate = durations.overload, OVERLOAD_FACTOR * per_s
            connections = max(case.body.connections, min(MOST_OVERLOAD_CONNECTIONS, int(per_s)))
        return LoadPlan(
            port=stack.envoy.listener_port,
            prompt_bytes=case.body.prompt_bytes,
            is_streamed=case.body.is_streamed,
            duration_s=seconds,
            warm_up_s=durations.warm_up,
            connections=connections,
            rate_per_s=rate,
            expected_decision="own" if case.variant.transport else "none",
            watched=stack.watched(),
        )

    def _open_loop_rate(self, case: Case) -> float:
        """The same for all gateways with this body."""
        assert case.body is not None
        reached = [
            each.load.per_s
            for each in self.findings
            if each.kind == "saturation" and each.body == case.body.name and each.load is not None
        ]
        return max(1.0, OPEN_LOOP_SHARE * min(reached))

    def _load_of(self, case: Case) -> LoadResult | None:
        return next((each.load for each in self.findings if each.name == case.name), None)


def _problems(load: LoadResult, counters: dict[str, int]) -> tuple[str, ...]:
    """Failed requests, and counters of Envoy that show a picker which was passed by."""
    failed = [f"{count} requests: {what}" for what, count in sorted(load.failures.items())]
    counted = [f"Envoy counted {name} = {counters[name]}" for name in EXT_PROC_COUNTERS if counters[name]]
    nothing = [] if load.completed else ["no request was answered in the window"]
    return (*failed, *counted, *nothing)
