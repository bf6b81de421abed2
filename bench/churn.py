"""What it costs a request when the cluster is in motion: 500 pods appear, change and vanish within ten seconds.

    python -m bench.churn --seconds 10 --pods 500 --rate 100

A picker (`epp serve`, one process) follows an API server in memory while requests come at a steady rate: in peace with
few pods; while pods of somebody else come and go (the API server has the same work, the picker none); with all pods
standing still, which it has to scrape; and while those of its own pool come and go. Prints the time from request to
decision, its ratio to the phase before, the CPU of both processes, and whether the picture was right at the end without
a second list. Nothing here is asserted. Only loopback addresses are used; the run ends by itself.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from epp.core.protocol.events import BodyMode
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.ext_proc_client import ExtProcClient
from tests.support.kube_objects import NAMESPACE, install_crds, pod, pool, set_ready
from tests.support.metric_pods import MetricPods, metric_pods
from tests.support.served_picker import HOST, ServedPicker, served_picker

BODY = msgspec.json.encode({"model": "m", "prompt": "hello " * 130, "max_tokens": 16})
STEADY = 10
"""pods that are there all the time"""


class Options(msgspec.Struct, frozen=True):
    """What to run; `rate` in requests a second."""

    seconds: float
    pods: int
    rate: float


class Phase(msgspec.Struct, frozen=True):
    """Times in seconds; cores are CPU seconds a second."""

    title: str
    taken_s: list[float]
    picker_cores: float
    world_cores: float

    def quantile_ms(self, share: float) -> float:
        """The time within which a share of the requests was decided."""
        ordered = sorted(self.taken_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000


async def requests(envoy: ExtProcClient, options: Options) -> list[float]:
    """Seconds from request to decision, of requests that begin at fixed times whatever the answers do."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def one() -> float:
        asked_at = time.perf_counter()
        request = envoy.request(BodyMode.BUFFERED)
        await request.send(BODY)
        taken = time.perf_counter() - asked_at
        request.reset()
        return taken

    running = []
    for number in range(int(options.rate * options.seconds)):
        await asyncio.sleep(max(0.0, began + number / options.rate - loop.time()))
        running.append(asyncio.ensure_future(one()))
    return await asyncio.gather(*running)


class World:
    """API server, pods and their metrics pages: a process of its own, so that its work is not in the times measured.

    It is told by a line what to do (an app whose pods shall come and go, "stand" or "leave") and answers with a line
    when that is over.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """Its next answer."""
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), 120.0)).decode().strip()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def do(self, what: str) -> str:
        """Waits until it is done; the number of lists of pods so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        return await self.line()


async def be_the_world(options: Options, folder: Path) -> None:
    """The other process; ends with its standard input."""
    async with (
        metric_pods(STEADY + options.pods) as servers,
        KubeApi(KubeApiSettings(seed=1)) as api,
    ):
        install_crds(api)
        api.objects.create(pool(ports=(servers.port,)))
        for number in range(STEADY):
            api.objects.create(pod(f"steady-{number}", servers.hosts[number]))
        api.kubeconfig(folder / "kubeconfig")
        sys.stdout.write(" ".join(servers.destinations[:STEADY]) + "\n")
        sys.stdout.flush()
        while what := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if what == "stand":
                for number in range(options.pods):
                    api.objects.create(pod(f"vllm-{number}", servers.hosts[STEADY + number]))
            elif what == "leave":
                for number in range(options.pods):
                    api.objects.delete("v1", "Pod", NAMESPACE, f"vllm-{number}", grace_s=0)
            elif what != "none":
                await churn(api, servers, options, what)
            sys.stdout.write(f"{api.audit.count('list', 'pods')}\n")
            sys.stdout.flush()


async def churn(api: KubeApi, servers: MetricPods, options: Options, app: str) -> None:
    """Every pod is made, becomes unready and ready, and is deleted; evenly over the time."""
    steps = 4 * options.pods
    loop = asyncio.get_running_loop()
    began = loop.time()
    for step in range(steps):
        await asyncio.sleep(max(0.0, began + step * options.seconds / steps - loop.time()))
        turn, number = divmod(step, options.pods)
        name = f"{app}-{number}"
        if turn == 0:
            api.objects.create(pod(name, servers.hosts[STEADY + number], app=app))
        elif turn < 3:
            set_ready(api, name, "False" if turn == 1 else "True")
        else:
            api.objects.delete("v1", "Pod", NAMESPACE, name, grace_s=0)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, from /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@asynccontextmanager
async def everything(options: Options, folder: Path) -> AsyncIterator[tuple[World, list[str], ServedPicker]]:
    """The world, the destinations that are always there, and the picker."""
    words = (f"--seconds={options.seconds}", f"--pods={options.pods}", f"--world={folder}")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.churn", *words, stdin=pipe, stdout=pipe, limit=2**20
    )
    world = World(process)
    try:
        destinations = (await world.line()).split()
        flags = (f"--kubeconfig={folder / 'kubeconfig'}", "--pool-name=pool")
        local = (f"--metrics-bind-address={HOST}", "--metrics-endpoint-auth=false")
        async with served_picker(folder, *flags, *local, objects=False) as picker:
            await picker.until_ready()
            yield world, destinations, picker
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def run(options: Options) -> list[str]:
    """The lines of the report."""
    with tempfile.TemporaryDirectory(prefix="bench-churn-") as folder:
        async with everything(options, Path(folder)) as (world, destinations, picker):
            async with ExtProcClient(picker.ports.grpc_port) as envoy:

                async def phase(title: str, what: str = "") -> Phase:
                    pids = picker.process.pid, world.pid
                    before = [cpu_s(pid) for pid in pids]
                    moving = asyncio.ensure_future(world.do(what)) if what else None
                    taken = await requests(envoy, options)
                    cores = [(cpu_s(pid) - was) / options.seconds for pid, was in zip(pids, before, strict=True)]
                    if moving is not None:
                        await moving
                    return Phase(title, taken, *cores)

                await requests(envoy, msgspec.structs.replace(options, seconds=1.0))
                phases = [await phase(f"{STEADY} pods in peace"), await phase("other pods move", "other")]
                await world.do("stand")
                await asyncio.sleep(2.0)  # the picker begins to scrape them
                phases.append(await phase(f"{STEADY + options.pods} pods in peace"))
                await world.do("leave")
                await picker.until_endpoints(*destinations)
                phases.append(await phase("its own pods move", "vllm"))
            asked_at = time.perf_counter()
            await picker.until_endpoints(*destinations)
            right_after_s = time.perf_counter() - asked_at
            lists = await world.do("none")
    return [*table(phases), f"right {right_after_s:.2f} s after the last change; lists of pods: {lists}"]


def table(phases: list[Phase]) -> list[str]:
    """A line per phase, with ratios to the one before."""
    heads = ("p50 ms", "p99 ms", "p50 ratio", "p99 ratio", "picker cores", "world cores")
    lines = [f"{'':20}{'requests':>9}" + "".join(f"{head:>14}" for head in heads)]
    for before, phase in zip([phases[0], *phases], phases, strict=False):
        numbers = (
            phase.quantile_ms(0.5),
            phase.quantile_ms(0.99),
            phase.quantile_ms(0.5) / before.quantile_ms(0.5),
            phase.quantile_ms(0.99) / before.quantile_ms(0.99),
            phase.picker_cores,
            phase.world_cores,
        )
        lines.append(f"{phase.title:20}{len(phase.taken_s):9}" + "".join(f"{number:14.2f}" for number in numbers))
    return lines


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase (default 10, at most 60)")
    parser.add_argument("--pods", type=int, default=500, help="that come and go (default 500, at most 1000)")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second (default 100, at most 500)")
    parser.add_argument("--world", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    options = Options(min(given.seconds, 60.0), min(given.pods, 1_000), min(given.rate, 500.0))
    if given.world is not None:
        asyncio.run(be_the_world(options, given.world))
        return
    sys.stdout.write("\n".join(asyncio.run(run(options))) + "\n")


if __name__ == "__main__":
    main()
