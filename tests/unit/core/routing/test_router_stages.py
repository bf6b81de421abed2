"""Every place of a request with several stages is given back once, whatever happens in whichever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from epp.core.domain.decision import Decision
from tests.support.staged_pool import ALWAYS_EPD, ALWAYS_PD, StagedPool

MEDIA = '[{"type": "image_url"}]'


def test_the_answer_begins_when_prefill_is_over() -> None:
    pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
    decision = pool.decide()
    pool.router.response_begun(decision, "10.0.0.2:8000")
    assert pool.booked() == {"vllm-1": (1, 100)}
    assert [pool.router.release(decision) for _ in range(2)] == [True, False]
    assert not pool.booked()


def test_a_gateway_that_does_not_say_who_served_ends_prefill_too() -> None:
    pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
    pool.router.response_begun(pool.decide(), "")
    assert pool.booked() == {"vllm-1": (1, 100)}


def test_a_request_without_an_answer_gives_everything_back() -> None:
    pool = StagedPool("prefill", "decode", policy=ALWAYS_PD)
    assert pool.router.release(pool.decide())
    assert pool.ledger.open_count == 0


def test_an_answer_from_a_fallback_moves_the_place_that_answers_alone() -> None:
    pool = StagedPool("prefill", "decode", "decode", policy=ALWAYS_PD)
    decision = pool.decide()
    other = decision.endpoints[1]
    pool.router.response_begun(decision, other.destination)
    assert pool.booked() == {other.pod: (1, 100)}


def test_the_only_endpoint_of_a_stage_is_tried_although_it_could_not_be_reached_lately() -> None:
    pool = StagedPool("prefill", "decode", "decode", "encode", policy=ALWAYS_EPD)

    def unreachable(number: int) -> None:
        for _ in range(2):
            pool.roster.scrape_failed(pool.endpoints[number], local_origin=True)

    unreachable(1)
    assert {pool.decide().endpoint.pod for _ in range(3)} == {"vllm-2"}
    unreachable(0)
    unreachable(2)
    decision = pool.decide(MEDIA)
    assert decision.endpoint.pod in {"vllm-1", "vllm-2"}
    assert {pick.endpoints[0].pod for pick in decision.further} == {"vllm-0", "vllm-3"}


class Requests(RuleBasedStateMachine):
    """The books hold what requests under way say, and pods come and go meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = StagedPool("prefill", "both", "decode", "encode", "", policy=ALWAYS_EPD)
        self.everybody = self.pool.endpoints
        self.waiting: list[Decision] = []
        self.answering: list[Decision] = []

    @rule(media=st.booleans(), tokens=st.integers(0, 50))
    def decide(self, media: bool, tokens: int) -> None:
        self.waiting.append(self.pool.decide((MEDIA if media else "") + "x" * 4 * tokens))

    @precondition(lambda self: self.waiting)
    @rule(which=st.randoms(use_true_random=False), served=st.sampled_from(["first", "last", "nobody", "stranger"]))
    def begin(self, which, served: str) -> None:  # type: ignore[no-untyped-def]
        decision = self.waiting.pop(which.randrange(len(self.waiting)))
        destination = {
            "first": decision.destination,
            "last": decision.endpoints[-1].destination,
            "nobody": "",
            "stranger": "10.9.9.9:1",
        }[served]
        self.pool.router.response_begun(decision, destination)
        self.answering.append(decision)

    @precondition(lambda self: self.answering)
    @rule(which=st.randoms(use_true_random=False))
    def begin_again(self, which) -> None:  # type: ignore[no-untyped-def]
        decision = which.choice(self.answering)
        self.pool.router.response_begun(decision, decision.destination)

    @precondition(lambda self: self.waiting or self.answering)
    @rule(which=st.randoms(use_true_random=False))
    def end(self, which) -> None:  # type: ignore[no-untyped-def]
        pending = which.choice([requests for requests in (self.waiting, self.answering) if requests])
        decision = pending.pop(which.randrange(len(pending)))
        assert self.pool.router.release(decision)
        assert not self.pool.router.release(decision)
        self.pool.router.response_begun(decision, decision.destination)

    @rule(leavers=st.sets(st.sampled_from([0, 1, 3])))
    def members(self, leavers: set[int]) -> None:
        self.pool.members(*(one for number, one in enumerate(self.everybody) if number not in leavers))

    @invariant()
    def the_books_are_right(self) -> None:
        ledger = self.pool.ledger
        further = [pick.reservation for decision in self.waiting for pick in decision.further]
        primary = [decision.reservation for decision in (*self.waiting, *self.answering)]
        assert ledger.open_further_count == len(further)
        assert ledger.open_count == ledger.requests.sum() == len(primary) + len(further)
        assert ledger.tokens.sum() == sum(reservation.tokens for reservation in (*primary, *further))
        assert (ledger.requests >= 0).all()
        assert (ledger.tokens >= 0).all()

    def teardown(self) -> None:
        for decision in (*self.waiting, *self.answering):
            assert self.pool.router.release(decision)
        assert self.pool.ledger.open_count == self.pool.ledger.open_further_count == 0
        assert not self.pool.ledger.requests.any()


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
