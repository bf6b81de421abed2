"""Cost of one scrape: the poller with everything behind it, against pages served by another process.

    python -m bench.scrape --pods 10

Prints microseconds of CPU per scrape of this process, on uvloop and on asyncio's loop, and what becomes of them: the
transport with the request and the answer's framing, the scan, and the store with all who are told. `idle` pages never
change, on `changing` ones every number does. Figures have a ratio to a fixed loop of pure Python, measured in the same
run. Nothing here is asserted.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from bench.decide import Cost, best_of, line, reference_loop_s
from bench.gateway.loop import run_on_uvloop
from bench.scrape_pages import Pages, ReadyPages, pages_of
from epp.app.configuration import TOTALS_EVERY
from epp.app.scrape_results import ScrapeResults
from epp.core.config.load import default_config
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
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
from epp.edge.scrape.period import ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem
from epp.lab.child_process import ChildProcess

REPETITIONS = 500
WARM_UP_S = 1.0
MEASURED_S = 4.0
UNBOUNDED = ScrapeBudget(floor_s=0.01, cores=1.0)


class Books:
    """Everybody whom a scrape is told to, as `epp serve` has them."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        ledger = InFlightLedger()
        scheduler = Scheduler(build_policy(default_config(CATALOGUE)), ledger, Random(1), time.monotonic)
        self.roster = Roster(
            ledger, time.monotonic, slot_renewed=scheduler.forget_slot, load_noted=scheduler.load_noted
        )
        self.roster.objects_changed(ObjectState(InferencePool("x", "pool", {}, ()), endpoints))
        self.scrapes = 0
        self.results = ScrapeResults(self.roster, PrometheusSink(Dialect.GIE), self._count)

    def _count(self) -> None:
        self.scrapes += 1


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
    return best_of(_repeated(lambda: books.results.load_reported(pods[0], next(reports))))


async def whole_cost(pods: int, kind: Pages) -> Cost:
    """Of a scrape with all that it needs, while every pod is scraped as often as the budget allows."""
    with tempfile.TemporaryDirectory(prefix="epp-bench-") as directory:
        server = ChildProcess(
            "pages", ["--pods", str(pods), "--pages", kind], Path(directory), module="bench.scrape_pages"
        )
        try:
            endpoints = endpoints_of(await server.start(ReadyPages))
            books = Books(endpoints)
            poller = Poller(
                books.results,
                lambda endpoint: MetricsPage(endpoint, PageOptions()),
                Dialects({}, VLLM, totals_every=TOTALS_EVERY).reader_of,
                is_busy=lambda _endpoint: True,
                on_problem=_fail,
                budget=UNBOUNDED,
            )
            poller.set_endpoints(endpoints)
            task = asyncio.create_task(poller.run())
            await asyncio.sleep(WARM_UP_S)
            scrapes, cpu_s = books.scrapes, time.process_time()
            await asyncio.sleep(MEASURED_S)
            cost_s = (time.process_time() - cpu_s) / (books.scrapes - scrapes)
            sys.stdout.write(
                f"  {(books.scrapes - scrapes) / MEASURED_S:.0f} scrapes/s; the poller believes in "
                f"{poller.cost_s * 1e6:.0f} us each\n"
            )
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            await server.stop()
    return Cost(cost_s, min(reference_loop_s() for _ in range(10)))


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
    parser.add_argument("--pods", type=int, default=10)
    options = parser.parse_args()
    kinds: tuple[Pages, ...] = ("idle", "changing")
    for kind in kinds:
        size_bytes = max(map(len, pages_of(kind)))
        sys.stdout.write(line(f"scan, {kind}, {size_bytes / 1000:.0f} KB", scan_cost(kind), None))
        sys.stdout.write(line(f"store, {kind}", store_cost(kind), None))
        for name, run in (("uvloop", run_on_uvloop), ("asyncio", asyncio.run)):
            sys.stdout.write(line(f"scrape, {kind}, {name}", run(whole_cost(options.pods, kind)), None))


if __name__ == "__main__":
    main()
