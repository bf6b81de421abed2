"""Cost of one scrape: the poller with everything behind it, against pages served by another process.

    python -m bench.scrape --pods 10

Prints microseconds of CPU per scrape of this process, and how much of it is for what: asking, the answer's framing,
the scan, and the store with all who are told; what is left is the event loop's and the kernel's. `idle` pages never
change, on `changing` ones every number does. Then pools without requests of ours, as `epp serve` scrapes them: cores,
and the longest time between two reports of one pod. Costs have a ratio to a fixed loop of pure Python, measured in the
same run. Nothing here is asserted.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import msgspec

from bench.decide import Cost, best_of, line, reference_loop_s
from bench.gateway.loop import run_on_uvloop
from bench.scrape_pages import Pages, ReadyPages, answer_of, pages_of
from epp.app.configuration import TOTALS_EVERY
from epp.app.scrape_results import ScrapeResults
from epp.core.config.load import default_config
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.edge.observe.families import Dialect
from epp.edge.observe.sink import PrometheusSink
from epp.edge.scrape.dialects import Dialects
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.load_scan import LoadReader
from epp.edge.scrape.metrics_page import MetricsPage, PageOptions
from epp.edge.scrape.period import Attention, ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem
from epp.edge.scrape.response_reader import ResponseReader
from epp.lab.child_process import ChildProcess

REPETITIONS = 500
WARM_UP_S = 1.0
MEASURED_S = 4.0
UNBOUNDED = ScrapeBudget(floor_s=0.01, cores=1.0)


class Books:
    """A LoadSink: everybody whom a scrape is told to, as `epp serve` has them, and the longest time between two."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        ledger = InFlightLedger()
        scheduler = Scheduler(build_policy(default_config(CATALOGUE)), ledger, Random(1), time.monotonic)
        self.roster = Roster(
            ledger, time.monotonic, slot_renewed=scheduler.forget_slot, load_noted=scheduler.load_noted
        )
        self.roster.objects_changed(ObjectState(InferencePool("x", "pool", {}, ()), endpoints))
        self.scrapes = 0
        self.longest_gap_s = 0.0
        self._told_at: dict[str, float] = {}
        self._results = ScrapeResults(self.roster, PrometheusSink(Dialect.GIE), _nobody_waits)

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        """See LoadSink."""
        self.scrapes += 1
        now = time.monotonic()
        self.longest_gap_s = max(self.longest_gap_s, now - self._told_at.get(endpoint.pod, now))
        self._told_at[endpoint.pod] = now
        self._results.load_reported(endpoint, report)

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        """See LoadSink; a benchmark that fails must say so."""
        raise AssertionError(f"{endpoint.pod}: {local_origin=}")


def _nobody_waits() -> None:
    pass


class Run(msgspec.Struct, frozen=True):
    """Some seconds of scraping."""

    cost: Cost
    """of a scrape"""
    cores: float
    per_s: float
    longest_gap_s: float
    believed_s: float
    """what the poller takes for the cost"""


def endpoints_of(ready: ReadyPages) -> tuple[Endpoint, ...]:
    """The pods whose pages are served."""
    return tuple(
        Endpoint.create(namespace="x", pod=f"pod-{number}", rank=0, address=host, port=ready.port)
        for number, host in enumerate(ready.hosts)
    )


def scan_cost(kind: Pages) -> Cost:
    """Of finding the load on a page."""
    pages = itertools.cycle(pages_of(kind))
    reader = LoadReader(VLLM, totals_every=TOTALS_EVERY)
    return best_of(_repeated(lambda: reader.read(next(pages))))


def store_cost(kind: Pages) -> Cost:
    """Of telling everybody."""
    pods = endpoints_of(ReadyPages(("127.0.0.1",), 8000))
    books = Books(pods)
    reader = LoadReader(VLLM, totals_every=TOTALS_EVERY)
    reports = itertools.cycle([reader.read(page) for page in pages_of(kind) * 2 * TOTALS_EVERY])
    return best_of(_repeated(lambda: books.load_reported(pods[0], next(reports))))


def frame_cost(kind: Pages) -> Cost:
    """Of taking the page out of the answer."""
    answers = itertools.cycle([answer_of(page) for page in pages_of(kind)])
    reader = ResponseReader()

    def read() -> None:
        reader.begin()
        reader.feed(next(answers))

    return best_of(_repeated(read))


async def ask_cost(kind: Pages) -> Cost:
    """Of sending a request."""
    costs = []
    async with served(1, kind) as (endpoint,):
        page = MetricsPage(endpoint, PageOptions())
        for _ in range(REPETITIONS):
            told = asyncio.get_running_loop().create_future()
            started = time.thread_time()
            page.read(told.set_result)
            costs.append(time.thread_time() - started)
            assert isinstance(await told, bytes)
        page.close()
    return Cost(statistics.median(costs), min(reference_loop_s() for _ in range(10)))


async def scraping(pods: int, kind: Pages, *, is_busy: bool) -> Run:
    """Scrapes a pool for some seconds; busy pods as often as the budget allows, as `epp serve` would the others."""
    async with served(pods, kind) as endpoints:
        books = Books(endpoints)
        poller = Poller(
            books,
            lambda endpoint: MetricsPage(endpoint, PageOptions()),
            Dialects({}, VLLM, totals_every=TOTALS_EVERY).reader_of,
            attention=lambda _endpoint: Attention.BUSY if is_busy else Attention.IDLE,
            on_problem=_fail,
            budget=UNBOUNDED if is_busy else ScrapeBudget(),
        )
        poller.set_endpoints(endpoints)
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(WARM_UP_S)
        scrapes, cpu_s, books.longest_gap_s = books.scrapes, time.process_time(), 0.0
        await asyncio.sleep(MEASURED_S)
        cpu_s = time.process_time() - cpu_s
        scrapes = books.scrapes - scrapes
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    cost = Cost(cpu_s / scrapes, min(reference_loop_s() for _ in range(10)))
    return Run(cost, cpu_s / MEASURED_S, scrapes / MEASURED_S, books.longest_gap_s, poller.cost_s)


@asynccontextmanager
async def served(pods: int, kind: Pages) -> AsyncIterator[tuple[Endpoint, ...]]:
    """Pods that another process plays."""
    with tempfile.TemporaryDirectory(prefix="epp-bench-") as directory:
        arguments = ["--pods", str(pods), "--pages", kind]
        server = ChildProcess("pages", arguments, Path(directory), module="bench.scrape_pages")
        try:
            yield endpoints_of(await server.start(ReadyPages))
        finally:
            await server.stop()


def _fail(problem: ScrapeProblem) -> None:
    raise AssertionError(str(problem))


def _repeated(work: Callable[[], object]) -> Callable[[], float]:
    def round_s() -> float:
        started = time.process_time()
        for _ in range(REPETITIONS):
            work()
        return (time.process_time() - started) / REPETITIONS

    return round_s


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="cost of one scrape")
    parser.add_argument("--pods", type=int, default=10, help="of the busy pool")
    parser.add_argument("--idle-pods", type=int, nargs="*", default=[10, 100, 1000])
    options = parser.parse_args()
    kinds: tuple[Pages, ...] = ("idle", "changing")
    for kind in kinds:
        size_kb = max(map(len, pages_of(kind))) / 1000
        sys.stdout.write(line(f"ask, {kind}", run_on_uvloop(ask_cost(kind)), None))
        sys.stdout.write(line(f"frame, {kind}, {size_kb:.0f} KB", frame_cost(kind), None))
        sys.stdout.write(line(f"scan, {kind}", scan_cost(kind), None))
        sys.stdout.write(line(f"store, {kind}", store_cost(kind), None))
        for name, run in (("uvloop", run_on_uvloop), ("asyncio", asyncio.run)):
            seen = run(scraping(options.pods, kind, is_busy=True))
            what = f"{seen.per_s:.0f} scrapes/s, believed to be {seen.believed_s * 1e6:.0f} us each"
            sys.stdout.write(f"{line(f'scrape, {kind}, {name}', seen.cost, None).rstrip()}   {what}\n")
    for pods in options.idle_pods:
        seen = run_on_uvloop(scraping(pods, "idle", is_busy=False))
        gap = f"at most {seen.longest_gap_s:.2f} s between two reports"
        sys.stdout.write(f"{f'{pods} idle pods':36} {seen.cores:8.3f} cores, {gap}\n")


if __name__ == "__main__":
    main()
