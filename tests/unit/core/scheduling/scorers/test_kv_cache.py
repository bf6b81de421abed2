import pytest

from epp.core.scheduling.scorers.kv_cache import KvCacheScorer
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(("usage", "scores"), [((0.0, 1.0), [1.0, 0.0]), ((0.25, 0.75), [0.75, 0.25]), ((0.5,), [0.5])])
def test_formula(usage: tuple[float, ...], scores: list[float]) -> None:
    pool = SmallPool(len(usage))
    for number, fraction in enumerate(usage):
        pool.report(number, kv_usage=fraction)
    assert KvCacheScorer().score(pool.cycle(), pool.candidates).tolist() == scores


def test_a_silent_endpoint_is_not_better_than_a_full_one() -> None:
    pool = SmallPool(2)
    pool.report(0, kv_usage=0.0)
    pool.now += 10.0
    pool.report(1, kv_usage=1.0)
    silent, full = KvCacheScorer().score(pool.cycle(), pool.candidates).tolist()
    assert silent <= full == 0.0
