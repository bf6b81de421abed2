"""Picker processes without a proxy: CPU per request and picker for --workers 0, 1, 2, and how even the shares are.

    python -m bench.workers --seconds 8

Starts `epp serve` over ten fake pods, sends a closed loop of requests on several connections, and reads CPU clocks
of the processes and the picker's own counts. Two busy pickers slow each other down on a machine with few cores,
whatever they have to do with each other: two strangers, each with pods of its own, show how much. Target:
CPU per request and picker of several workers as that of strangers, no share above 1.3 times the mean. Nothing here is
asserted; a refused request ends it.
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

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


class Bench:
    """One picker with its pods; `measure` prints a line."""

    def __init__(self, setting: Setting, directory: Path) -> None:
        self._setting = setting
        self._directory = directory
        self._conversations: list[Conversation] = []

    async def measure(self) -> str:
        """Starts everything, loads it, and returns the line."""
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

    async def _load(self, replica: PickerReplica, session: aiohttp.ClientSession) -> str:
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
        return line(setting, before, after)

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


def line(setting: Setting, before: Sample, after: Sample) -> str:
    """What is between two samples."""
    finished = after.finished - before.finished
    whole_us = (after.all_cpu_s - before.all_cpu_s) / finished * 1e6
    shares = [after.pickers[picker] - count for picker, count in sorted(before.pickers.items())]
    each_us = [
        (after.picker_cpu_s[picker] - cpu) / share * 1e6
        for (picker, cpu), share in zip(sorted(before.picker_cpu_s.items()), shares, strict=True)
        if share
    ]
    ports = "a port each" if setting.worker_ports else "one port"
    kind = f"{setting.workers} workers" if setting.stranger < 0 else f"stranger {setting.stranger + 1} of 2, 1 worker"
    parts = [f"{kind}, {ports}, {setting.connections} connections: {finished / setting.seconds:6.0f}/s"]
    parts.append(f"{whole_us:5.0f} us of all processes a request")
    if shares:
        parts.append(f"{', '.join(f'{cost:.0f}' for cost in each_us)} us of the picker that decides")
        parts.append(f"largest share {max(shares) / (sum(shares) / len(shares)):.2f} x mean")
    return "; ".join(parts)


async def measure(*settings: Setting) -> None:
    """At the same time, and prints the lines."""
    with contextlib.ExitStack() as homes:
        benches = []
        for setting in settings:
            home = homes.enter_context(tempfile.TemporaryDirectory(prefix="epp-bench-"))
            benches.append(Bench(setting, Path(home)))
        for shown in await asyncio.gather(*(bench.measure() for bench in benches)):
            sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()


async def run(options: argparse.Namespace) -> None:
    """Each setting after the other."""
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
            await measure(*(msgspec.structs.replace(half, stranger=number) for number in range(len(NETWORKS))))
        await measure(setting)
        if workers > 1:
            await measure(msgspec.structs.replace(setting, worker_ports=True))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--streams", type=int, default=8, help="on each connection")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--prompt-bytes", type=int, default=800)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
