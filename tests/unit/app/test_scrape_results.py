"""Scrapes reach the roster; failures are counted by kind, and only unreachable endpoints cool down."""

from epp.app.scrape_results import ScrapeResults, attention
from epp.core.domain.ports import LoadReport
from epp.edge.scrape.period import Attention
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


def test_a_pod_that_shows_more_than_our_own_requests_is_watched_closely() -> None:
    pool = WatchedPool()
    pool.contains(endpoint(0))
    results = ScrapeResults(pool.roster, pool.sink, lambda: None)

    def watched_after(report: LoadReport) -> Attention:
        results.load_reported(endpoint(0), report)
        return attention(pool.roster, endpoint(0))

    assert watched_after(LoadReport(waiting=0, running=3, kv_usage=0.1)) is Attention.IDLE, "nothing of ours is there"
    slot = pool.roster.slot_of(endpoint(0))
    assert slot is not None
    for _ in range(3):
        pool.ledger.reserve(slot, 10)
    assert watched_after(LoadReport(waiting=0, running=3, kv_usage=0.1)) is Attention.CALM
    assert watched_after(LoadReport(waiting=0, running=4, kv_usage=0.1)) is Attention.BUSY
    assert watched_after(LoadReport(waiting=1, running=2, kv_usage=0.1)) is Attention.BUSY
    assert watched_after(LoadReport(waiting=0, running=3, kv_usage=0.5)) is Attention.BUSY
    assert watched_after(LoadReport(waiting=0, running=3, kv_usage=float("nan"))) is Attention.BUSY
    assert attention(pool.roster, endpoint(1)) is Attention.IDLE, "it is not of the pool"
