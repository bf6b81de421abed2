from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from epp.core.domain.endpoint import Endpoint
from epp.edge.observe.self_check import LASTING, WINDOW, Finding, Observation, SelfCheck
from epp.edge.observe.sink import RequestTotals
from tests.support.routed_requests import endpoint
from tests.support.watched_pool import WatchedPool

FIRST, SECOND = endpoint(0), endpoint(1)


class Watch:
    """A healthy pool of two, checked every five seconds; every endpoint is scraped before."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self.pool = WatchedPool()
        self.endpoints = endpoints or (FIRST, SECOND)
        self.pool.contains(*self.endpoints)
        self.silent: tuple[Endpoint, ...] = ()
        self.load: dict[str, float] = {}
        self.totals = RequestTotals()
        self.streams_open: int | None = None
        self.object_problems = 0
        self.check = SelfCheck(self._observe, structlog.get_logger())

    def _observe(self) -> Observation:
        return Observation(self.pool.reader.read(), self.totals, self.streams_open, self.object_problems)

    def run(self, times: int = 1) -> list[Finding]:
        """The findings of the last of so many checks."""
        findings: list[Finding] = []
        for _ in range(times):
            self.pool.clock.now += 5.0
            for one in self.endpoints:
                if one not in self.silent:
                    self.pool.scraped(one, running=self.load.get(one.name, 0.0))
            findings = self.check.run()
        return findings

    def checks(self, times: int = 1) -> list[str]:
        """Only their names."""
        return [finding.check for finding in self.run(times)]


def test_a_healthy_pool_has_no_findings() -> None:
    watch = Watch()
    watch.streams_open = 4
    watch.pool.busy(FIRST, 4)
    watch.load = {FIRST.name: 4.0}
    watch.totals = RequestTotals(routed=100, finished=96, served_reported=96, served_not_picked=1)

    assert watch.run(WINDOW) == []


def test_a_pool_that_nobody_knows() -> None:
    watch = Watch()
    watch.endpoints = ()
    watch.pool.contains(pool=None)

    assert watch.checks() == ["no-pool"]


def test_a_pool_without_endpoints() -> None:
    watch = Watch()
    watch.endpoints = ()
    watch.pool.contains()

    (finding,) = watch.run()
    assert (finding.check, finding.severity, finding.where) == ("no-endpoints", "error", "pool vllm-pool")


def test_stale_metrics_of_some_and_of_all() -> None:
    watch = Watch()
    watch.silent = (SECOND,)
    (some,) = watch.run()
    watch.silent = (FIRST, SECOND)
    (everybody,) = watch.run()

    assert (some.check, some.severity, some.where) == ("stale-metrics", "warning", "vllm-1-rank-0")
    assert (everybody.check, everybody.severity) == ("no-fresh-metrics", "error")
    assert everybody.where == "vllm-0-rank-0, vllm-1-rank-0"


def test_cooling_endpoints() -> None:
    watch = Watch()
    watch.pool.clock.now += 5.0
    watch.pool.unreachable([SECOND])
    watch.pool.clock.now -= 5.0

    (finding,) = watch.run()
    assert (finding.check, finding.where) == ("cooling-endpoints", "vllm-1-rank-0")


def test_objects_that_cannot_be_used() -> None:
    watch = Watch()
    watch.object_problems = 2

    (finding,) = watch.run()
    assert (finding.check, finding.what[:9]) == ("object-problems", "2 objects")


def test_responses_that_the_picker_did_not_route_count_within_the_window() -> None:
    watch = Watch()
    watch.totals = RequestTotals(bypassed=3)
    assert watch.checks() == [], "before the first look they are history"

    watch.totals = RequestTotals(bypassed=5)
    (finding,) = watch.run()
    assert (finding.check, finding.what[:11]) == ("bypassed", "2 responses")

    assert watch.checks(WINDOW - 2) == ["bypassed"]
    assert watch.checks() == [], "and after a minute of quiet they are history again"


def test_a_gateway_that_does_not_say_who_served() -> None:
    watch = Watch()
    watch.run()
    watch.totals = RequestTotals(finished=19)
    assert watch.checks() == []
    watch.totals = RequestTotals(finished=20)
    assert watch.checks() == ["served-unknown"]
    watch.totals = RequestTotals(finished=21, served_reported=1)
    assert watch.checks() == []


@pytest.mark.parametrize(("elsewhere", "expected"), [(5, []), (6, ["served-elsewhere"])])
def test_too_many_requests_served_elsewhere(elsewhere: int, expected: list[str]) -> None:
    watch = Watch()
    watch.run()
    watch.totals = RequestTotals(finished=100, served_reported=100, served_not_picked=elsewhere)

    assert watch.checks() == expected


def test_load_that_is_not_ours_must_last() -> None:
    watch = Watch()
    watch.load = {SECOND.name: 30.0}
    assert watch.checks(LASTING - 1) == []

    (finding,) = watch.run()
    assert (finding.check, finding.where) == ("foreign-load", "vllm-1-rank-0")


def test_a_burst_is_not_foreign_load() -> None:
    watch = Watch()
    watch.load = {SECOND.name: 30.0}
    watch.run(LASTING - 1)
    watch.load = {SECOND.name: 5.0}

    assert watch.checks() == []
    watch.load = {SECOND.name: 30.0}
    assert watch.checks() == []


@pytest.mark.parametrize(("reported", "expected"), [(100.0, []), (70.0, ["drift"])])
def test_books_that_hold_more_than_the_server_drift(reported: float, expected: list[str]) -> None:
    watch = Watch()
    watch.pool.busy(FIRST, 100)
    watch.load = {FIRST.name: reported}

    assert watch.checks(LASTING) == expected


def test_stale_numbers_prove_nothing_about_load() -> None:
    watch = Watch()
    watch.load = {SECOND.name: 30.0}
    watch.run(LASTING - 1)
    watch.silent = (SECOND,)

    assert watch.checks() == ["stale-metrics"]


def test_more_reservations_than_streams_are_a_leak_when_it_lasts() -> None:
    watch = Watch()
    watch.pool.busy(FIRST, 3)
    watch.load = {FIRST.name: 3.0}
    watch.streams_open = 2

    assert watch.checks(LASTING - 1) == []
    assert watch.checks() == ["leaked-reservations"]
    watch.streams_open = 3
    assert watch.checks() == []


@pytest.mark.parametrize(("streams", "found"), [(3, []), (2, ["leaked-reservations"])])
def test_a_request_may_hold_a_place_for_each_of_its_stages(streams: int, found: list[str]) -> None:
    watch = Watch()
    ledger = watch.pool.ledger
    for _ in range(3):
        ledger.reserve(0, 1)
        ledger.reserve(1, 1, is_further=True)
    watch.load = {FIRST.name: 3.0, SECOND.name: 3.0}
    watch.streams_open = streams

    assert watch.checks(LASTING) == found


def test_places_of_stages_whose_requests_are_gone_are_a_leak() -> None:
    watch = Watch()
    for _ in range(5):
        watch.pool.ledger.reserve(0, 1, is_further=True)
    watch.load = {FIRST.name: 5.0}
    watch.streams_open = 2

    assert watch.checks(LASTING) == ["leaked-reservations"]


def test_many_endpoints_are_named_in_short() -> None:
    watch = Watch(*(endpoint(number) for number in range(9)))
    watch.silent = watch.endpoints[1:]

    (finding,) = watch.run()
    assert finding.where.endswith("vllm-5-rank-0 and 3 more")


def logged(step: Callable[[], object]) -> list[tuple[str, object]]:
    with capture_logs() as lines:
        step()
    return [(line["log_level"], line["check"]) for line in lines]


def test_findings_are_logged_when_they_appear_and_when_they_go() -> None:
    watch = Watch()
    assert logged(watch.run) == []
    watch.silent = (SECOND,)
    assert logged(watch.run) == [("warning", "stale-metrics")]
    assert logged(watch.run) == []
    watch.silent = ()
    assert logged(watch.run) == [("info", "stale-metrics")]


def test_whoever_asks_first_gets_a_check() -> None:
    watch = Watch()
    watch.object_problems = 1

    assert [finding.check for finding in watch.check.findings] == ["no-fresh-metrics", "object-problems"]
    watch.object_problems = 0
    assert len(watch.check.findings) == 2, "later ones get what the timer found"
