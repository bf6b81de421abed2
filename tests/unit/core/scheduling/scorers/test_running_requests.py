import pytest

from epp.core.scheduling.scorers.running_requests import RunningRequestsScorer
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("running", "scores"),
    [((0, 0), [1.0, 1.0]), ((0, 8), [1.0, 0.0]), ((12, 4), [0.0, 1.0]), ((2, 6, 4), [1.0, 0.0, 0.5])],
)
def test_formula(running: tuple[int, ...], scores: list[float]) -> None:
    pool = SmallPool(len(running))
    for number, batch in enumerate(running):
        pool.report(number, running=batch, waiting=99)
    assert RunningRequestsScorer().score(pool.cycle(), pool.candidates).tolist() == scores
