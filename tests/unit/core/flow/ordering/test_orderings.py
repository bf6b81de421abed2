"""Ordering policies: the order in which one flow is served."""

import pytest

from epp.core.flow.band import OrderingPolicy
from epp.core.flow.ordering.edf import EdfOrdering
from epp.core.flow.ordering.fcfs import FcfsOrdering
from epp.core.flow.ordering.slo_deadline import SloDeadlineOrdering
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.flow_pool import FlowPool


@pytest.mark.parametrize(
    ("ordering", "default_ttl_s", "order"),
    [
        (FcfsOrdering(), 60.0, "a b c d e f"),
        # deadlines: a 60, b 5, c 62, d 6, e 64, f 6 (and came after d)
        (EdfOrdering(), 60.0, "b d f a c e"),
        (EdfOrdering(), 0.0, "b d f a c e"),
        # first token wanted: a -, b -, c 3, d -, e 4.5, f 5.1
        (SloDeadlineOrdering(), 60.0, "c e f a b d"),
    ],
)
def test_the_order_of_a_flow(ordering: OrderingPolicy, default_ttl_s: float, order: str) -> None:
    settings = FlowSettings(default_band=BandSettings(ordering=ordering), default_ttl_s=default_ttl_s)
    pool = FlowPool(places=1, settings=settings)
    pool.fill()
    pool.offer("a")
    pool.now = 1.0
    pool.offer("b", ttl_ms=4000)
    pool.now = 2.0
    pool.offer("c", slo_ms=1000)
    pool.now = 3.0
    pool.offer("d", ttl_ms=3000)
    pool.now = 4.0
    pool.offer("e", slo_ms=500)
    pool.now = 4.5
    pool.offer("f", ttl_ms=1500, slo_ms=600)
    pool.finish_all()
    assert pool.granted == order
