"""Picker processes without a proxy: CPU per request and picker for --workers 0, 1, 2, and how even the shares are.

    python -m bench.workers
    python -m bench.workers --rounds 5 --seconds 4 --workers 2

Starts `epp serve` over ten fake pods, sends a closed loop of requests on several connections, and reads CPU clocks
of the processes and the picker's own counts. Two busy pickers slow each other down on a machine with few cores,
whatever they have to do with each other: two strangers, each with pods of its own, show how much. Target:
CPU per request and picker of several workers as that of strangers, no share above 1.3 times the mean. The machine's
speed changes while it is measured, so that everything is measured in turns, and medians are compared in the end.
Nothing here is asserted; a refused request ends it.
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

import aiohttp
import msgspec

from bench.ext_proc_driver import Connection, Conversation
from bench.gateway.cpu import cpu_s, process_tree
from bench.request_path import body_message, headers_message, response_message
from epp.lab.child_process import ChildProcess
from epp.lab.object_home import DirectoryHome
from epp.lab.picker_replica import PickerReplica
from epp.lab.plan import BASE_MODEL, StackPlan, free_port
from epp.lab.pool_files import stack_manifests
from epp.lab.stack import ReadyPods

READY_WITHIN_S = 30.0
WARM_UP_S = 2.0
PODS = 10
MOST_PROMPTS = 2_000
NETWORKS = ("127.93.0", "127.94.0")
"""of the pods; the second one for a stranger"""
STRANGERS = "two strangers of 1 worker"


class Setting(msgspec.Struct, frozen=True):
    """What is measured."""

    workers: int
    worker_ports: bool
    connections: int
    streams: int
    """on each connection"""
    seconds: float
    prompt_bytes: int
    transport: str
    stranger: int = -1
    """its number where two pickers have nothing to do with each other"""


class Sample(msgspec.Struct, frozen=True):
    """Counts and clocks at one moment."""

    finished: int
    pickers: dict[int, float]
    """requests by picker"""
    picker_cpu_s: dict[int, float]
    all_cpu_s: float


class Cost(msgspec.Struct, frozen=True):
    """What was measured between two samples."""

    kind: str
    requests_per_s: float
    whole_us: float
    """CPU of all processes for a request"""
    each_us: list[float]
    """of each picker process for a request of its own; empty without picker processes"""
    largest_share: float
    """of the requests, as a multiple of the mean"""

    @property
    def picker_us(self) -> float:
        """Of whoever decides; the mean of several."""
        return mean(self.each_us) if self.each_us else self.whole_us

    def line(self) -> str:
        """In words."""
        parts = [f"{self.kind}: {self.requests_per_s:6.0f}/s", f"{self.whole_us:5.0f} us of all processes a request"]
        if self.each_us:
            parts.append(f"{', '.join(f'{cost:.0f}' for cost in self.each_us)} us of the picker that decides")
            parts.append(f"largest share {self.largest_share:.2f} x mean")
        return "; ".join(parts)


class Bench:
    """One picker with its pods."""

    def __init__(self, setting: Setting, directory: Path) -> None:
        self._setting = setting
        self._directory = directory
        self._conversations: list[Conversation] = []

    async def measure(self) -> Cost:
        """Starts everything and loads it."""
        plan = StackPlan(pods=PODS, network=NETWORKS[max(0, self._setting.stranger)])
        words = ["fake-vllm", "--model", BASE_MODEL, "--name", "vllm", "--port", str(free_port(plan.hosts))]
        pods = ChildProcess(
            "pods", [*words, *(word for host in plan.hosts for word in ("--host", host))], self._directory
        )
        home = DirectoryHome(self._directory / "objects")
        replica = PickerReplica("picker", [*await home.picker_flags("picker"), *self._flags()], self._directory)
        try:
            found = (await pods.start(ReadyPods)).pods
            await home.start()
            await home.put(*stack_manifests(found, (), port=0, app_protocol="http"))
            await replica.start()
            async with aiohttp.ClientSession() as session:
                return await self._load(replica, session)
        finally:
            await replica.stop()
            await pods.stop()

    def _flags(self) -> list[str]:
        setting = self._setting
        ports = ["--worker-ports"] if setting.worker_ports else []
        flags = ["--secure-serving=false", "--drain-timeout=0s", f"--workers={setting.workers}", *ports]
        return [*flags, f"--transport={setting.transport}"]

    async def _load(self, replica: PickerReplica, session: aiohttp.ClientSession) -> Cost:
        setting = self._setting
        pages = replica.pages(session)
        async with asyncio.timeout(READY_WITHIN_S):
            while True:
                if not await pages.unready_reason() and len(await pages.endpoints()) == PODS:
                    break
                await asyncio.sleep(0.05)
        headers, response = headers_message(), response_message()
        texts = [body_message(number, setting.prompt_bytes) for number in range(MOST_PROMPTS)]
        numbers = itertools.count()

        def conversation() -> Conversation:
            return Conversation(headers, texts[next(numbers) % MOST_PROMPTS], response)

        connections = [Connection(setting.streams, conversation) for _ in range(setting.connections)]
        ports = itertools.cycle(replica.ports.ext_proc_ports)
        running = [asyncio.ensure_future(each.run(next(ports))) for each in connections]
        try:
            done, _ = await asyncio.wait(running, timeout=WARM_UP_S)
            for task in done:
                task.result()
            check(connections)
            before = await self._sample(replica, session, connections)
            await asyncio.sleep(setting.seconds)
            after = await self._sample(replica, session, connections)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        check(connections)
        return cost(setting, before, after)

    async def _sample(
        self, replica: PickerReplica, session: aiohttp.ClientSession, connections: Sequence[Connection]
    ) -> Sample:
        async with session.get(f"{replica.url}/metrics") as answer:
            page = await answer.text()
        process = replica.process
        if process is None:
            raise RuntimeError("the picker is not running")
        requests = by_picker(page, "epp_picker_process_requests_total")
        return Sample(
            finished=sum(each.finished for each in connections),
            pickers=requests,
            picker_cpu_s=by_picker(page, "epp_picker_process_cpu_seconds"),
            all_cpu_s=cpu_s(process_tree(process.pid)),
        )


def check(connections: Sequence[Connection]) -> None:
    """Raises RuntimeError for a connection that was refused something, or not answered."""
    for each in connections:
        if each.refused or not each.finished:
            raise RuntimeError(each.refused or "a connection was answered nothing")


def by_picker(page: str, name: str) -> dict[int, float]:
    """A metric's values by the number of the picker."""
    lines = (text for text in page.splitlines() if text.startswith(f'{name}{{picker="'))
    return {int(text.split('"')[1]): float(text.rpartition(" ")[2]) for text in lines}


def cost(setting: Setting, before: Sample, after: Sample) -> Cost:
    """What is between two samples."""
    finished = after.finished - before.finished
    shares = [after.pickers[picker] - count for picker, count in sorted(before.pickers.items())]
    each_us = [
        (after.picker_cpu_s[picker] - cpu) / share * 1e6
        for (picker, cpu), share in zip(sorted(before.picker_cpu_s.items()), shares, strict=True)
        if share
    ]
    kind = STRANGERS if setting.stranger >= 0 else f"{setting.workers} workers"
    return Cost(
        kind=f"{kind}, {'a port each' if setting.worker_ports else 'one port'}",
        requests_per_s=finished / setting.seconds,
        whole_us=(after.all_cpu_s - before.all_cpu_s) / finished * 1e6,
        each_us=each_us,
        largest_share=max(shares) / mean(shares) if shares else 1.0,
    )


async def measure(settings: Sequence[Setting]) -> list[Cost]:
    """At the same time, and prints the lines."""
    with contextlib.ExitStack() as homes:
        benches = []
        for setting in settings:
            home = homes.enter_context(tempfile.TemporaryDirectory(prefix="epp-bench-"))
            benches.append(Bench(setting, Path(home)))
        costs = await asyncio.gather(*(bench.measure() for bench in benches))
    sys.stdout.writelines(f"{each.line()}\n" for each in costs)
    sys.stdout.flush()
    return costs


def groups(options: argparse.Namespace) -> list[list[Setting]]:
    """What is measured one after the other; of a group, all at once."""
    found: list[list[Setting]] = []
    for workers in options.workers:
        setting = Setting(
            workers=workers,
            worker_ports=False,
            connections=options.connections,
            streams=options.streams,
            seconds=options.seconds,
            prompt_bytes=options.prompt_bytes,
            transport="native",
        )
        if workers == len(NETWORKS):
            half = msgspec.structs.replace(setting, workers=1, connections=max(1, options.connections // 2))
            found.append([msgspec.structs.replace(half, stranger=number) for number in range(len(NETWORKS))])
        found.append([setting])
        if workers > 1:
            found.append([msgspec.structs.replace(setting, worker_ports=True)])
    return found


def medians(costs: Sequence[Cost]) -> str:
    """By kind, beside strangers where there are some."""
    by_kind: dict[str, list[Cost]] = {}
    for each in costs:
        by_kind.setdefault(each.kind, []).append(each)
    middle = {kind: median(each.picker_us for each in found) for kind, found in by_kind.items()}
    strangers = next((middle[kind] for kind in middle if kind.startswith(STRANGERS)), None)
    rows = ["| kind | us of the picker that decides, median | to strangers | largest share |", "|---|---|---|---|"]
    for kind, found in by_kind.items():
        ratio = f"{middle[kind] / strangers:.2f}" if strangers else ""
        share = max(each.largest_share for each in found)
        rows.append(f"| {kind} | {middle[kind]:.0f} | {ratio} | {share:.2f} x mean |")
    return "\n".join(rows)


async def run(options: argparse.Namespace) -> None:
    """Each group after the other, in turns."""
    costs: list[Cost] = []
    for _ in range(options.rounds):
        for group in groups(options):
            costs += await measure(group)
    sys.stdout.write(f"\n{medians(costs)}\n")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.workers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=8, help="on each connection")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--prompt-bytes", type=int, default=800)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
