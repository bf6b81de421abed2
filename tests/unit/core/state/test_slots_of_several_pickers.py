"""Slots while pods come and go, several pickers pick and release, messages are late, and pickers die anywhere."""

from collections import Counter, deque

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.state.columns import LoadColumns
from epp.core.state.cooldown import CoolDowns
from epp.core.state.in_flight_rows import InFlightRows, SharedLedger, WatchedCounts
from epp.core.state.ledger import COUNTED, REQUESTS, TOKENS
from epp.core.state.pool_state import FollowedRoster, PoolTable
from epp.core.state.roster import SlotRoster
from tests.support.routed_requests import endpoint

PICKERS = 3
SLOTS = 64
PODS = tuple(endpoint(number) for number in range(1, 7))
POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))
NUMBERS = st.integers(0, 10**6)
WHO = st.integers(0, PICKERS - 1)
Place = tuple[Endpoint, Reservation]


class SimulatedPicker:
    """What a picker process has, and what is on its way to and from it."""

    def __init__(self, rows: InFlightRows, number: int, memory: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
        self.ledger = SharedLedger(rows, number)
        self.roster = FollowedRoster(
            self.ledger,
            LoadColumns(SLOTS, (), memory),
            cooldowns=CoolDowns(),
            metrics_stale_after_s=2.0,
            slot_renewed=lambda _slot: None,
            load_noted=lambda _slot, _report: None,
        )
        self.tables: deque[PoolTable] = deque()
        self.acknowledged: deque[int] = deque()
        self.places: list[Place] = []
        self.is_dead = False


class SeveralPickers(RuleBasedStateMachine):
    """`noted` is what control knows to be taken; a dead picker stays in `pickers` until control notices."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = InFlightRows(PICKERS, SLOTS, np.zeros(InFlightRows.cell_count(PICKERS, SLOTS), dtype=np.int64))
        self.memory = np.zeros(LoadColumns.cell_count(SLOTS))
        self.watched = WatchedCounts(self.rows)
        self.noted = [0] * PICKERS
        self.roster = SlotRoster(
            self.watched,
            lambda: 0.0,
            load=LoadColumns(SLOTS, (), self.memory),
            slot_renewed=self.check_new_owner,
            version_in_use=lambda: min(self.noted),
        )
        self.pickers = [SimulatedPicker(self.rows, number, self.memory) for number in range(PICKERS)]
        self.table = PoolTable(0, ObjectState(None, ()), (), ())
        self.sent: Counter[int] = Counter()

    def check_new_owner(self, slot: int) -> None:
        """Called when a slot has got a new owner: nobody may have anything to do with the former one any more."""
        assert not self.rows.cells[:, REQUESTS, slot].any()
        for picker in self.pickers:
            assert slot not in [reservation.slot for _, reservation in picker.places]
            if not picker.is_dead:
                assert slot not in picker.roster.current.slots.tolist()

    @rule(pods=st.sets(st.integers(0, len(PODS) - 1)), restarts=st.booleans())
    def objects_change(self, pods: set[int], restarts: bool) -> None:
        members = [structs.replace(PODS[pod], incarnation=str(restarts)) for pod in sorted(pods)]
        state = ObjectState(POOL, tuple(members))
        self.roster.objects_changed(state)
        snapshot = self.roster.current
        slots = tuple(snapshot.slots.tolist())
        self.table = PoolTable(snapshot.version, state, slots, tuple(map(self.watched.generation, slots)))
        for picker in self.pickers:
            picker.tables.append(self.table)

    @rule(who=WHO)
    def a_table_arrives(self, who: int) -> None:
        picker = self.pickers[who]
        if picker.tables and not picker.is_dead:
            table = picker.tables.popleft()
            picker.roster.table_arrived(table)
            picker.acknowledged.append(table.version)

    @rule(who=WHO)
    def an_acknowledgement_arrives(self, who: int) -> None:
        """Also one that a dead picker had sent."""
        if self.pickers[who].acknowledged:
            self.noted[who] = self.pickers[who].acknowledged.popleft()

    @rule()
    def everything_arrives(self) -> None:
        for who, picker in enumerate(self.pickers):
            while picker.tables and not picker.is_dead:
                self.a_table_arrives(who)
            while picker.acknowledged:
                self.an_acknowledgement_arrives(who)

    @rule(who=WHO, which=NUMBERS, tokens=st.integers(0, 50))
    def a_picker_picks(self, who: int, which: int, tokens: int) -> None:
        picker = self.pickers[who]
        snapshot = picker.roster.current
        if picker.is_dead or not snapshot.endpoints:
            return
        position = which % len(snapshot.endpoints)
        slot = int(snapshot.slots[position])
        picker.places.append((snapshot.endpoints[position], picker.ledger.reserve(slot, tokens)))
        self.sent[slot] += 1

    @rule(who=WHO, which=NUMBERS, onto=NUMBERS)
    def a_request_is_served_elsewhere(self, who: int, which: int, onto: int) -> None:
        picker = self.pickers[who]
        snapshot = picker.roster.current
        if picker.is_dead or not picker.places or not snapshot.endpoints:
            return
        at = which % len(picker.places)
        position = onto % len(snapshot.endpoints)
        slot, (_, held) = int(snapshot.slots[position]), picker.places[at]
        picker.ledger.move(held, slot)
        self.sent[slot] += held.slot != slot
        moved = Reservation(slot, picker.ledger.generation(slot), held.serial, held.tokens)
        picker.places[at] = snapshot.endpoints[position], moved

    @rule(who=WHO, which=NUMBERS, again=st.booleans())
    def a_request_ends(self, who: int, which: int, again: bool) -> None:
        picker = self.pickers[who]
        if picker.is_dead or not picker.places:
            return
        _, held = picker.places.pop(which % len(picker.places))
        assert picker.ledger.release(held)
        if again:
            before = self.rows.cells.copy()
            assert not picker.ledger.release(held)
            assert (self.rows.cells == before).all()

    @rule(who=WHO, cells=st.integers(0, COUNTED), slot=st.integers(0, SLOTS - 1))
    def a_picker_is_killed(self, who: int, cells: int, slot: int) -> None:
        """In the middle of a pick or a release: some of the cells are written, others are not."""
        picker = self.pickers[who]
        current = picker.roster.current.slots.tolist()
        if picker.is_dead:
            return
        picker.is_dead = True
        if current:
            for counted in range(cells):
                self.rows.cells[who, counted, current[slot % len(current)]] += 1

    @precondition(lambda self: any(picker.is_dead for picker in self.pickers))
    @rule()
    def deaths_are_noticed(self) -> None:
        for who, picker in enumerate(self.pickers):
            if picker.is_dead:
                sent = self.watched_sent()
                self.rows.clear(who)
                assert self.watched_sent() == sent
                self.noted[who] = 0
                self.pickers[who] = SimulatedPicker(self.rows, who, self.memory)
                self.pickers[who].tables.append(self.table)

    @invariant()
    def counts_are_what_was_picked_and_is_not_over(self) -> None:
        assert (self.rows.cells >= 0).all()
        for who, picker in enumerate(self.pickers):
            if picker.is_dead:
                continue
            requests = Counter(held.slot for _, held in picker.places)
            tokens: Counter[int] = Counter()
            for _, held in picker.places:
                tokens[held.slot] += held.tokens
            row = self.rows.cells[who]
            assert {slot: n for slot, n in enumerate(row[REQUESTS].tolist()) if n} == dict(requests)
            assert {slot: n for slot, n in enumerate(row[TOKENS].tolist()) if n} == dict(+tokens)
        if not any(picker.is_dead for picker in self.pickers):
            assert self.rows.open_requests(0) == len(self.pickers[0].places)
        for slot in range(SLOTS):
            assert self.rows.counts(slot).sent >= self.sent[slot]

    @invariant()
    def a_place_counts_for_the_endpoint_that_it_was_taken_at(self) -> None:
        for picker in self.pickers:
            if not picker.is_dead:
                for who, held in picker.places:
                    known = self.roster.slot_of(who)
                    assert known in (None, held.slot)
                    assert self.watched.generation(held.slot) == held.generation

    @invariant()
    def sent_since_a_scrape_is_never_negative(self) -> None:
        for slot in self.roster.current.slots.tolist():
            assert self.rows.counts(slot).sent >= self.roster.load.sent[slot] >= 0

    def watched_sent(self) -> list[int]:
        return [self.watched.counts(slot).sent for slot in range(SLOTS)]


TestSeveralPickers = SeveralPickers.TestCase
TestSeveralPickers.settings = settings(max_examples=100, stateful_step_count=60)
