"""500 requests, three priorities, four tenants: the order and the shares are as configured."""

from collections import Counter
from random import Random

import pytest

from epp.core.config.flow_parameters import PriorityHoldbackParameters
from epp.core.flow.band import BandLimits, FairnessPolicy
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.settings import BandSettings, FlowSettings
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldback
from tests.support.flow_pool import FlowPool, flow_item

PRIORITIES = (10, 0, -10)
TENANTS = {"hog": 0.7, "a": 0.1, "b": 0.1, "c": 0.1}
"""tenant -> its part of the traffic"""


def burst(fairness: type[FairnessPolicy]) -> FlowPool:
    """500 requests reach a pool of 8 busy places within one second."""
    pool = FlowPool(
        places=8, settings=FlowSettings(default_band=_band(fairness), default_negative_band=_band(fairness))
    )
    pool.fill()
    rng = Random(11)
    for number in range(500):
        tenant = rng.choices(list(TENANTS), list(TENANTS.values()))[0]
        pool.offer(f"{number}/{tenant}", rng.choice(PRIORITIES), tenant)
        pool.now += 0.002
    return pool


def _band(fairness: type[FairnessPolicy]) -> BandSettings:
    return BandSettings(new_fairness=fairness)


def served(pool: FlowPool) -> list[tuple[int, int, str]]:
    """(priority, number, tenant) in the order of service."""
    order = []
    for name in pool.granted.split():
        number, tenant = name.split("/")
        order.append((pool.items[name].key.priority, int(number), tenant))
    return order


@pytest.mark.parametrize("fairness", [GlobalStrictFairness, RoundRobinFairness])
def test_every_request_goes_once_and_bands_go_in_order(fairness: type[FairnessPolicy]) -> None:
    pool = burst(fairness)
    pool.finish_all()
    order = served(pool)
    assert sorted(number for _, number, _ in order) == list(range(500))
    assert [priority for priority, _, _ in order] == sorted((priority for priority, _, _ in order), reverse=True)
    for priority in PRIORITIES:
        for tenant in TENANTS:
            mine = [number for its, number, whose in order if (its, whose) == (priority, tenant)]
            assert mine == sorted(mine), "each flow in the order of arrival"
    assert (len(pool.flow), pool.flow.body_bytes) == (0, 0)


def test_first_come_first_served_over_all_tenants() -> None:
    pool = burst(GlobalStrictFairness)
    pool.finish_all()
    for priority in PRIORITIES:
        numbers = [number for its, number, _ in served(pool) if its == priority]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("priority", PRIORITIES)
def test_tenants_take_turns_whatever_they_send(priority: int) -> None:
    pool = burst(RoundRobinFairness)
    pool.finish_all()
    turns = [tenant for its, _, tenant in served(pool) if its == priority]
    sent = Counter(turns)
    fewest = min(sent.values())
    while_all_wait = Counter(turns[: 4 * fewest])
    assert set(while_all_wait.values()) == {fewest}, "equal shares as long as everybody has something to send"
    assert sent["hog"] > 3 * fewest
    assert set(turns[-(sent["hog"] - max(sent[tenant] for tenant in "abc")) :]) == {"hog"}


def test_holdback_leaves_room_for_the_top_at_every_moment() -> None:
    """A steady flood of batch work; now and then something urgent, which never waits."""
    limits = PriorityHoldback(PriorityHoldbackParameters(min_ceiling=0.5))
    settings = FlowSettings(bands={priority: BandSettings() for priority in PRIORITIES})
    pool = FlowPool(places=20, settings=settings, usage_limits=limits)
    for number in range(200):
        pool.offer(f"{number}/batch", -10, "batch")
    assert len(pool.running) == 10
    for number in range(200, 220):
        pool.offer(f"{number}/urgent", 10, "urgent")
        assert f"{number}/urgent" in pool.running
        pool.finish()
        pool.finish()
        batch = sum(item.key.priority == -10 for item in pool.running.values())
        assert batch <= 10
    pool.finish_all()
    assert len(served(pool)) == 190


def test_scale_from_zero() -> None:
    """Requests come before the first pod; the pod comes; nobody is lost, and those out of patience know it."""
    pool = FlowPool(places=3, settings=FlowSettings(no_endpoint_ttl_s=300.0))
    pool.has_endpoints = False
    for number in range(6):
        assert pool.offer(f"{number}/t") is not None
    pool.offer("impatient", ttl_ms=20_000)
    pool.advance(20.0)
    assert pool.log == ["-impatient EvictedNoEndpoints"]
    pool.advance(100.0)
    pool.has_endpoints = True
    pool.advance()
    assert len(pool.running) == 3
    pool.finish_all()
    assert pool.granted == "0/t 1/t 2/t 3/t 4/t 5/t"


def test_ten_thousand_wait_without_a_scan() -> None:
    """With scans this would take minutes; it takes less than a second."""
    band = BandSettings(limits=BandLimits(max_bytes=0, max_requests=0), new_fairness=RoundRobinFairness)
    pool = FlowPool(places=1, settings=FlowSettings(default_band=band))
    pool.fill()
    items = [flow_item(f"r{number}", tenant=f"t{number % 50}") for number in range(10_000)]
    for item in items:
        pool.flow.offer(item, 0.0)
    for item in items[::2]:
        assert pool.flow.withdraw(item, 0.0) is not None
    assert len(pool.flow) == 5_000
    pool.places = 10_000
    assert len(pool.flow.advance(1.0)) == 5_000
    assert (len(pool.flow), pool.flow.body_bytes) == (0, 0)
