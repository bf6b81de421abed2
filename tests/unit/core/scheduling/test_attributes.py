from math import isnan

import pytest

from epp.core.scheduling.attributes import AttributeKey, read_attribute
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("WaitingQueueSize", 3.0),
        ("RunningRequestsSize", 5.0),
        ("KVCacheUsage", 0.25),
        ("InFlightRequests", 2.0),
        ("InFlightTokens", 70.0),
    ],
)
def test_where_each_comes_from(key: AttributeKey, value: float) -> None:
    pool = SmallPool(2)
    pool.report(0, waiting=3, running=5, kv_usage=0.25)
    for tokens in (30, 40):
        pool.ledger.reserve(pool.slot(0), tokens)
    assert read_attribute(key, pool.cycle(), pool.candidates.keep([0])).tolist() == [value]


def test_a_scraped_one_is_unknown_until_the_first_scrape_and_our_own_never() -> None:
    pool = SmallPool(1)
    assert isnan(read_attribute("KVCacheUsage", pool.cycle(), pool.candidates)[0])
    assert read_attribute("InFlightRequests", pool.cycle(), pool.candidates).tolist() == [0.0]


def test_silence_makes_it_unknown_but_not_for_all_at_once() -> None:
    pool = SmallPool(2)
    pool.report(0, waiting=1)
    pool.now += 10.0
    pool.report(1, waiting=2)
    silent, fresh = read_attribute("WaitingQueueSize", pool.cycle(), pool.candidates).tolist()
    assert isnan(silent)
    assert fresh == 2.0
    pool.now += 10.0
    assert read_attribute("WaitingQueueSize", pool.cycle(), pool.candidates).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_finite_number_is_unknown(value: float) -> None:
    pool = SmallPool(1)
    pool.report(0, waiting=value)
    assert isnan(read_attribute("WaitingQueueSize", pool.cycle(), pool.candidates)[0])
