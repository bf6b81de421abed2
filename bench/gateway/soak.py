"""Steady load of mixed sizes for a long time: does memory stay flat, does every request end well, is nothing left?

    python -m bench.gateway.soak                               ten minutes at 300 requests a second
    python -m bench.gateway.soak --seconds 60 --rate 100       shorter and less
    python -m bench.gateway.soak --transport grpcio --body-mode full-duplex

Prompts of 0.8 KB to 1 MB, plain and streamed, through a real Envoy. Prints a line every half minute and at the end
what was asked above; exit code 1 when one of the answers is no. Only 127.0.0.0/8; the run ends by itself.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from bench.gateway.load import LoadPlan, LoadResult
from bench.gateway.load_process import LoadError, run_load
from bench.gateway.stacks import GatewayStack, Variant
from epp.lab.child_process import ChildError
from epp.lab.envoy_process import EnvoyError
from epp.lab.verdict import EXT_PROC_COUNTERS

PODS = 10
SAMPLE_EVERY_S = 2.0
PRINT_EVERY_S = 30.0
SETTLED_AFTER = 0.2
"""share of the run after which memory is compared"""
MOST_GROWTH = 1.05
MOST_GROWTH_BYTES = 4 << 20
"""memory is flat when the last quarter has at most this much more than what came after settling"""
REST_S = 5.0


class Part(msgspec.Struct, frozen=True):
    """One kind of request, and its share of the rate."""

    prompt_bytes: int
    share: float
    is_streamed: bool = False


MIX = (
    Part(800, 0.45),
    Part(800, 0.20, is_streamed=True),
    Part(20_000, 0.20),
    Part(220_000, 0.10),
    Part(220_000, 0.03, is_streamed=True),
    Part(1_000_000, 0.02),
)


class Sample(msgspec.Struct, frozen=True):
    """What was seen at one moment."""

    at_s: float
    rss_bytes: int
    in_flight: int


class SoakResult(msgspec.Struct, frozen=True):
    """What was asked; `problems` is empty when all is well."""

    answered: int
    p50_ms: float
    p99_ms: float
    settled_bytes: float
    """mean memory after settling, and in the last quarter"""
    last_bytes: float
    most_bytes: int
    left_in_flight: int
    problems: tuple[str, ...]


def judged(
    samples: Sequence[Sample], loads: Sequence[LoadResult], counters: dict[str, int], left_in_flight: int
) -> SoakResult:
    """The answers from what was measured."""
    failures: Counter[str] = Counter()
    for load in loads:
        failures.update(load.failures)
    problems = [f"{count} requests: {what}" for what, count in sorted(failures.items())]
    problems += [f"Envoy counted {name} = {counters[name]}" for name in EXT_PROC_COUNTERS if counters[name]]
    if left_in_flight:
        problems.append(f"{left_in_flight} requests are in flight for the picker after the end")
    settled, last = _memory(samples)
    if last > settled * MOST_GROWTH + MOST_GROWTH_BYTES:
        problems.append(f"memory grew from {settled / 2**20:.0f} to {last / 2**20:.0f} MiB")
    return SoakResult(
        answered=sum(load.answered for load in loads),
        p50_ms=max(load.total.p50_ms for load in loads),
        p99_ms=max(load.total.p99_ms for load in loads),
        settled_bytes=settled,
        last_bytes=last,
        most_bytes=max(sample.rss_bytes for sample in samples),
        left_in_flight=left_in_flight,
        problems=tuple(problems),
    )


def _memory(samples: Sequence[Sample]) -> tuple[float, float]:
    """Mean of the quarter after settling, and of the last quarter."""
    quarter = max(1, len(samples) // 4)
    start = min(int(len(samples) * SETTLED_AFTER), len(samples) - quarter)
    settled, last = samples[start : start + quarter], samples[-quarter:]
    return (
        sum(sample.rss_bytes for sample in settled) / len(settled),
        sum(sample.rss_bytes for sample in last) / len(last),
    )


class Soak:
    """One run."""

    def __init__(self, variant: Variant, *, seconds: float, rate_per_s: float, console: Console) -> None:
        self._variant = variant
        self._seconds = seconds
        self._rate_per_s = rate_per_s
        self._console = console
        self._samples: list[Sample] = []

    async def run(self) -> SoakResult:
        """Raises ChildError, EnvoyError or LoadError when it cannot be run to its end."""
        async with GatewayStack(self._variant, pods=PODS) as stack, aiohttp.ClientSession() as session:
            await stack.counters()
            watching = asyncio.ensure_future(self._watch(stack, session))
            try:
                loads = await asyncio.gather(*(self._load(stack, number, part) for number, part in enumerate(MIX)))
            finally:
                watching.cancel()
            await asyncio.sleep(REST_S)
            left = await self._in_flight(stack, session)
            return judged(self._samples, loads, await stack.counters(), left)

    async def _load(self, stack: GatewayStack, number: int, part: Part) -> LoadResult:
        plan = LoadPlan(
            port=stack.envoy.listener_port,
            prompt_bytes=part.prompt_bytes,
            is_streamed=part.is_streamed,
            duration_s=self._seconds,
            connections=256,
            rate_per_s=self._rate_per_s * part.share,
        )
        with tempfile.TemporaryDirectory(prefix=f"epp-soak-{number}-") as directory:
            return await run_load(plan, Path(directory))

    async def _watch(self, stack: GatewayStack, session: aiohttp.ClientSession) -> None:
        began = printed = time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            now = time.monotonic()
            rss = sum(stack.picker_rss_bytes())
            self._samples.append(Sample(now - began, rss, await self._in_flight(stack, session)))
            if now - printed >= PRINT_EVERY_S:
                printed = now
                last = self._samples[-1]
                left_s = max(0.0, self._seconds - last.at_s)
                self._console.print(
                    f"{last.at_s:5.0f} s  {last.rss_bytes / 2**20:6.1f} MiB  {last.in_flight:4d} in flight  "
                    f"about {left_s:.0f} s left"
                )

    async def _in_flight(self, stack: GatewayStack, session: aiohttp.ClientSession) -> int:
        return sum(endpoint.in_flight for endpoint in await stack.picker_pages(session).endpoints())


def report(result: SoakResult, console: Console) -> None:
    """A table for people."""
    table = Table(show_header=False)
    table.add_row("answered", f"{result.answered:,}")
    table.add_row("slowest kind, p50 / p99", f"{result.p50_ms:.1f} / {result.p99_ms:.1f} ms")
    table.add_row("memory, settled / last / most", _mib(result.settled_bytes, result.last_bytes, result.most_bytes))
    table.add_row("in flight after the end", str(result.left_in_flight))
    for problem in result.problems or ("none",):
        table.add_row("problem", problem)
    console.print(table)


def _mib(*sizes: float) -> str:
    return " / ".join(f"{size / 2**20:.1f}" for size in sizes) + " MiB"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second, all kinds together")
    parser.add_argument("--transport", choices=("native", "grpcio"), default="native")
    parser.add_argument("--body-mode", choices=("buffered", "full-duplex"), default="buffered")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args(arguments)
    variant = Variant("soak", options.transport, body_mode=options.body_mode, workers=options.workers)
    console = Console()
    soak = Soak(variant, seconds=min(options.seconds, 3600.0), rate_per_s=options.rate, console=console)
    try:
        result = asyncio.run(soak.run())
    except (ChildError, EnvoyError, LoadError) as error:
        console.print(f"the run failed: {error}", markup=False)
        return 1
    report(result, console)
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
