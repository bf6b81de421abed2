"""The roster and the ledger together: slots, generations, flapping, moves, releases."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.state.columns import NEVER
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Identity, Roster, identity
from tests.support.routed_requests import endpoint

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000, 8001))


class Books:
    """A roster with a ledger and a clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ledger = InFlightLedger()
        self.renewed: list[int] = []
        self.roster = Roster(self.ledger, lambda: self.now, slot_renewed=self.renewed.append)

    def members(self, *endpoints: Endpoint) -> None:
        self.roster.objects_changed(ObjectState(POOL, endpoints))

    def slot(self, one: Endpoint) -> int:
        slot = self.roster.slot_of(one)
        assert slot is not None
        return slot


def restarted(one: Endpoint, incarnation: str) -> Endpoint:
    return Endpoint.create(
        namespace=one.namespace, pod=one.pod, rank=0, address=one.address, port=one.port, incarnation=incarnation
    )


def test_before_the_first_object_there_is_nobody() -> None:
    roster = Books().roster
    assert (roster.current.version, roster.current.pool, roster.current.endpoints) == (0, None, ())


def test_the_snapshot_knows_endpoints_by_destination_and_address() -> None:
    books = Books()
    a0, a1, b0 = endpoint(0), endpoint(0, rank=1), endpoint(1)
    objectives = (InferenceObjective("default", "x", "pool", 3),)
    books.roster.objects_changed(ObjectState(POOL, (a0, a1, b0), objectives))
    snapshot = books.roster.current
    assert (snapshot.version, snapshot.pool, snapshot.endpoints) == (1, POOL, (a0, a1, b0))
    assert snapshot.by_destination == {"10.0.0.1:8000": 0, "10.0.0.1:8001": 1, "10.0.0.2:8000": 2}
    assert snapshot.by_address == {"10.0.0.1": (0, 1), "10.0.0.2": (2,)}
    assert snapshot.objectives == {"x": objectives[0]}
    assert snapshot.slots.tolist() == [books.slot(one) for one in (a0, a1, b0)]


def test_a_snapshot_in_use_is_not_changed_by_the_next_one() -> None:
    books = Books()
    books.members(endpoint(0), endpoint(1))
    held = books.roster.current
    books.members(endpoint(2))
    assert (held.endpoints, held.slots.tolist()) == ((endpoint(0), endpoint(1)), [0, 1])


def test_an_endpoint_keeps_slot_and_load_when_others_come_and_go() -> None:
    books = Books()
    books.members(endpoint(1), endpoint(2))
    slot = books.slot(endpoint(2))
    books.roster.load_reported(endpoint(2), LoadReport(waiting=4.0))
    books.members(endpoint(0), endpoint(2), endpoint(3))
    assert books.slot(endpoint(2)) == slot
    assert books.roster.load.waiting[slot] == 4.0


def test_a_pod_that_restarts_is_known_for_nothing() -> None:
    books = Books()
    before, after = restarted(endpoint(0), "uid/0"), restarted(endpoint(0), "uid/1")
    books.members(before)
    books.roster.load_reported(before, LoadReport(waiting=4.0))
    books.renewed.clear()
    books.members(after)
    slot = books.slot(after)
    assert books.renewed == [slot]
    assert (books.roster.load.waiting[slot], books.roster.load.updated_at[slot]) == (0.0, NEVER)
    assert books.roster.slot_of(before) is None


def test_an_endpoint_that_flaps_comes_back_to_its_own_counts() -> None:
    books = Books()
    books.members(endpoint(0), endpoint(1))
    slot = books.slot(endpoint(0))
    reservation = books.ledger.reserve(slot, tokens=5)
    books.members(endpoint(1))
    books.members(endpoint(1), endpoint(2))
    assert books.slot(endpoint(2)) != slot
    books.members(endpoint(0), endpoint(1))
    assert books.slot(endpoint(0)) == slot
    assert books.ledger.requests[slot] == 1
    assert books.ledger.release(reservation)


def test_a_late_release_never_touches_the_next_owner() -> None:
    books = Books()
    books.members(endpoint(0))
    late = books.ledger.reserve(books.slot(endpoint(0)), tokens=5)
    books.members(endpoint(1))
    theirs = books.ledger.reserve(books.slot(endpoint(1)), tokens=7)
    assert books.ledger.release(late)
    books.members(endpoint(1), endpoint(2))
    assert not books.ledger.release(late)
    assert books.ledger.requests[books.slot(endpoint(1))] == 1
    assert books.ledger.requests[books.slot(endpoint(2))] == 0
    assert books.ledger.release(theirs)


def test_slots_are_used_again() -> None:
    books = Books()
    for number in range(300):
        books.members(endpoint(number % 250), endpoint((number + 1) % 250))
    assert len(books.roster.load) <= 16


def test_a_scrape_that_comes_after_the_endpoint_left_is_dropped() -> None:
    books = Books()
    books.members(endpoint(0))
    books.members(endpoint(1))
    books.roster.load_reported(endpoint(0), LoadReport(waiting=9.0))
    books.roster.scrape_failed(endpoint(0), local_origin=True)
    books.roster.scrape_failed(endpoint(0), local_origin=True)
    assert books.roster.load.waiting[books.slot(endpoint(1))] == 0.0
    books.members(endpoint(0))
    assert books.roster.cooldowns.cooling(books.now) == frozenset()


def test_only_failures_of_local_origin_cool_an_endpoint_down() -> None:
    books = Books()
    books.members(endpoint(0), endpoint(1))
    for _ in range(3):
        books.roster.scrape_failed(endpoint(0), local_origin=False)
        books.roster.scrape_failed(endpoint(1), local_origin=True)
    assert books.roster.cooldowns.cooling(books.now) == frozenset({endpoint(1).key})
    books.members(endpoint(0))
    books.members(endpoint(0), endpoint(1))
    assert books.roster.cooldowns.cooling(books.now) == frozenset()


def test_a_good_scrape_ends_the_row_of_failures() -> None:
    books = Books()
    books.members(endpoint(0))
    for _ in range(5):
        books.roster.scrape_failed(endpoint(0), local_origin=True)
        books.roster.load_reported(endpoint(0), LoadReport(waiting=0.0))
    assert books.roster.cooldowns.cooling(books.now) == frozenset()


EVERYBODY = tuple(restarted(endpoint(number), incarnation) for number in range(5) for incarnation in ("uid/0", "uid/1"))


class RosterMachine(RuleBasedStateMachine):
    """The model: which endpoint (not which slot) each open reservation is at."""

    reservations = Bundle("reservations")
    closed = Bundle("closed")

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.present: tuple[Endpoint, ...] = ()
        self.held: dict[int, tuple[Identity, int]] = {}
        self.waiting: dict[Identity, float] = {}

    def _slot(self, one: Endpoint) -> int:
        return self.books.slot(one)

    @rule(chosen=st.sets(st.integers(0, 4)), incarnations=st.lists(st.integers(0, 1), min_size=5, max_size=5))
    def members_change(self, chosen: set[int], incarnations: list[int]) -> None:
        before = {identity(one): self._slot(one) for one in self.present}
        held = {who for who, _ in self.held.values()}
        self.present = tuple(EVERYBODY[2 * number + incarnations[number]] for number in sorted(chosen))
        self.books.renewed.clear()
        self.books.members(*self.present)
        for one in self.present:
            who, slot = identity(one), self._slot(one)
            if who in before:
                assert slot == before[who]
            elif slot in self.books.renewed:
                assert who not in held, "an endpoint with requests in flight lost its slot"
                self.waiting.pop(who, None)

    @rule(target=reservations, data=st.data(), tokens=st.integers(0, 50))
    def reserve(self, data: st.DataObject, tokens: int) -> object:
        if not self.present:
            return multiple()
        one = data.draw(st.sampled_from(self.present))
        reservation = self.books.ledger.reserve(self._slot(one), tokens)
        self.held[reservation.serial] = (identity(one), tokens)
        return reservation

    @rule(reservation=reservations, data=st.data())
    def move(self, reservation: Reservation, data: st.DataObject) -> None:
        if self.present:
            one = data.draw(st.sampled_from(self.present))
            self.books.ledger.move(reservation, self._slot(one))
            self.held[reservation.serial] = (identity(one), reservation.tokens)

    @rule(target=closed, reservation=consumes(reservations))
    def release(self, reservation: Reservation) -> Reservation:
        assert self.books.ledger.release(reservation)
        del self.held[reservation.serial]
        return reservation

    @rule(reservation=closed, data=st.data())
    def touch_what_is_over(self, reservation: Reservation, data: st.DataObject) -> None:
        assert not self.books.ledger.release(reservation)
        if self.present:
            self.books.ledger.move(reservation, self._slot(data.draw(st.sampled_from(self.present))))

    @rule(one=st.sampled_from(EVERYBODY), waiting=st.floats(1.0, 99.0))
    def scrape(self, one: Endpoint, waiting: float) -> None:
        self.books.roster.load_reported(one, LoadReport(waiting=waiting))
        if one in self.present:
            self.waiting[identity(one)] = waiting

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        ledger = self.books.ledger
        assert (ledger.requests >= 0).all()
        assert (ledger.tokens >= 0).all()
        assert ledger.open_count == len(self.held) == ledger.requests.sum()
        assert ledger.tokens.sum() == sum(tokens for _, tokens in self.held.values())
        for one in self.present:
            mine = [tokens for who, tokens in self.held.values() if who == identity(one)]
            slot = self._slot(one)
            assert (ledger.requests[slot], ledger.tokens[slot]) == (len(mine), sum(mine))

    @invariant()
    def nobody_shares_a_slot(self) -> None:
        slots = self.books.roster.current.slots
        assert len(np.unique(slots)) == len(slots) == len(self.present)
        assert slots.tolist() == [self._slot(one) for one in self.present]

    @invariant()
    def nobody_inherits_anothers_load(self) -> None:
        load = self.books.roster.load
        for one in self.present:
            assert load.waiting[self._slot(one)] == self.waiting.get(identity(one), 0.0)

    @invariant()
    def slots_do_not_leak(self) -> None:
        busy = {who for who, _ in self.held.values()}
        assert len(self.books.roster.load) <= max(16, 2 * (len(EVERYBODY) + len(busy)))


RosterMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestRosterMachine = RosterMachine.TestCase
