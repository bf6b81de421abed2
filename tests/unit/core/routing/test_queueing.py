"""The router behind flow control: who goes, waits, is refused or broken off, and that every place comes back."""

import numpy as np
import pytest

from epp.core.config.flow_parameters import ProgramAwareParameters, StaticUsageLimitParameters
from epp.core.domain.errors import DroppedReason, InternalError, ServiceUnavailable
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.ports import TokenUsage
from epp.core.flow.band import BandLimits
from epp.core.flow.build import FlowPolicy
from epp.core.flow.events import FlowOutcome
from epp.core.flow.eviction import EvictionSettings
from epp.core.flow.fairness.program_aware import ProgramAwareFairness, ServiceBook
from epp.core.flow.settings import BandSettings, FlowSettings
from epp.core.flow.usage_limits.static import StaticUsageLimit
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn
from tests.support.queueing_pool import EVERYBODY, QueueingPool


def evicting(*, spare_begun: bool = True) -> FlowPolicy:
    settings = EvictionSettings(settle_s=0.01, spare_begun=spare_begun)
    return FlowPolicy(FlowSettings(), EVERYBODY, (), settings)


def test_a_request_goes_at_once_while_there_is_room_and_waits_otherwise() -> None:
    pool = QueueingPool(endpoints=2, each=1)
    for name in "abc":
        pool.ask(name)
    assert (pool.running, list(pool.tickets)) == (["a", "b"], ["c"])
    assert pool.ledger.open_count == 2
    pool.now += 3.0
    pool.end("a")
    assert (pool.running, list(pool.tickets)) == (["b", "c"], [])
    assert pool.sink.left == [
        ("a", FlowOutcome.DISPATCHED, 0.0),
        ("b", FlowOutcome.DISPATCHED, 0.0),
        ("c", FlowOutcome.DISPATCHED, 3.0),
    ]


def test_the_higher_priority_goes_first() -> None:
    pool = QueueingPool()
    for name, priority in (("first", 0), ("low", -1), ("middle", 0), ("high", 7)):
        pool.ask(name, priority)
    order = []
    while pool.running:
        order += pool.running
        pool.end(pool.running[0])
    assert order == ["first", "high", "middle", "low"]


def test_nobody_waits_for_longer_than_the_budget() -> None:
    pool = QueueingPool()
    pool.ask("a")
    pool.ask("b")
    pool.pass_time(59.9)
    assert not pool.refusals
    pool.pass_time(0.2)
    assert pool.refusals["b"].reason is DroppedReason.TTL_EXPIRED
    _, outcome, waited_s = pool.sink.left[-1]
    assert outcome is FlowOutcome.EVICTED_TTL
    assert waited_s == pytest.approx(60.0)


def test_a_request_says_itself_how_long_it_may_wait() -> None:
    pool = QueueingPool()
    pool.ask("a")
    pool.ask("b", headers={"x-llm-d-request-ttl-ms": "1500"})
    pool.pass_time(1.6)
    assert pool.refusals["b"].reason is DroppedReason.TTL_EXPIRED


def test_a_client_that_left_is_never_dispatched() -> None:
    pool = QueueingPool()
    for name in "abc":
        pool.ask(name)
    pool.leave("b")
    pool.end("a")
    assert pool.running == ["c"]
    assert ("b", FlowOutcome.EVICTED_CONTEXT_CANCELLED, 0.0) in pool.sink.left
    assert pool.ledger.open_count == 1


def test_requests_wait_for_a_pool_that_has_no_endpoint_yet() -> None:
    pool = QueueingPool(endpoints=0, each=2)
    for name in "abc":
        pool.ask(name)
    assert list(pool.tickets) == ["a", "b", "c"]
    pool.members(1)
    assert (pool.running, list(pool.tickets)) == (["a", "b"], ["c"])


def test_a_full_queue_refuses_and_says_which_limit() -> None:
    limits = BandSettings(limits=BandLimits(max_requests=1))
    pool = QueueingPool(policy=FlowPolicy(FlowSettings(default_band=limits), EVERYBODY, (), None))
    for name in "abc":
        pool.ask(name)
    assert pool.refusals["c"].reason is DroppedReason.SATURATED
    assert "maxRequests of 1" in pool.refusals["c"].hint
    assert pool.sink.left[-1] == ("c", FlowOutcome.REJECTED_CAPACITY, 0.0)


def test_at_the_end_everybody_who_waits_is_refused_and_the_running_go_on() -> None:
    pool = QueueingPool()
    pool.ask("a")
    pool.ask("b")
    pool.router.drain()
    assert isinstance(pool.refusals["b"], ServiceUnavailable)
    assert pool.refusals["b"].reason is DroppedReason.SHUTTING_DOWN
    assert pool.running == ["a"]
    pool.ask("c")
    assert pool.refusals["c"].reason is DroppedReason.SHUTTING_DOWN


def test_a_decision_that_nobody_takes_gives_its_place_back() -> None:
    pool = QueueingPool(endpoints=2)
    for name in "abcd":
        pool.ask(name)
    pool.tickets["c"].on_answer(lambda answer: pool.tickets["d"].withdraw())
    for name in "ab":
        assert pool.router.release(pool.decisions.pop(name))
    assert pool.ledger.open_count == 0
    pool.turn()
    assert pool.ledger.open_count == 1, "the place of c, and none for d, which both were granted in one turn"


class Cursed:
    """A scorer that fails when it is told to."""

    def __init__(self) -> None:
        self.is_cursed = False

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        if self.is_cursed:
            raise KeyError("no such thing")
        return np.ones(len(candidates))


def test_a_plugin_that_fails_for_one_who_waited_harms_nobody_else() -> None:
    scorer = Cursed()
    pool = QueueingPool(scorer=scorer)
    for name in "ab":
        pool.ask(name)
    scorer.is_cursed = True
    pool.end("a")
    refusal = pool.refusals["b"]
    assert isinstance(refusal, InternalError)
    assert isinstance(refusal.__cause__, KeyError)
    scorer.is_cursed = False
    pool.ask("c")
    assert pool.running == ["c"]
    assert pool.ledger.open_count == 1


def test_bands_of_the_objectives_are_there_before_anybody_waits() -> None:
    pool = QueueingPool()
    pool.objectives = (InferenceObjective("n", "urgent", "pool", 30), InferenceObjective("n", "batch", "pool", -30))
    pool.members(1)
    pool.router.work()
    assert [band.priority for band in pool.router.read().bands] == [30, 0, -30]


def test_a_sheddable_request_is_broken_off_for_one_that_matters_more() -> None:
    pool = QueueingPool(policy=evicting())
    pool.ask("cheap", -1)
    pool.ask("dear", 5)
    assert pool.broken_off["cheap"].reason is DroppedReason.EVICTED
    assert pool.sink.evicted == ["cheap"]
    assert pool.running == ["cheap"], "its place is kept until its stream has ended"
    pool.end("cheap", status=0)
    assert pool.running == ["dear"]


@pytest.mark.parametrize("spare_begun", [True, False])
def test_an_answer_that_has_begun_is_spared_unless_told_otherwise(spare_begun: bool) -> None:
    pool = QueueingPool(policy=evicting(spare_begun=spare_begun))
    pool.ask("cheap", -1)
    pool.router.response_begun(pool.decisions["cheap"], "")
    pool.ask("dear", 5)
    assert ("cheap" in pool.broken_off) is not spare_begun


def test_nobody_is_broken_off_for_an_equal_or_without_need() -> None:
    pool = QueueingPool(endpoints=2, policy=evicting())
    pool.ask("a", -1)
    pool.ask("b", 5)
    pool.ask("c", -1)
    assert not pool.broken_off
    pool.end("b")
    assert pool.running == ["a", "c"]


def test_one_that_was_broken_off_but_does_not_end_is_given_up_after_a_while() -> None:
    pool = QueueingPool(endpoints=2, policy=evicting())
    pool.ask("stuck", -2)
    pool.ask("cheap", -1)
    pool.ask("dear", 5)
    assert list(pool.broken_off) == ["stuck"]
    pool.pass_time(10.1)
    assert list(pool.broken_off) == ["stuck", "cheap"]
    assert pool.router.read().unconfirmed_evictions == 1


def test_tokens_of_ended_requests_decide_who_goes_next() -> None:
    parameters = ProgramAwareParameters()
    book = ServiceBook(parameters)
    band = BandSettings(new_fairness=lambda: ProgramAwareFairness(book, parameters))
    pool = QueueingPool(policy=FlowPolicy(FlowSettings(default_band=band), EVERYBODY, (book,), None))
    pool.ask("a", tenant="hog")
    pool.end("a", usage=TokenUsage(prompt_tokens=900, completion_tokens=50))
    assert pool.router.read().attained_service == {"hog": pytest.approx(1000.0)}
    pool.ask("b", tenant="hog")
    pool.ask("c", tenant="hog")
    pool.ask("d", tenant="modest")
    pool.end("b", usage=TokenUsage(prompt_tokens=1, completion_tokens=1))
    assert pool.running == ["d"]


def test_usage_that_was_not_seen_is_estimated() -> None:
    book = ServiceBook(ProgramAwareParameters())
    pool = QueueingPool(policy=FlowPolicy(FlowSettings(), EVERYBODY, (book,), None))
    pool.ask("a", tenant="seen", tokens=10)
    pool.end("a", usage=TokenUsage(prompt_tokens=12, completion_tokens=40))
    pool.ask("b", tenant="unseen", tokens=10)
    pool.end("b")
    pool.ask("c", tenant="failed", tokens=10)
    pool.end("c", status=503)
    attained = pool.router.read().attained_service
    assert attained == {"seen": pytest.approx(92.0), "unseen": pytest.approx(90.0)}


def test_a_ceiling_of_zero_lets_nobody_go() -> None:
    closed = StaticUsageLimit(StaticUsageLimitParameters(threshold=0.0))
    pool = QueueingPool(policy=FlowPolicy(FlowSettings(), closed, (), None))
    pool.ask("a")
    assert list(pool.tickets) == ["a"]
    assert pool.router.read().requests == 1
