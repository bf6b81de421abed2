import pytest

from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.scheduling.scorers.scraped_signal import ScrapedSignalParameters
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("waiting", "scores"),
    [
        ((0, 0, 0), [1.0, 1.0, 1.0]),
        ((0, 5, 10), [1.0, 0.5, 0.0]),
        ((10, 2, 6), [0.0, 1.0, 0.5]),
        ((3, 7, 7), [1.0, 0.0, 0.0]),
    ],
)
def test_formula(waiting: tuple[int, ...], scores: list[float]) -> None:
    pool = SmallPool(3)
    for number, queue in enumerate(waiting):
        pool.report(number, waiting=queue, running=99, kv_usage=0.5)
    assert QueueScorer().score(pool.cycle(), pool.candidates).tolist() == scores


def test_only_the_candidates_are_compared() -> None:
    pool = SmallPool(3)
    for number, queue in enumerate((0, 5, 10)):
        pool.report(number, waiting=queue)
    assert QueueScorer().score(pool.cycle(), pool.candidates.keep([2, 1])).tolist() == [0.0, 1.0]


def test_a_silent_endpoint_is_last() -> None:
    pool = SmallPool(3)
    pool.report(0, waiting=0)
    pool.now += 10.0
    pool.report(1, waiting=4)
    pool.report(2, waiting=0)
    assert QueueScorer().score(pool.cycle(), pool.candidates).tolist() == [0.0, 0.2, 1.0]


@pytest.mark.parametrize(("corrects", "scores"), [(True, [0.0, 1.0]), (False, [1.0, 0.0])])
def test_what_was_sent_since_the_scrape_counts_unless_it_shall_not(corrects: bool, scores: list[float]) -> None:
    pool = SmallPool(2)
    pool.report(0, waiting=0)
    pool.report(1, waiting=2)
    pool.hold(0, 5)
    scorer = QueueScorer(ScrapedSignalParameters(inflight_correction=corrects))
    assert scorer.score(pool.cycle(), pool.candidates).tolist() == scores
