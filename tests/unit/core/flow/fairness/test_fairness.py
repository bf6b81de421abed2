"""Fairness policies: which tenant of a band goes next."""

import pytest

from epp.core.flow.band import FairnessPolicy
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.ordering.slo_deadline import SloDeadlineOrdering
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.flow_pool import FlowPool


def pool_with(fairness: type[FairnessPolicy]) -> FlowPool:
    pool = FlowPool(settings=FlowSettings(default_band=BandSettings(new_fairness=fairness)))
    pool.fill()
    return pool


@pytest.mark.parametrize(
    ("fairness", "order"),
    [
        (GlobalStrictFairness, "a1 a2 a3 b1 b2 c1"),
        (RoundRobinFairness, "a1 b1 c1 a2 b2 a3"),
    ],
)
def test_a_burst_of_one_tenant(fairness: type[FairnessPolicy], order: str) -> None:
    pool = pool_with(fairness)
    pool.queue("a1 a2 a3", tenant="a")
    pool.queue("b1 b2", tenant="b")
    pool.queue("c1", tenant="c")
    pool.finish_all()
    assert pool.granted == order


def test_global_strict_compares_heads_by_the_ordering_policy() -> None:
    band = BandSettings(ordering=SloDeadlineOrdering())
    pool = FlowPool(settings=FlowSettings(default_band=band))
    pool.fill()
    pool.offer("a1", tenant="a", slo_ms=900)
    pool.offer("a2", tenant="a", slo_ms=100)
    pool.offer("b1", tenant="b", slo_ms=500)
    pool.offer("b2", tenant="b")
    pool.finish_all()
    assert pool.granted == "a2 b1 a1 b2"


def test_a_tenant_that_comes_back_joins_the_end_of_the_round() -> None:
    pool = pool_with(RoundRobinFairness)
    pool.queue("a1", tenant="a")
    pool.queue("b1 b2 b3", tenant="b")
    pool.queue("c1 c2", tenant="c")
    pool.finish()
    pool.queue("a2", tenant="a")
    pool.finish_all()
    assert pool.granted == "a1 b1 c1 a2 b2 c2 b3"


@pytest.mark.parametrize("fairness", [GlobalStrictFairness, RoundRobinFairness])
def test_a_withdrawn_head_makes_room_for_the_next(fairness: type[FairnessPolicy]) -> None:
    pool = pool_with(fairness)
    pool.queue("a1 a2", tenant="a")
    pool.queue("b1", tenant="b")
    pool.flow.withdraw(pool.items["a1"], pool.now)
    pool.flow.withdraw(pool.items["b1"], pool.now)
    pool.finish_all()
    assert pool.granted == "a2"
