"""What a plugin of any kind may do besides its own job: see every pick, forget a slot, mark the response."""

from random import Random

from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import NamedFilter, Profile, WeightedScorer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.core.state.columns import FloatColumn
from tests.support.small_pool import SmallPool, text_request


class Watcher:
    """A filter and scorer that does everything."""

    def __init__(self, *, marks: bool = True) -> None:
        self.picks: list[tuple[str, int]] = []
        self.forgotten: list[int] = []
        self.marks = marks

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        return cycle.snapshot.load.waiting[candidates.slots]

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        assert cycle.ledger.requests[reservation.slot] == len(self.picks) + 1
        self.picks.append((cycle.request.request_id, reservation.slot))

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
