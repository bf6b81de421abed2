from math import isnan

import pytest

from epp.core.config.attributes import BUILT_IN_ATTRIBUTES
from epp.core.domain.ports import ObjectState
from epp.core.scheduling.attributes import read_attribute
from epp.core.state.roster import Roster
from tests.support.small_pool import POOL, SmallPool


def pool_with(*attributes: str, count: int = 2) -> SmallPool:
    """A pool that keeps custom attributes."""
    pool = SmallPool(count)
    pool.roster = Roster(pool.ledger, lambda: pool.now, attributes=attributes)
    pool.roster.objects_changed(ObjectState(POOL, pool.endpoints))
    return pool


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
def test_where_each_comes_from(key: str, value: float) -> None:
    assert key in BUILT_IN_ATTRIBUTES
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


def test_every_built_in_attribute_can_be_read() -> None:
    pool = SmallPool(1)
    pool.report(0, waiting=1, running=1, kv_usage=0.5)
    for key in BUILT_IN_ATTRIBUTES:
        assert not isnan(read_attribute(key, pool.cycle(), pool.candidates)[0])


def test_a_custom_one_is_unknown_until_a_page_has_it_and_keeps_its_value_after() -> None:
    pool = pool_with("depth")
    pool.report(0, waiting=1)
    pool.report(1, waiting=1, attributes=(("depth", -3.0),))
    values = read_attribute("depth", pool.cycle(), pool.candidates)
    assert isnan(values[0])
    assert values[1] == -3.0
    pool.report(1, waiting=1)
    assert read_attribute("depth", pool.cycle(), pool.candidates)[1] == -3.0


def test_a_custom_one_of_a_silent_endpoint_is_unknown() -> None:
    pool = pool_with("depth")
    pool.report(0, attributes=(("depth", 1.0),))
    pool.now += 10.0
    pool.report(1, attributes=(("depth", 2.0),))
    silent, fresh = read_attribute("depth", pool.cycle(), pool.candidates).tolist()
    assert isnan(silent)
    assert fresh == 2.0


def test_one_that_nobody_extracts_is_unknown() -> None:
    pool = pool_with("depth")
    assert all(isnan(value) for value in read_attribute("heat", pool.cycle(), pool.candidates).tolist())
