from random import Random

import pytest

from epp.core.domain.decision import Reservation, plain
from epp.core.domain.errors import ResourceExhausted
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.filters.header_based_testing import HeaderBasedTestingFilter
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import NamedProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.scheduling.scorers.queue import QueueScorer
from tests.support.small_pool import SmallPool, text_request


class Memory:
    """A producer that learns."""

    def __init__(self) -> None:
        self.learned: list[tuple[str, int]] = []
        self.forgotten: list[int] = []

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        return len(candidates)

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        assert cycle.products["memory"] == 3
        self.learned.append((cycle.request.request_id, reservation.slot))

    def forget_slot(self, slot: int) -> None:
        self.forgotten.append(slot)


class Constant:
    """A producer that does not learn."""

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        return "constant"


def scheduler(pool: SmallPool, memory: Memory, *, count: int = 1, filters: tuple[NamedFilter, ...] = ()) -> Scheduler:
    profile = Profile(
        "default",
        filters,
        (WeightedScorer("queue", QueueScorer(), 1.0),),
        MaxScorePicker(PickerParameters(max_num_of_endpoints=count)),
    )
    producers = (NamedProducer("memory", memory), NamedProducer("constant", Constant()))
    return Scheduler(Policy((profile,), SingleProfileHandler(), producers), pool.ledger, Random(1), lambda: pool.now)


def test_picks_and_reserves_in_one_step() -> None:
    pool = SmallPool(3)
    for number, waiting in enumerate((4, 0, 2)):
        pool.report(number, waiting=waiting)
    request = text_request("x" * 400)

    decision = scheduler(pool, Memory()).schedule(request, pool.snapshot, pool.candidates, pool.now)

    assert decision.endpoint == pool.endpoints[1]
    assert decision.destinations == "10.0.0.2:8000"
    assert decision.reservation.slot == pool.slot(1)
    assert decision.reservation.tokens == 100
    assert pool.ledger.requests[pool.slot(1)] == 1
    assert pool.ledger.tokens[pool.slot(1)] == 100
    assert plain(decision.card.totals) == [0.0, 1.0, 0.5]


def test_fallbacks_follow_in_order_and_hold_no_place() -> None:
    pool = SmallPool(3)
    for number, waiting in enumerate((4, 0, 2)):
        pool.report(number, waiting=waiting)

    decision = scheduler(pool, Memory(), count=2).schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert decision.destinations == "10.0.0.2:8000,10.0.0.3:8000"
    assert pool.ledger.open_count == 1


def test_what_plugins_learn_waits_until_it_is_asked_for() -> None:
    pool, memory = SmallPool(3), Memory()
    pool.report(0, waiting=1)
    pool.report(1, waiting=0)
    pool.report(2, waiting=1)
    decision = scheduler(pool, memory).schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert memory.learned == []

    for lesson in decision.lessons:
        lesson()
    assert memory.learned == [("r", pool.slot(1))]


def test_forgetting_a_slot_reaches_those_that_learn() -> None:
    pool, memory = SmallPool(3), Memory()
    scheduler(pool, memory).forget_slot(7)
    assert memory.forgotten == [7]


def test_a_refusal_reserves_nothing() -> None:
    pool = SmallPool(3)
    filters = (NamedFilter("header", HeaderBasedTestingFilter()),)
    with pytest.raises(ResourceExhausted):
        scheduler(pool, Memory(), filters=filters).schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert pool.ledger.open_count == 0


def test_policy_knows_its_learners() -> None:
    memory = Memory()
    policy = Policy((), SingleProfileHandler(), (NamedProducer("constant", Constant()), NamedProducer("m", memory)))
    assert policy.learners == (("m", memory, False),)
