import pytest

from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("counts", "parameters", "scores"),
    [
        ((0, 0), ActiveRequestParameters(), [1.0, 1.0]),
        ((0, 4), ActiveRequestParameters(), [1.0, 0.0]),
        ((1, 2, 4), ActiveRequestParameters(), [0.75, 0.5, 0.0]),
        ((1, 2, 4), ActiveRequestParameters(idle_threshold=1), [1.0, 0.5, 0.0]),
        ((1, 2, 4), ActiveRequestParameters(max_busy_score=0.5), [0.375, 0.25, 0.0]),
        ((3, 2), ActiveRequestParameters(idle_threshold=3), [1.0, 1.0]),
    ],
)
def test_formula(counts: tuple[int, ...], parameters: ActiveRequestParameters, scores: list[float]) -> None:
    pool = SmallPool(len(counts))
    for number, count in enumerate(counts):
        pool.hold(number, count)
    assert ActiveRequestScorer(parameters).score(pool.cycle(), pool.candidates).tolist() == scores


def test_it_needs_no_scraping() -> None:
    pool = SmallPool(2)
    pool.hold(0)
    pool.now += 1e6
    assert ActiveRequestScorer(ActiveRequestParameters()).score(pool.cycle(), pool.candidates).tolist() == [0.0, 1.0]
