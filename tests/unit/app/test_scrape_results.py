"""Scrapes reach the roster; failures are counted by kind, and only unreachable endpoints cool down."""

from epp.app.scrape_results import ScrapeResults
from epp.core.domain.ports import LoadReport
from tests.support.metrics_page import ParsedPage
from tests.support.routed_requests import endpoint
from tests.support.watched_pool import WatchedPool


def failures(pool: WatchedPool) -> dict[str, float | None]:
    content, _ = pool.catalogue.prepare("")()
    page = ParsedPage(content)
    return {kind: page.value("epp_scrape_failures_total", {"kind": kind}) for kind in ("unreachable", "answer")}


def test_a_report_is_stored() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0))
    told: list[bool] = []
    results = ScrapeResults(pool.roster, pool.sink, lambda: told.append(True))
    results.load_reported(endpoint(0), LoadReport(waiting=4))
    (row,) = pool.reader.read().rows()
    assert (row.waiting, row.stale) == (4, False)
    assert told == [True], "who waits for room may go now"


def test_failures_are_counted_by_kind() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0), endpoint(1))
    results = ScrapeResults(pool.roster, pool.sink, lambda: None)
    for _ in range(2):
        results.scrape_failed(endpoint(0), local_origin=True)
    results.scrape_failed(endpoint(1), local_origin=False)

    assert failures(pool) == {"unreachable": 2, "answer": 1}
    assert pool.reader.read().cooling.tolist() == [True, False]
