"""What a plugin of any kind may do besides its own job: see picks, outcomes and loads, forget slots, mark responses."""

from random import Random

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport, ObjectState, Outcome, RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.state.columns import FloatColumn
from epp.core.state.roster import Roster
from tests.support.small_pool import POOL, SmallPool, text_request


class Watcher:
    """A filter and scorer that does everything."""

    def __init__(self, *, marks: bool = True) -> None:
        self.picks: list[tuple[str, int]] = []
        self.forgotten: list[int] = []
        self.told: list[tuple[object, ...]] = []
        self.marks = marks

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        return cycle.snapshot.load.waiting[candidates.slots]

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        assert cycle.ledger.requests[reservation.slot] == len(self.picks) + 1
        self.picks.append((cycle.request.request_id, reservation.slot))

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        self.told.append(("learn", reservation.serial))

    def moved(self, reservation: Reservation, slot: int, now: float) -> None:
        self.told.append(("moved", reservation.serial, slot, now))

    def first_token(self, reservation: Reservation, now: float) -> None:
        self.told.append(("first token", reservation.serial, now))

    def released(self, reservation: Reservation, now: float) -> None:
        self.told.append(("released", reservation.serial, now))

    def finished(self, decision: Decision, report: RequestReport) -> None:
        self.told.append(("finished", decision.reservation.serial, report.status))

    def load_noted(self, slot: int, report: LoadReport, now: float) -> None:
        self.told.append(("load", slot, report.waiting, now))

    def forget_slot(self, slot: int) -> None:
        self.forgotten.append(slot)

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        return ("x-served", endpoint.pod) if self.marks else None


def scheduler(pool: SmallPool, *watchers: Watcher) -> Scheduler:
    profile = Profile(
        "default",
        tuple(NamedFilter(f"f{number}", watcher) for number, watcher in enumerate(watchers)),
        tuple(WeightedScorer(f"s{number}", watcher, 1.0) for number, watcher in enumerate(watchers)),
        MaxScorePicker(PickerParameters()),
    )
    return Scheduler(Policy((profile, profile), SingleProfileHandler()), pool.ledger, Random(1), lambda: pool.now)


def test_a_pick_is_seen_once_and_before_the_answer() -> None:
    pool, watcher = SmallPool(2), Watcher()
    pool.report(1, waiting=1)
    scheduled = scheduler(pool, watcher)
    for _ in range(2):
        scheduled.schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert watcher.picks == [("r", pool.slot(1))] * 2


def test_a_slot_is_forgotten_once() -> None:
    pool, watcher = SmallPool(1), Watcher()
    scheduler(pool, watcher).forget_slot(7)
    assert watcher.forgotten == [7]


def test_the_response_is_marked_with_whoever_served() -> None:
    pool = SmallPool(2)
    scheduled = scheduler(pool, Watcher(), Watcher(marks=False))
    decision = scheduled.schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert decision.response_headers(pool.endpoints[1]) == (("x-served", "vllm-1"),)
    assert decision.response_headers(pool.endpoints[0]) == (("x-served", "vllm-0"),)


REPORT = RequestReport(Outcome.COMPLETE, 200, 1.0, 0, None, None, None, "")


def routed(pool: SmallPool, watcher: Watcher) -> tuple[Router, Decision]:
    """A router of the watcher and its first decision, for vllm-0."""
    router = Router(pool.roster, scheduler(pool, watcher), RoutingPolicy(), lambda: pool.now)
    decision = router.decide(InferenceRequest("r", subset=("10.0.0.1",)))
    assert isinstance(decision, Decision)
    watcher.told.clear()
    return router, decision


def test_what_becomes_of_a_request_is_told_once() -> None:
    pool, watcher = SmallPool(2), Watcher()
    router, decision = routed(pool, watcher)
    router.response_begun(decision, decision.endpoint.destination)
    router.first_token(decision)
    pool.now += 1.0
    assert [router.release(decision) for _ in range(2)] == [True, False]
    router.finished(decision, REPORT)
    serial = decision.reservation.serial
    assert watcher.told == [
        ("first token", serial, pool.now - 1.0),
        ("released", serial, pool.now),
        ("finished", serial, 200),
    ]


def test_a_request_that_is_served_elsewhere_is_told_to_have_moved() -> None:
    pool, watcher = SmallPool(2), Watcher()
    router, decision = routed(pool, watcher)
    router.response_begun(decision, "10.9.9.9:1")
    assert watcher.told == []
    router.response_begun(decision, pool.endpoints[1].destination)
    assert watcher.told == [("moved", decision.reservation.serial, pool.slot(1), pool.now)]


def test_any_plugin_may_learn_after_the_reply() -> None:
    pool, watcher = SmallPool(1), Watcher()
    _, decision = routed(pool, watcher)
    for lesson in decision.lessons:
        lesson()
    assert watcher.told == [("learn", decision.reservation.serial)]


def test_a_scrape_is_told_when_it_is_stored() -> None:
    pool, watcher = SmallPool(1), Watcher()
    roster = Roster(pool.ledger, lambda: pool.now, load_noted=scheduler(pool, watcher).load_noted)
    roster.objects_changed(ObjectState(POOL, pool.endpoints))
    roster.load_reported(pool.endpoints[0], LoadReport(waiting=3.0))
    slot = roster.slot_of(pool.endpoints[0])
    assert watcher.told == [("load", slot, 3.0, pool.now)]
