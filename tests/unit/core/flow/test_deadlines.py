"""How long a request waits: its own deadline, the budget of the pool's state, and the last resort."""

import math

import pytest

from epp.core.domain.errors import DroppedReason, Refusal, ResourceExhausted, ServiceUnavailable
from epp.core.flow.events import Evicted, FlowOutcome
from epp.core.flow.settings import FlowSettings
from epp.core.flow.ticket import Ticket
from tests.support.flow_pool import FlowPool, refusal_of


def full_pool(default_ttl_s: float = 60.0, no_endpoint_ttl_s: float | None = None) -> FlowPool:
    pool = FlowPool(places=1, settings=FlowSettings(default_ttl_s=default_ttl_s, no_endpoint_ttl_s=no_endpoint_ttl_s))
    pool.fill()
    return pool


@pytest.mark.parametrize(
    ("default_ttl_s", "ttl_ms", "expires_at"),
    [(60.0, None, 60.0), (60.0, 5000, 5.0), (60.0, 90_000, 60.0), (0.0, 90_000, 90.0), (0.0, None, None)],
)
def test_the_smaller_budget_wins(default_ttl_s: float, ttl_ms: int | None, expires_at: float | None) -> None:
    pool = full_pool(default_ttl_s)
    pool.offer("a", ttl_ms=ttl_ms)
    assert pool.flow.next_deadline() == expires_at
    if expires_at is None:
        assert pool.advance(1e6) == []
        assert pool.tickets["a"].wait_s == math.inf
        return
    assert pool.advance(math.nextafter(expires_at, 0.0)) == []
    assert [type(event) for event in pool.advance(expires_at - pool.now)] == [Evicted]
    assert expires_at <= pool.tickets["a"].wait_s <= 62.0 or default_ttl_s == 0.0


@pytest.mark.parametrize(
    ("empty", "error", "reason", "outcome"),
    [
        (False, ResourceExhausted, DroppedReason.TTL_EXPIRED, FlowOutcome.EVICTED_TTL),
        (True, ServiceUnavailable, DroppedReason.NO_ENDPOINTS, FlowOutcome.EVICTED_NO_ENDPOINTS),
    ],
)
def test_what_the_client_is_told(
    empty: bool, error: type[Refusal], reason: DroppedReason, outcome: FlowOutcome
) -> None:
    pool = full_pool()
    pool.has_endpoints = not empty
    pool.offer("a")
    (event,) = pool.advance(60.0)
    assert isinstance(event, Evicted)
    assert isinstance(event.refusal, error)
    assert event.refusal.message == "request timed out in queue: waited 60.000 s"
    assert (event.refusal.reason, event.outcome, event.waited_s) == (reason, outcome, 60.0)


def test_at_its_deadline_a_request_is_late_even_if_there_is_room() -> None:
    pool = full_pool()
    pool.queue("a")
    pool.running.clear()
    pool.advance(60.0)
    assert pool.log == ["-a EvictedTTL"]


def test_each_at_its_own_time() -> None:
    pool = full_pool(10.0)
    pool.offer("a")
    pool.now = 1.0
    pool.offer("b", ttl_ms=3000)
    pool.now = 2.0
    pool.offer("c")
    pool.offer("d", ttl_ms=30)
    seen = []
    while (deadline := pool.flow.next_deadline()) is not None:
        seen.append(deadline)
        pool.advance(deadline - pool.now)
    assert seen == [2.03, 4.0, 10.0, 12.0]
    assert [line[1] for line in pool.log] == ["d", "b", "a", "c"]


def test_an_empty_pool_has_a_budget_of_its_own() -> None:
    pool = full_pool(10.0, no_endpoint_ttl_s=300.0)
    pool.has_endpoints = False
    pool.queue("a")
    assert pool.flow.next_deadline() == 300.0
    pool.advance(200.0)
    pool.has_endpoints = True
    assert pool.advance() == []
    assert pool.flow.next_deadline() == 210.0, "a change starts the budget anew"
    pool.advance(10.0)
    assert pool.log == ["-a EvictedTTL"]


def test_a_pool_that_loses_its_endpoints_gives_everybody_the_longer_budget() -> None:
    pool = full_pool(10.0, no_endpoint_ttl_s=300.0)
    pool.queue("a")
    pool.has_endpoints = False
    pool.advance(9.0)
    assert pool.flow.next_deadline() == 302.0, "not later than 2 s after the longest budget"
    assert pool.tickets["a"].wait_s == 302.0


def test_a_pool_that_comes_and_goes_cannot_hold_a_request_for_ever() -> None:
    pool = full_pool(10.0)
    pool.queue("a")
    for _ in range(8):
        pool.has_endpoints = not pool.has_endpoints
        pool.advance(1.5)
    assert pool.log == ["-a EvictedTTL"]
    assert pool.now == 12.0


def test_a_request_without_time_goes_at_once_or_not_at_all() -> None:
    pool = FlowPool(places=1)
    assert not isinstance(pool.offer("a", ttl_ms=0), Ticket)
    refusal = refusal_of(pool, "b", ttl_ms=0)
    assert isinstance(refusal, ResourceExhausted)
    assert refusal.reason is DroppedReason.TTL_EXPIRED
    assert len(pool.flow) == 0


def test_a_request_of_its_own_deadline_that_went_leaves_no_deadline() -> None:
    pool = full_pool(0.0)
    pool.offer("a", ttl_ms=1000)
    pool.offer("b", ttl_ms=2000)
    pool.finish()
    assert pool.flow.next_deadline() == 2.0
    pool.flow.withdraw(pool.items["b"], 0.0)
    assert pool.flow.next_deadline() is None
