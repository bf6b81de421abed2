"""The poller in virtual time, with pages that a script plays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.edge.scrape.dialects import ENGINE_LABELS, Dialects
from epp.edge.scrape.engines import ENGINES
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.metrics_page import PageError, Told
from epp.edge.scrape.period import Attention, ScrapeBudget
from epp.edge.scrape.poller import STEP_SHARE, Poller, ReadLoad, ScrapeProblem
from tests.support.virtual_clock import VirtualClock

DIALECTS = Dialects(ENGINES, VLLM)
Answer = Callable[[], bytes | PageError]


def endpoint(number: int, incarnation: str = "", labels: dict[str, str] | None = None) -> Endpoint:
    return Endpoint.create(
        namespace="default",
        pod=f"pod-{number}",
        rank=0,
        address=f"10.0.{number // 250}.{number % 250 + 1}",
        port=8000,
        incarnation=incarnation,
        labels=labels or {},
    )


def page_of(waiting: float) -> bytes:
    return f"vllm:num_requests_waiting {waiting}\n".encode()


class ScriptedPage:
    """Answers after `latency_s` with whatever `answer` gives; a latency of None is an endpoint that stays silent."""

    def __init__(self, pod: Endpoint, lab: "Lab") -> None:
        self.url = f"http://{pod.destination}/metrics"
        self.pod = pod
        self.lab = lab
        self.is_reading = False
        self.is_closed = False

    def read(self, told: Told) -> None:
        assert not self.is_reading, "two requests at once"
        self.is_reading = True
        self.lab.starts.append((self.lab.clock.now, self.pod.pod))
        self.lab.cpu_s += self.lab.cost_s
        self.answering = asyncio.create_task(self._answer(told))

    async def _answer(self, told: Told) -> None:
        latency_s = self.lab.latency_s.get(self.pod.pod, 0.002)
        await self.lab.clock.sleep(1.0 if latency_s is None else latency_s)
        answer = self.lab.answers.get(self.pod.pod, lambda: page_of(1))
        self.is_reading = False
        told(PageError("no complete answer within 1 s", local_origin=True) if latency_s is None else answer())

    def close(self) -> None:
        self.is_closed = True
        if self.is_reading:
            self.is_reading = False
            self.answering.cancel()


class Lab:
    """A poller, its pages and everything that it told."""

    def __init__(self, reader_of: Callable[[Endpoint], ReadLoad] = DIALECTS.reader_of) -> None:
        self.clock = VirtualClock()
        self.cpu_s = 0.0
        self.cost_s = 0.0003 * STEP_SHARE
        self.starts: list[tuple[float, str]] = []
        self.latency_s: dict[str, float | None] = {}
        self.answers: dict[str, Answer] = {}
        self.busy: set[str] = set()
        self.calm: set[str] = set()
        self.pages: list[ScriptedPage] = []
        self.reports: list[tuple[str, LoadReport]] = []
        self.failures: list[tuple[str, bool]] = []
        self.problems: list[ScrapeProblem] = []
        self.poller = Poller(
            self,
            self.open_page,
            reader_of,
            attention=self.attention_to,
            on_problem=self.problems.append,
            budget=ScrapeBudget(),
            clock=self.clock,
            sleep=self.clock.sleep,
            cpu_clock=lambda: self.cpu_s,
        )

    def attention_to(self, pod: Endpoint) -> Attention:
        if pod.pod in self.busy:
            return Attention.BUSY
        return Attention.CALM if pod.pod in self.calm else Attention.IDLE

    def open_page(self, pod: Endpoint) -> ScriptedPage:
        self.pages.append(ScriptedPage(pod, self))
        return self.pages[-1]

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        self.reports.append((endpoint.pod, report))

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        self.failures.append((endpoint.pod, local_origin))

    def starts_of(self, pod: str) -> list[float]:
        return [at for at, who in self.starts if who == pod]

    def longest_gap_s(self, pod: str) -> float:
        starts = self.starts_of(pod)
        return max(later - earlier for earlier, later in pairwise(starts))

    async def play(self, seconds: float) -> None:
        self.starts.clear()
        await self.clock.advance(seconds)


@asynccontextmanager
async def running(pods: int = 0) -> AsyncIterator[Lab]:
    lab = Lab()
    lab.poller.set_endpoints([endpoint(number) for number in range(pods)])
    task = asyncio.create_task(lab.poller.run())
    try:
        yield lab
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def refuse() -> PageError:
    return PageError("connection refused", local_origin=True)


def not_found() -> PageError:
    return PageError("HTTP status 404", local_origin=False)


async def test_new_endpoints_are_scraped_at_once() -> None:
    async with running() as lab:
        await lab.play(0.5)
        lab.poller.set_endpoints([endpoint(1), endpoint(2)])
        await lab.play(0.15)
        assert {pod for pod, _ in lab.reports} == {"pod-1", "pod-2"}


async def test_the_report_is_what_the_page_says() -> None:
    async with running(1) as lab:
        lab.answers["pod-0"] = lambda: page_of(7)
        await lab.play(0.1)
        assert lab.reports == [("pod-0", LoadReport(waiting=7.0))]


async def test_an_idle_endpoint_is_seen_within_a_second() -> None:
    async with running(20) as lab:
        await lab.play(10.0)
        assert max(lab.longest_gap_s(f"pod-{number}") for number in range(20)) < 0.9
        assert len(lab.starts) < 20 * 15


async def test_a_busy_endpoint_is_scraped_at_the_floor_and_is_noticed_soon() -> None:
    async with running(10) as lab:
        await lab.play(5.0)
        lab.busy.add("pod-3")
        await lab.play(0.11)
        assert lab.starts_of("pod-3")
        await lab.play(2.0)
        assert lab.longest_gap_s("pod-3") == pytest.approx(0.05, abs=0.016)
        assert len(lab.starts_of("pod-4")) <= 3


async def test_a_calm_endpoint_is_scraped_half_as_often() -> None:
    async with running(10) as lab:
        lab.busy.add("pod-3")
        lab.calm.add("pod-4")
        await lab.play(1.0)
        await lab.play(2.0)
        assert lab.longest_gap_s("pod-3") == pytest.approx(0.05, abs=0.016)
        assert lab.longest_gap_s("pod-4") == pytest.approx(0.1, abs=0.016)
        lab.calm.clear()
        lab.busy.add("pod-4")
        await lab.play(0.11)
        await lab.play(2.0)
        assert lab.longest_gap_s("pod-4") == pytest.approx(0.05, abs=0.016)


async def test_the_budget_bounds_the_rate_of_a_busy_pool() -> None:
    async with running(100) as lab:
        lab.busy.update(f"pod-{number}" for number in range(100))
        await lab.play(3.0)
        await lab.play(3.0)
        assert lab.poller.cost_s == pytest.approx(0.0003, rel=0.02)
        assert len(lab.starts) / 3.0 == pytest.approx(0.1 / 0.0003, rel=0.1)


async def test_scrapes_are_spread_evenly() -> None:
    async with running(100) as lab:
        await lab.play(3.0)
        await lab.play(4.0)
        windows = [sum(start <= at < start + 0.08 for at, _ in lab.starts) for start in _grid(lab.starts[0][0], 4.0)]
        assert max(windows) <= 20  # 10 are even


async def test_a_thousand_endpoints_are_seen_within_a_second() -> None:
    async with running(1000) as lab:
        await lab.play(2.0)
        await lab.play(3.0)
        assert max(lab.longest_gap_s(f"pod-{number}") for number in range(0, 1000, 37)) < 0.95


async def test_a_silent_endpoint_delays_nobody_and_gets_one_request_at_a_time() -> None:
    async with running(5) as lab:
        lab.latency_s["pod-2"] = None
        await lab.play(10.0)
        assert max(lab.longest_gap_s(f"pod-{number}") for number in (0, 1, 3, 4)) < 0.9
        assert lab.longest_gap_s("pod-2") <= 2.1
        assert lab.failures
        assert set(lab.failures) == {("pod-2", True)}


async def test_an_answer_slower_than_the_period_is_waited_for() -> None:
    async with running(1) as lab:
        lab.busy.add("pod-0")
        lab.latency_s["pod-0"] = 0.12
        await lab.play(5.0)  # ScriptedPage asserts that requests never overlap
        assert lab.longest_gap_s("pod-0") == pytest.approx(0.15, abs=0.03)


async def test_a_failing_endpoint_backs_off_to_a_second_and_never_stops() -> None:
    async with running(1) as lab:
        lab.busy.add("pod-0")
        lab.answers["pod-0"] = refuse
        await lab.play(5.0)
        await lab.play(60.0)
        assert len(lab.starts) == pytest.approx(60, abs=2)


async def test_recovery_is_seen_within_a_second_and_ends_the_back_off() -> None:
    async with running(1) as lab:
        lab.busy.add("pod-0")
        lab.answers["pod-0"] = refuse
        await lab.play(10.0)
        lab.answers["pod-0"] = lambda: page_of(1)
        await lab.play(1.05)
        assert lab.reports
        await lab.play(2.0)
        assert lab.longest_gap_s("pod-0") == pytest.approx(0.05, abs=0.016)


async def test_a_problem_is_told_once_and_again_after_a_recovery() -> None:
    async with running(1) as lab:
        lab.answers["pod-0"] = refuse
        await lab.play(5.0)
        lab.answers["pod-0"] = not_found
        await lab.play(5.0)
        assert [str(problem) for problem in lab.problems] == [
            "endpoint default/pod-0-rank-0: no metrics from http://10.0.0.1:8000/metrics: connection refused"
        ]
        lab.answers["pod-0"] = lambda: page_of(1)
        await lab.play(5.0)
        lab.answers["pod-0"] = not_found
        await lab.play(5.0)
        assert [problem.problem for problem in lab.problems] == ["connection refused", "HTTP status 404"]


async def test_failures_say_whether_the_endpoint_could_be_reached() -> None:
    async with running(3) as lab:
        lab.answers["pod-0"] = refuse
        lab.answers["pod-1"] = not_found
        lab.answers["pod-2"] = lambda: b"go_goroutines 5\n"
        await lab.play(0.1)
        assert sorted(lab.failures) == [("pod-0", True), ("pod-1", False), ("pod-2", False)]
        assert "none of the metrics" in lab.problems[-1].problem


async def test_nothing_is_heard_of_an_endpoint_that_left_and_its_page_is_closed() -> None:
    async with running(2) as lab:
        lab.latency_s["pod-1"] = 0.5
        await lab.play(0.2)
        assert lab.pages[1].is_reading
        lab.reports.clear()
        lab.poller.set_endpoints([endpoint(0)])
        await lab.play(5.0)
        assert {pod for pod, _ in lab.reports} == {"pod-0"}
        assert not lab.starts_of("pod-1")
        assert (lab.pages[1].is_reading, lab.pages[1].is_closed) == (False, True)
        assert not lab.pages[0].is_closed


async def test_a_restarted_pod_is_a_new_one_and_changed_labels_are_not() -> None:
    async with running(1) as lab:
        await lab.play(0.1)
        lab.poller.set_endpoints([endpoint(0, labels={"a": "b"})])
        await lab.play(0.1)
        assert len(lab.pages) == 1
        lab.poller.set_endpoints([endpoint(0, incarnation="uid/1")])
        await lab.play(0.1)
        assert [page.is_closed for page in lab.pages] == [True, False]
        assert lab.starts_of("pod-0")


async def test_an_endpoint_that_gets_another_label_is_read_in_another_dialect() -> None:
    async with running(1) as lab:
        lab.answers["pod-0"] = lambda: page_of(1) + b"sglang:num_queue_reqs 9\n"
        await lab.play(0.1)
        lab.poller.set_endpoints([endpoint(0, labels={ENGINE_LABELS[0]: "sglang"})])
        await lab.play(1.0)
        assert [report.waiting for _, report in (lab.reports[0], lab.reports[-1])] == [1.0, 9.0]


async def test_everything_is_closed_at_the_end() -> None:
    async with running(3) as lab:
        await lab.play(1.0)
        lab.poller.set_endpoints([endpoint(0)])
    assert all(page.is_closed for page in lab.pages)


async def test_a_fault_of_ours_ends_the_run_instead_of_going_unnoticed() -> None:
    def faulty(page: bytes) -> LoadReport:
        raise KeyError(page)

    lab = Lab(lambda _endpoint: faulty)
    lab.poller.set_endpoints([endpoint(0), endpoint(1)])
    task = asyncio.create_task(lab.poller.run())
    await lab.clock.advance(1.0)
    with pytest.raises(KeyError):
        await task
    assert [page.is_closed for page in lab.pages] == [True, True]


def _grid(start: float, seconds: float) -> list[float]:
    return [start + step * 0.08 for step in range(round(seconds / 0.08))]
