"""The poller: keeps reading the metrics pages of all endpoints and tells a LoadSink what it found.

One loop looks at a timetable and asks for every page that is due; what comes is scanned and told in the step in which
it comes, without a task, so that a silent endpoint delays nobody and a scrape costs little more than its bytes. An
endpoint whose last scrape still runs at its next due time is passed over: there is never more than one request at an
endpoint.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock, LoadReport, LoadSink
from epp.edge.scrape.load_scan import NO_LOAD
from epp.edge.scrape.metrics_page import PageError, Told
from epp.edge.scrape.period import Attention, CostEstimate, Periods, ScrapeBudget, plan_periods
from epp.edge.scrape.timetable import Timetable

PLAN_PERIOD_S = 0.1
_FIRST_SPACING_S = 0.001  # a thousand connections opened in one step would time each other out
STEP_SHARE = 0.7  # of a scrape's CPU time is in the steps that are timed; the loop and the kernel have the rest
_METERED_EVERY = 16  # scrapes; to read the clock of a thread's CPU time four times costs as much as a page

Identity = tuple[str, str, str, str, int]
ReadLoad = Callable[[bytes], LoadReport]
"""tells the load from page after page of one endpoint"""


class Page(Protocol):
    """Where an endpoint's metrics come from (MetricsPage, or a test's own)."""

    @property
    def url(self) -> str:
        """For messages."""
        ...

    def read(self, told: Told) -> None:
        """Asks for the page; `told` is called once, later, with the page or a PageError, unless it is closed before."""
        ...

    def close(self) -> None:
        """Gives the connection up."""
        ...


class ScrapeProblem(msgspec.Struct, frozen=True):
    """Why an endpoint's load is not known; told once, and again only after the endpoint had recovered."""

    endpoint: Endpoint
    url: str
    problem: str

    def __str__(self) -> str:
        return f"endpoint {self.endpoint.key}: no metrics from {self.url}: {self.problem}"


class _Target:
    def __init__(self, endpoint: Endpoint, page: Page, read_load: ReadLoad) -> None:
        self.identity = _identity(endpoint)
        self.endpoint = endpoint
        self.page = page
        self.read_load = read_load
        self.told: Told
        self.attention = Attention.IDLE
        self.is_asked = False
        """its page is on the way"""
        self.asking_cpu_s: float | None = None
        """what asking took, if this scrape is timed"""
        self.failures = 0

    def take(self, endpoint: Endpoint, reader_of: Callable[[Endpoint], ReadLoad]) -> None:
        """The same endpoint, whose labels may have changed, and with them its dialect."""
        if endpoint != self.endpoint:
            self.endpoint = endpoint
            self.read_load = reader_of(endpoint)


class Poller:
    """Scrapes the endpoints that `set_endpoints` names, while `run` runs."""

    def __init__(
        self,
        sink: LoadSink,
        open_page: Callable[[Endpoint], Page],
        reader_of: Callable[[Endpoint], ReadLoad],
        *,
        attention: Callable[[Endpoint], Attention],
        on_problem: Callable[[ScrapeProblem], None],
        budget: ScrapeBudget,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """`reader_of` is asked when an endpoint is new or has changed.

        `attention` is asked every 100 ms for each endpoint.
        """
        self._sink = sink
        self._open_page = open_page
        self._reader_of = reader_of
        self._attention = attention
        self._on_problem = on_problem
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self._cpu_clock = cpu_clock
        self._targets: dict[Identity, _Target] = {}
        self._timetable: Timetable[Identity] = Timetable()
        self._cost = CostEstimate()
        self._periods = plan_periods(0, 0, self._cost.cost_s, budget)
        self._next_plan = clock()
        self._asked = 0
        self._fault: Exception | None = None

    @property
    def periods(self) -> Periods:
        """The periods in force."""
        return self._periods

    @property
    def cost_s(self) -> float:
        """CPU seconds per scrape, as measured."""
        return self._cost.cost_s

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Who is scraped from now on: new ones at once, nothing is heard any more of those that left."""
        wanted = {_identity(endpoint): endpoint for endpoint in endpoints}
        for gone in self._targets.keys() - wanted.keys():
            target = self._targets.pop(gone)
            self._timetable.remove(gone)
            target.page.close()
        due = self._clock()
        for identity, endpoint in wanted.items():
            known = self._targets.get(identity)
            if known is not None:
                known.take(endpoint, self._reader_of)
                continue
            target = _Target(endpoint, self._open_page(endpoint), self._reader_of(endpoint))
            self._targets[identity] = target
            target.told = partial(self._told, target)
            self._timetable.add(identity, self._periods.idle_s, due)
            due += _FIRST_SPACING_S

    async def run(self) -> None:
        """Scrapes until it is cancelled; all connections are closed then."""
        try:
            while self._fault is None:
                now = self._clock()
                self._plan(now)
                for identity in self._timetable.take_due(now):
                    self._ask(self._targets[identity])
                rest_s = min(self._timetable.next_due, self._next_plan) - self._clock()
                await self._sleep(max(rest_s, self._periods.slot_s))
            raise self._fault
        finally:
            for target in self._targets.values():
                target.page.close()

    def _plan(self, now: float) -> None:
        """Every 100 ms: who is to be watched how closely, and what that means for everybody's period."""
        if now < self._next_plan:
            return
        self._next_plan = now + PLAN_PERIOD_S
        former = self._periods
        changed = []
        numbers = dict.fromkeys(Attention, 0)
        for target in self._targets.values():
            attention = self._attention(target.endpoint)
            numbers[attention] += 1
            if attention is not target.attention:
                target.attention = attention
                changed.append(target)
        busy, calm = numbers[Attention.BUSY], numbers[Attention.CALM]
        self._periods = plan_periods(len(self._targets), busy, self._cost.cost_s, self._budget, calm=calm)
        for target in changed if self._periods == former else self._targets.values():
            self._set_period(target, now)

    def _set_period(self, target: _Target, now: float) -> None:
        self._timetable.set_period(target.identity, self._period_s(target), now)

    def _period_s(self, target: _Target) -> float:
        return self._periods.after_failures(self._periods.of(target.attention), target.failures)

    def _ask(self, target: _Target) -> None:
        if target.is_asked:
            return
        target.is_asked = True
        self._asked += 1
        if self._asked % _METERED_EVERY:
            target.asking_cpu_s = None
            target.page.read(target.told)
        else:
            begun = self._cpu_clock()
            target.page.read(target.told)
            target.asking_cpu_s = self._cpu_clock() - begun

    def _told(self, target: _Target, result: bytes | PageError) -> None:
        target.is_asked = False
        if target.asking_cpu_s is None:
            self._note(target, result)
        else:
            begun = self._cpu_clock()
            self._note(target, result)
            self._cost.observe((target.asking_cpu_s + self._cpu_clock() - begun) / STEP_SHARE)

    def _note(self, target: _Target, result: bytes | PageError) -> None:
        try:
            self._judge(target, result)
        except Exception as fault:  # noqa: BLE001  the transport would only log it; `run` raises it
            self._fault = fault

    def _judge(self, target: _Target, result: bytes | PageError) -> None:
        if isinstance(result, PageError):
            self._failed(target, result.problem, local_origin=result.local_origin)
            return
        report = target.read_load(result)
        if report == NO_LOAD:
            self._failed(target, "the page has none of the metrics that tell the load", local_origin=False)
            return
        if target.failures:
            target.failures = 0
            self._set_period(target, self._clock())
        self._sink.load_reported(target.endpoint, report)

    def _failed(self, target: _Target, problem: str, *, local_origin: bool) -> None:
        target.failures += 1
        self._set_period(target, self._clock())
        if target.failures == 1:
            self._on_problem(ScrapeProblem(target.endpoint, target.page.url, problem))
        self._sink.scrape_failed(target.endpoint, local_origin=local_origin)


def _identity(endpoint: Endpoint) -> Identity:
    """A restarted or moved pod is a new one to scrape; changed labels alone are not."""
    where = f"{endpoint.metrics_address}:{endpoint.metrics_port}"
    return endpoint.key, endpoint.incarnation, endpoint.destination, where, endpoint.port
