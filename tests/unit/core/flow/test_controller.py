"""Flow control rule by rule: who goes at once, who waits, who goes next."""

import pytest

from epp.core.config.flow_parameters import PriorityHoldbackParameters, StaticUsageLimitParameters
from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason, InternalError, Refusal, ResourceExhausted, ServiceUnavailable
from epp.core.flow.band import BandLimits
from epp.core.flow.events import Evicted, FlowOutcome, Granted
from epp.core.flow.settings import BandSettings, FlowSettings
from epp.core.flow.statistics import Blocked
from epp.core.flow.ticket import QueueTicket, Ticket
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldback
from epp.core.flow.usage_limits.soft_reflective_ceiling import SoftReflectiveCeiling
from epp.core.flow.usage_limits.static import StaticUsageLimit
from tests.support.flow_pool import DECISION, EVERYBODY, FlowPool


class OnlyBand:
    """Ceilings by priority, 1.0 for the others; unlike the built-in policies not falling from band to band."""

    alternates = False

    def __init__(self, ceilings: dict[int, float]) -> None:
        self._ceilings = ceilings

    def ceilings(self, saturation: float, priorities: tuple[int, ...]) -> list[float]:
        return [self._ceilings.get(priority, 1.0) for priority in priorities]


def test_with_room_a_request_goes_at_once() -> None:
    pool = FlowPool(places=2)
    assert pool.offer("a") is DECISION
    assert pool.offer("b", priority=-5) is DECISION
    assert isinstance(pool.offer("c"), Ticket)
    assert len(pool.flow) == 1


def test_a_release_lets_the_next_one_go_and_nobody_else() -> None:
    pool = FlowPool(places=2)
    pool.fill()
    pool.queue("a b c")
    events = pool.finish()
    assert [type(event) for event in events] == [Granted]
    assert pool.granted == "a"
    assert not pool.tickets["a"].is_open


def test_as_many_go_as_fit() -> None:
    pool = FlowPool(places=4)
    pool.fill()
    pool.queue("a b c d e")
    pool.running.clear()
    assert len(pool.advance()) == 4
    assert pool.granted == "a b c d"


def test_grants_in_portions() -> None:
    pool = FlowPool(places=4)
    pool.fill()
    pool.queue("a b c")
    pool.running.clear()
    assert len(pool.flow.advance(0.0, most_grants=2)) == 2
    assert pool.flow.next_deadline() == 0.0
    assert len(pool.flow.advance(0.0, most_grants=2)) == 1
    assert pool.flow.next_deadline() is None


def test_bands_go_strictly_from_the_top() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("low1 low2", priority=-1)
    pool.queue("mid1 mid2", priority=0)
    pool.queue("high1", priority=9)
    pool.finish()
    pool.queue("high2", priority=9)
    pool.finish_all()
    assert pool.granted == "high1 high2 mid1 mid2 low1 low2"


def test_nobody_overtakes_those_who_wait() -> None:
    """Saturation fell, and the next offer comes before anybody has advanced."""
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a")
    pool.running.clear()
    assert isinstance(pool.offer("b"), Ticket)
    assert isinstance(pool.offer("lower", priority=-1), Ticket)
    assert pool.flow.next_deadline() == pool.now, "it is time to advance"
    assert pool.offer("higher", priority=1) is DECISION
    pool.finish_all()
    assert pool.granted == "a b lower"


def test_a_band_at_its_ceiling_waits_although_there_are_places() -> None:
    pool = FlowPool(places=10, usage_limits=StaticUsageLimit(StaticUsageLimitParameters(threshold=0.5)))
    for number in range(5):
        assert pool.offer(f"r{number}") is DECISION
    assert isinstance(pool.offer("r5"), Ticket)
    assert pool.flow.blocked == Blocked(0, 0.5, 0.5)


def test_holdback_keeps_room_for_what_matters_more() -> None:
    pool = FlowPool(
        places=10, usage_limits=PriorityHoldback(PriorityHoldbackParameters(min_ceiling=0.2)), settings=FlowSettings()
    )
    pool.flow.keep_bands([-10, 10], 0.0)
    went = {-10: 0, 0: 0, 10: 0}
    for priority in (-10, 0, 10):
        for number in range(10):
            went[priority] += isinstance(pool.offer(f"r{priority}.{number}", priority), Decision)
    assert went == {-10: 2, 0: 4, 10: 4}, "ceilings are 0.2, 0.6 and 1.0"


def test_a_band_at_its_own_ceiling_does_not_hold_up_the_others() -> None:
    pool = FlowPool(places=10, usage_limits=OnlyBand({5: 0.3}))
    for number in range(3):
        pool.offer(f"r{number}")
    pool.queue("top", priority=5)
    assert pool.offer("below") is DECISION, "the reference would let it wait"
    assert pool.flow.blocked == Blocked(5, 0.3, 0.3)
    del pool.running["r0"], pool.running["r1"]
    pool.finish("r2")
    assert pool.granted == "top"


def test_a_lower_band_does_not_pass_a_higher_one_that_may_go() -> None:
    pool = FlowPool(places=10, usage_limits=OnlyBand({5: 0.3}))
    for number in range(3):
        pool.offer(f"r{number}")
    pool.queue("top", priority=5)
    pool.running.clear()
    assert isinstance(pool.offer("below"), Ticket)
    pool.advance()
    assert pool.granted == "top below"


def test_soft_ceilings_are_asked_again() -> None:
    pool = FlowPool(places=4, usage_limits=SoftReflectiveCeiling())
    for number in range(3):
        pool.offer(f"r{number}", priority=1)
    pool.queue("low", priority=0)
    asks = 0
    while not pool.granted and asks < 3:
        assert pool.flow.next_deadline() == pytest.approx(pool.now + 0.005)
        pool.advance(0.005)
        asks += 1
    assert pool.granted == "low", "one opportunity of three at saturation 0.75"
    assert pool.flow.next_deadline() is None


def test_an_empty_pool_holds_everybody() -> None:
    pool = FlowPool(places=8)
    pool.has_endpoints = False
    pool.queue("a b")
    assert pool.advance(1.0) == []
    assert pool.flow.blocked is None, "nothing could be evicted for them"
    pool.has_endpoints = True
    pool.advance(1.0)
    assert pool.granted == "a b"


def test_whoever_goes_away_leaves_at_once() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a b")
    event = pool.flow.withdraw(pool.items["a"], 3.0)
    assert isinstance(event, Evicted)
    assert (event.outcome, event.waited_s) == (FlowOutcome.EVICTED_CONTEXT_CANCELLED, 3.0)
    assert not pool.tickets["a"].is_open
    assert (len(pool.flow), pool.flow.body_bytes) == (1, 1)
    assert pool.flow.withdraw(pool.items["a"], 3.0) is None
    pool.finish_all()
    assert pool.granted == "b"
    assert pool.flow.withdraw(pool.items["b"], 3.0) is None, "it went already"


def test_a_ticket_that_somebody_closed_is_never_granted() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a b")
    pool.tickets["a"].withdraw()
    pool.finish()
    assert pool.log == ["-a EvictedContextCancelled", "+b"]


def test_a_withdrawn_request_no_longer_blocks() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a", priority=2)
    assert pool.flow.blocked == Blocked(2, 1.0, 1.0)
    pool.flow.withdraw(pool.items["a"], 0.0)
    assert pool.flow.blocked is None


def test_scheduling_refuses_one_request_and_the_next_one_goes() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.faults["a"] = ResourceExhausted("no endpoint has the adapter")
    pool.queue("a b")
    events = pool.finish()
    assert pool.log == ["-a EvictedOther", "+b"]
    assert events[0].answer is pool.faults["a"]


def test_a_fault_in_scheduling_is_the_end_of_one_request_only() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.faults["a"] = KeyError("plugin")
    pool.queue("a b")
    events = pool.finish()
    assert pool.log == ["-a EvictedOther", "+b"]
    assert isinstance(events[0].answer, InternalError)
    assert events[0].answer.__cause__ is pool.faults["a"]
    assert events[0].answer.hint == "a scheduling plugin raised an error", "clients learn nothing of our insides"


def test_a_request_that_need_not_wait_gets_what_scheduling_raises() -> None:
    pool = FlowPool(places=1)
    pool.faults = {"a": ResourceExhausted("nobody"), "b": KeyError("plugin")}
    with pytest.raises(Refusal, match="nobody"):
        pool.offer("a")
    with pytest.raises(KeyError):
        pool.offer("b")
    assert pool.offer("c") is DECISION
    assert len(pool.flow) == 0


def test_a_request_is_offered_once() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a")
    with pytest.raises(ValueError, match="request a waits already"):
        pool.flow.offer(pool.items["a"], 0.0)


def test_statistics() -> None:
    pool = FlowPool(places=1)
    pool.offer("running")
    pool.offer("a", tenant="x", body_bytes=10)
    pool.offer("b", tenant="x", body_bytes=20)
    pool.offer("c", priority=-1, body_bytes=5)
    zero, below = pool.flow.statistics()
    assert [(band.priority, band.requests, band.body_bytes) for band in (zero, below)] == [(0, 2, 30), (-1, 1, 5)]
    assert [(flow.key.fairness_id, flow.requests, flow.body_bytes) for flow in zero.flows] == [("x", 2, 30)]
    assert zero.outcomes == {FlowOutcome.DISPATCHED: 1}
    pool.finish_all()
    zero, below = pool.flow.statistics()
    assert [(flow.requests, flow.body_bytes) for band in (zero, below) for flow in band.flows] == [(0, 0), (0, 0)]
    assert (zero.outcomes, below.outcomes) == ({FlowOutcome.DISPATCHED: 3}, {FlowOutcome.DISPATCHED: 1})


def test_drain_refuses_who_waits_and_who_would_have_to() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a b", priority=1)
    pool.queue("c")
    pool.note(pool.flow.drain(2.0))
    assert pool.log == ["-a EvictedOther", "-b EvictedOther", "-c EvictedOther"]
    assert (len(pool.flow), pool.flow.body_bytes, pool.flow.next_deadline()) == (0, 0, None)
    with pytest.raises(ServiceUnavailable) as caught:
        pool.offer("d")
    assert caught.value.reason is DroppedReason.SHUTTING_DOWN
    pool.running.clear()
    assert pool.offer("e") is DECISION, "with room nobody is turned away"


def test_a_withdrawn_ticket_may_tell_the_queues() -> None:
    """How the edge is wired: it knows the ticket only."""
    pool = FlowPool(places=1)
    pool.fill()
    ticket = pool.offer("a")
    assert isinstance(ticket, QueueTicket)
    ticket.on_withdraw = lambda: told.append(pool.flow.withdraw(pool.items["a"], 4.0))
    told: list[Evicted | None] = []
    ticket.withdraw()
    assert [event.outcome for event in told if event] == [FlowOutcome.EVICTED_CONTEXT_CANCELLED]
    assert (len(pool.flow), pool.flow.body_bytes) == (0, 0)
    pool.finish()
    assert pool.log == []


def test_other_rules_count_for_those_who_wait_and_refuse_nobody() -> None:
    pool = FlowPool()
    pool.fill()
    pool.queue("a b c")
    strict = FlowSettings(default_band=BandSettings(limits=BandLimits(max_requests=1)), default_ttl_s=5.0)
    pool.flow.reconfigure(strict, EVERYBODY, pool.now)
    assert len(pool.flow) == 3
    with pytest.raises(Refusal, match="rejected by flow control"):
        pool.offer("d")
    pool.finish()
    pool.advance(5.0)
    assert pool.log == ["+a", "-b EvictedTTL", "-c EvictedTTL"]


def test_other_rules_keep_the_order_of_arrival_and_the_time_that_was_waited() -> None:
    pool = FlowPool()
    pool.fill()
    pool.queue("a")
    pool.advance(40.0)
    pool.queue("b")
    pool.flow.reconfigure(FlowSettings(default_ttl_s=50.0), EVERYBODY, pool.now)
    pool.advance(10.0)
    assert pool.log == ["-a EvictedTTL"]
    pool.finish()
    assert pool.log[-1] == "+b"
