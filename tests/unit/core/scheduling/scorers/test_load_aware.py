import pytest

from epp.core.scheduling.scorers.load_aware import LoadAwareParameters, LoadAwareScorer
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("waiting", "threshold", "score"),
    [(0, 128, 0.5), (1, 128, 0.5 * 127 / 128), (64, 128, 0.25), (128, 128, 0.0), (500, 128, 0.0), (2, 4, 0.25)],
)
def test_formula(waiting: int, threshold: int, score: float) -> None:
    pool = SmallPool(2)
    pool.report(0, waiting=0)
    pool.report(1, waiting=waiting)
    scorer = LoadAwareScorer(LoadAwareParameters(threshold=threshold))
    assert scorer.score(pool.cycle(), pool.candidates).tolist() == [0.5, score]


@pytest.mark.parametrize(("waiting", "score"), [(float("nan"), 0.0), (float("inf"), 0.0), (-7.0, 0.5)])
def test_a_queue_that_is_no_number_is_full(waiting: float, score: float) -> None:
    pool = SmallPool(1)
    pool.report(0, waiting=waiting)
    assert LoadAwareScorer(LoadAwareParameters()).score(pool.cycle(), pool.candidates).tolist() == [score]


@pytest.mark.parametrize(("corrects", "score"), [(True, 0.25), (False, 0.5)])
def test_what_was_sent_since_the_scrape_counts_unless_told_otherwise(corrects: bool, score: float) -> None:
    pool = SmallPool(1)
    pool.report(0, waiting=0, running=0)
    pool.hold(0, requests=2)
    scorer = LoadAwareScorer(LoadAwareParameters(threshold=4, inflight_correction=corrects))
    assert scorer.score(pool.cycle(), pool.candidates).tolist() == [score]
