"""Several stages of one request, as learners, observers and markers see them."""

import pytest

from epp.core.domain.decision import Decision, Reservation, Stage
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.request_control import NamedProducer
from epp.core.scheduling.scheduler import Policy, Scheduler
from tests.support.small_pool import text_request
from tests.support.staged_pool import ALWAYS_EPD, ALWAYS_PD, StagedPool, disagg

MEDIA = '[{"type": "image_url"}]' + "x" * 400
SESSION_FILTER = "{pluginRef: prefill-filter}, {pluginRef: session}"


def learnt(decision: Decision) -> Decision:
    for lesson in decision.lessons:
        lesson()
    return decision


def prefill_pod(decision: Decision) -> str:
    return decision.further[0].endpoints[0].pod


class Observer:
    """A producer that notes every pick and lesson, and may fail at a pick."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.picks: list[tuple[str, int]] = []
        self.lessons: list[int] = []
        self.fails_at = fails_at

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        return None

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        if cycle.profile == self.fails_at:
            raise RuntimeError("a plugin's fault")
        assert cycle.primary == "decode"
        self.picks.append((cycle.profile, reservation.slot))

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        self.lessons.append(reservation.slot)


def observed(pool: StagedPool, observer: Observer) -> Scheduler:
    policy = pool.scheduler._policy
    watching = Policy(policy.profiles, policy.handler, (*policy.producers, NamedProducer("observer", observer)))
    return Scheduler(watching, pool.ledger, pool.rng, lambda: pool.now)


def schedule(pool: StagedPool, scheduler: Scheduler, prompt: str = MEDIA) -> Decision:
    return scheduler.schedule(text_request(prompt), pool.snapshot, pool.candidates, pool.now)


def test_observers_are_told_of_every_pick_and_last_of_the_one_that_answers() -> None:
    pool, observer = StagedPool("prefill", "decode", "encode", policy=ALWAYS_EPD), Observer()
    schedule(pool, observed(pool, observer))
    assert observer.picks == [("encode", pool.slot(2)), ("prefill", pool.slot(0)), ("decode", pool.slot(1))]


def test_who_computes_the_prompt_is_learnt_and_who_encodes_is_not() -> None:
    pool, observer = StagedPool("prefill", "decode", "encode", policy=ALWAYS_EPD), Observer()
    decision = schedule(pool, observed(pool, observer))
    assert observer.lessons == []
    learnt(decision)
    assert observer.lessons == [pool.slot(1), pool.slot(0)]


@pytest.mark.parametrize("profile", ["encode", "prefill", "decode"])
def test_a_fault_after_booking_leaves_no_place_taken(profile: str) -> None:
    pool = StagedPool("prefill", "decode", "encode", policy=ALWAYS_EPD)
    with pytest.raises(RuntimeError):
        schedule(pool, observed(pool, Observer(fails_at=profile)))
    assert pool.ledger.open_count == pool.ledger.open_further_count == 0
    assert not pool.booked()


def test_further_places_are_told_apart_in_the_books() -> None:
    pool = StagedPool("prefill", "decode", "encode", policy=ALWAYS_EPD)
    decision = pool.decide(MEDIA)
    assert (pool.ledger.open_count, pool.ledger.open_further_count) == (3, 2)
    assert [pick.stage for pick in decision.further] == [Stage.ENCODE, Stage.PREFILL]
    assert pool.router.release(decision)
    assert (pool.ledger.open_count, pool.ledger.open_further_count) == (0, 0)


def test_prefix_matches_are_known_of_both_endpoints_afterwards() -> None:
    prefix = "{type: prefix-cache-scorer}"
    policy = disagg("deciders: {prefill: always}", prefix).replace(
        "active-request-scorer}, {pluginRef: two}", "prefix-cache-scorer}, {pluginRef: two}"
    )
    pool = StagedPool("prefill", "prefill", "decode", "decode", policy=policy)
    first = learnt(pool.decide())
    again = pool.decide()
    assert again.endpoint == first.endpoint
    assert again.further[0].endpoints[0] == first.further[0].endpoints[0]
    assert max(again.card.totals) == max(again.further[0].card.totals) == 1.0
    producer = pool.scheduler._policy.producers[0].plugin
    assert isinstance(producer, ApproxPrefixCacheProducer)


def test_a_session_is_bound_to_the_endpoint_that_answers() -> None:
    session = "{type: session-affinity-filter, name: session, parameters: {strategy: session_id}}"
    policy = disagg("deciders: {prefill: always}", session).replace(
        "{pluginRef: decode-filter}", "{pluginRef: decode-filter}, {pluginRef: session}"
    )
    pool = StagedPool("prefill", "prefill", "decode", "decode", policy=policy)
    first = pool.decide(headers={"x-session-id": "s"})
    later = [pool.decide(headers={"x-session-id": "s"}) for _ in range(3)]
    assert {decision.endpoint.pod for decision in later} == {first.endpoint.pod}


def test_a_session_may_be_bound_to_the_pick_of_a_profile() -> None:
    session = "{type: session-affinity-filter, name: session, parameters: {strategy: session_id, profileName: prefill}}"
    policy = disagg("deciders: {prefill: always}", session).replace("{pluginRef: prefill-filter}", SESSION_FILTER)
    pool = StagedPool("prefill", "prefill", "decode", policy=policy)
    first = pool.decide(headers={"x-session-id": "s"})
    later = [pool.decide(headers={"x-session-id": "s"}) for _ in range(3)]
    assert {prefill_pod(decision) for decision in later} == {prefill_pod(first)}


def test_the_token_of_a_profile_is_that_of_its_pick() -> None:
    config = "{profileName: prefill, encodedEndpointHeaderConfig: {header: x-prefill-token}}"
    session = f"{{type: session-affinity-filter, name: session, parameters: {config}}}"
    policy = disagg("deciders: {prefill: always}", session).replace("{pluginRef: prefill-filter}", SESSION_FILTER)
    pool = StagedPool("prefill", "prefill", "decode", policy=policy)
    first = pool.decide()
    ((name, token),) = first.response_headers(first.endpoint)
    later = [pool.decide(headers={name: token}) for _ in range(3)]
    assert {prefill_pod(decision) for decision in later} == {prefill_pod(first)}


def test_without_that_stage_there_is_no_token() -> None:
    session = "{type: session-affinity-filter, name: session, parameters: {profileName: prefill}}"
    policy = disagg("deciders: {prefill: always}", session).replace("{pluginRef: prefill-filter}", SESSION_FILTER)
    decision = StagedPool("decode", policy=policy).decide()
    assert decision.response_headers(decision.endpoint) == ()


def test_cold_requests_are_spread_over_the_endpoints_of_each_stage() -> None:
    policy = disagg("deciders: {prefill: always}", "{type: no-hit-lru-scorer}").replace(
        "{pluginRef: active-request-scorer}", "{pluginRef: no-hit-lru-scorer}"
    )
    pool = StagedPool("prefill", "prefill", "decode", "decode", policy=policy)
    decisions = [pool.decide(str(number) * 400) for number in range(2)]
    assert len({decision.endpoint.pod for decision in decisions}) == 2
    assert len({prefill_pod(decision) for decision in decisions}) == 2


def test_what_is_told_to_the_side_car_is_the_same_as_what_is_booked() -> None:
    pool = StagedPool("prefill", "prefill", "decode", policy=ALWAYS_PD)
    for _ in range(5):
        decision = pool.decide()
        told = dict(decision.request_headers)["x-prefiller-host-port"]
        slot = decision.further[0].reservation.slot
        position = pool.snapshot.by_destination[told]
        assert pool.slot(position) == slot
