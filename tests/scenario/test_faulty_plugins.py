"""A plugin that fails, at each point where plugins are called: at most its own request is lost, and nothing leaks."""

from collections.abc import Callable
from random import Random

import pytest

from epp.core.domain.decision import Decision
from epp.core.domain.ports import ObjectState, Outcome, TokenUsage
from epp.core.protocol.commands import Continue, FollowServed, Phase, Release
from epp.core.protocol.events import BodyMode, Decided, RequestBodyChunk, ResponseBodyChunk
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.state.roster import Roster
from tests.support.faulty_plugins import (
    CURSED,
    FAULTY_ANSWERS,
    FAULTY_DECISIONS,
    FaultyLoads,
    FaultyMemory,
    FaultyOutcomes,
    FaultyProducer,
    PluginFault,
    policy,
)
from tests.support.playbook import ANY_ROUTE, Playbook, post, response, routing
from tests.support.routed_requests import endpoint, report
from tests.support.small_pool import POOL, SmallPool, text_request

ANSWER = b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
DECISIONS = pytest.mark.parametrize("make", FAULTY_DECISIONS.values(), ids=FAULTY_DECISIONS)
ANSWERS = pytest.mark.parametrize("make", FAULTY_ANSWERS.values(), ids=FAULTY_ANSWERS)


class Pool(SmallPool):
    """Three endpoints behind a router with this policy; `faults` are those that were noted."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(3)
        self.faults: list[tuple[str, str]] = []
        self.scheduler = Scheduler(policy, self.ledger, Random(1), lambda: self.now, self._note)
        self.roster = Roster(
            self.ledger,
            lambda: self.now,
            slot_renewed=self.scheduler.forget_slot,
            load_noted=self.scheduler.load_noted,
        )
        self.roster.objects_changed(ObjectState(POOL, self.endpoints))
        self.router = Router(self.roster, self.scheduler, RoutingPolicy(), lambda: self.now)

    def ask(self, model: str) -> Decision:
        return self.router.decide(text_request("a prompt", model=model))

    def _note(self, event: str, request_id: str, error: BaseException) -> None:
        assert isinstance(error, PluginFault)
        self.faults.append((event, request_id))


@DECISIONS
def test_a_fault_before_the_decision_is_the_end_of_one_request(make: Callable[[], Policy]) -> None:
    pool = Pool(make())
    before = pool.ask("fine")
    with pytest.raises((PluginFault, IndexError, KeyError, ValueError)):  # of which the executor makes a clear 500
        pool.ask(CURSED)
    after = pool.ask("fine")
    assert pool.ledger.open_count == sum(1 + len(decision.further) for decision in (before, after))
    assert all(pool.router.release(decision) for decision in (before, after))
    assert not pool.ledger.requests.any()
    assert not pool.ledger.tokens.any()


def test_a_fault_of_a_producer_costs_its_product() -> None:
    producer = FaultyProducer()
    pool = Pool(policy(producer=producer))
    for lesson in pool.ask(CURSED).lessons:
        lesson()
    assert producer.learned == [], "there is nothing to learn from"
    assert pool.faults == [("producer producer failed", "r")]


@ANSWERS
def test_a_fault_at_an_answer_costs_its_part_of_the_answer(make: Callable[[], Policy]) -> None:
    pool = Pool(make())
    book = Playbook() >> post(BodyMode.BUFFERED, response=BodyMode.BUFFERED) << Continue(Phase.REQUEST_HEADERS)
    book >> RequestBodyChunk(b'{"model":"m","prompt":"x"}', end_of_stream=True) << ANY_ROUTE
    decision = pool.router.decide(book.routed)
    served = decision.destinations
    stamped = (("x-pod", decision.endpoint.pod),) if make is FAULTY_ANSWERS["stamps"] else ()
    (
        book
        >> Decided(decision)
        << routing(Phase.REQUEST_BODY, served)
        >> response(served=served)
        << FollowServed(served)
        << Continue(Phase.RESPONSE_HEADERS, stamped)
        >> ResponseBodyChunk(ANSWER, end_of_stream=True)
        << Continue(Phase.RESPONSE_BODY)
        << Release(Outcome.COMPLETE, 200, len(ANSWER), TokenUsage(1, 1))
    ).nothing()
    [(event, _)] = pool.faults
    assert event.startswith("Faulty")
    assert event.endswith(" failed at an answer")


def test_an_endpoint_that_a_plugin_cannot_forget_leaves_all_the_same() -> None:
    pool = Pool(policy(only=FaultyMemory()))
    assert pool.faults == [("FaultyMemory failed", "")] * 3
    held = pool.ask("fine")
    pool.roster.objects_changed(ObjectState(POOL, (endpoint(7), endpoint(8))))
    assert pool.router.release(held)
    pool.roster.objects_changed(ObjectState(POOL, (endpoint(9),)))
    assert pool.ask("fine").endpoint == endpoint(9)


def test_what_becomes_of_a_request_is_booked_whoever_fails_to_note_it() -> None:
    pool = Pool(policy(only=FaultyOutcomes()))
    decision = pool.ask("fine")
    other = next(one for one in pool.endpoints if one != decision.endpoint)
    pool.router.response_begun(decision, other.destination)
    pool.router.first_token(decision)
    assert pool.ledger.requests[pool.slot(pool.endpoints.index(other))] == 1
    assert pool.router.release(decision)
    pool.router.finished(decision, report())
    assert pool.ledger.open_count == 0
    assert pool.faults == [("FaultyOutcomes failed", "")] * 4


def test_a_scrape_is_stored_whoever_fails_to_note_it() -> None:
    pool = Pool(policy(only=FaultyLoads()))
    pool.report(1, waiting=7)
    assert pool.snapshot.load.waiting[pool.slot(1)] == 7
    assert pool.faults == [("FaultyLoads failed", "")]
