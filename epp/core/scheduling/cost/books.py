"""The books of expected-cost-scorer: what became of every request that it helped to place, until it is over.

Each book is kept by reservation serial, so that an end that comes late never touches another request, and follows a
reservation to the slot that really serves it.
"""

from typing import Final

from epp.core.domain.decision import Decision, Reservation
from epp.core.domain.ports import LoadReport, RequestReport
from epp.core.scheduling.cost.adapter_books import AdapterBooks
from epp.core.scheduling.cost.coefficients import OutputLengths
from epp.core.scheduling.cost.dispatched_work import DispatchedWork
from epp.core.scheduling.cost.engine_sums import EngineMeans, EngineSums
from epp.core.scheduling.cost.groups import Groups
from epp.core.scheduling.cost.kv_occupancy import KvOccupancy
from epp.core.scheduling.cost.lessons import Lessons, Note
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cost.prefill_backlog import PrefillBacklog
from epp.core.scheduling.cost.ramp import Ramp
from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.state.columns import Derived, LoadColumns
from epp.core.state.ledger import InFlightLedger

UNSEEN_AFTER_S: Final = 300.0
"""without a first token, or an answer, for so long the engine's own sums are taken"""
FIRST_SLOTS: Final = 16


class CostBooks:
    """OutcomeObserver, LoadObserver and SlotMemory of the scorer."""

    def __init__(self, parameters: ExpectedCostParameters) -> None:
        self._parameters = parameters
        self._slots = FIRST_SLOTS
        self._booked_s = [0.0] * FIRST_SLOTS
        """prefill seconds ever booked"""
        self._ledger: InFlightLedger | None = None
        self._load: LoadColumns | None = None
        self.backlog = PrefillBacklog(FIRST_SLOTS)
        self.occupancy = KvOccupancy(FIRST_SLOTS)
        self.adapters = AdapterBooks(FIRST_SLOTS)
        self.work = DispatchedWork(parameters.load_window_seconds)
        self.ramp = Ramp(parameters.ramp_seconds)
        self.groups = Groups(parameters)
        self.lengths = OutputLengths(parameters.expected_output_tokens, learns=parameters.learn_coefficients)
        self._lessons = Lessons(self.groups.learner_of, self.lengths)
        self._engine_sums = EngineSums()

    @property
    def open_count(self) -> int:
        """Entries of all books; 0 when nothing is in flight."""
        return len(self.backlog) + len(self.occupancy) + len(self.adapters) + len(self._lessons)

    def reserve_slots(self, slots: int) -> None:
        """Makes room for slots 0..slots-1."""
        if slots <= self._slots:
            return
        for book in (self.backlog, self.occupancy, self.adapters):
            book.reserve_slots(slots)
        self._booked_s += [0.0] * (slots - self._slots)
        self._slots = slots

    def picked(self, cycle: Cycle, reservation: Reservation, match: PrefixMatch, own_s: float) -> None:
        """The request of `cycle` goes to the slot; `own_s` as the parameters have it."""
        slot, serial, now = reservation.slot, reservation.serial, cycle.now
        work_s = own_s * self.groups.learner_of(slot).coefficients.prefill_scale
        self.backlog.book(slot, serial, work_s, now)
        self._booked_s[slot] += work_s
        self.work.add(work_s, now)
        self.occupancy.take(slot, serial, match.chain, match.block_tokens, reservation.tokens)
        self.adapters.take(slot, serial, cycle.request.target_model, cycle.snapshot.load.max_adapters.item(slot))

    def learn(self, cycle: Cycle, reservation: Reservation, own_s: float) -> None:
        """Notes what was known at the pick; after the reply, so that it costs the request nothing."""
        slot = reservation.slot
        ahead_s = self.backlog.ahead_s(reservation.serial, cycle.now)
        if ahead_s is None:
            return  # it has its first token, or is over, already
        self._ledger, self._load = cycle.ledger, cycle.snapshot.load
        found = self.groups.learner_of(slot).coefficients
        context = self._context(slot)
        requests = cycle.ledger.requests.item(slot) + self._load.derived.item(slot, Derived.OTHERS)
        note = Note(
            slot=slot,
            picked_at=cycle.now,
            own_s=own_s,
            ahead_s=ahead_s / found.prefill_scale,
            step_s=found.step_s + found.kv_s * context + self._parameters.sequence_seconds_per_step * requests,
            context=context,
            worked_s=self._worked_s(slot, cycle.now),
        )
        self._lessons.picked(reservation.serial, note)

    def moved(self, reservation: Reservation, slot: int, now: float) -> None:
        """Another slot serves the request."""
        serial = reservation.serial
        self.reserve_slots(slot + 1)
        former = self.backlog.slot_of(serial)
        if former is not None and former != slot:
            left_s = self._take_back(serial, former, now)
            self.backlog.book(slot, serial, left_s, now)
            self._booked_s[slot] += left_s
        self.occupancy.move(serial, slot)
        if self._load is not None:
            self.adapters.move(serial, slot, float(self._load.max_adapters[slot]))
        if slot != reservation.slot:
            self._lessons.moved(serial)

    def first_token(self, reservation: Reservation, now: float) -> None:
        """The prefill of the request is done."""
        self.backlog.first_token(reservation.serial, now)
        self._lessons.first_token(reservation.serial, now, self._worked_s(reservation.slot, now))

    def released(self, reservation: Reservation, now: float) -> None:
        """The request is over."""
        serial, slot = reservation.serial, reservation.slot
        self._take_back(serial, self.backlog.slot_of(serial), now)
        self.occupancy.give_back(serial)
        self.adapters.give_back(serial)
        if self._lessons.has(serial):
            self._lessons.released(serial, now, self._context(slot), self._worked_s(slot, now))
        else:
            self._lessons.forget_ended()

    def finished(self, decision: Decision, report: RequestReport) -> None:
        """What is known of the request that was released last."""
        self._lessons.finished(decision, report)

    def load_noted(self, slot: int, report: LoadReport, now: float) -> None:
        """A scrape: adapters that exist, and the engine's own sums."""
        if report.running_adapters or report.waiting_adapters:
            self.adapters.note_names((*report.running_adapters, *report.waiting_adapters))
        means = self._engine_sums.since_last(slot, report.totals, now)
        if means is not None:
            self._learn_from_engine(slot, means, now)

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner."""
        self.reserve_slots(slot + 1)
        self.backlog.forget_slot(slot)
        self.adapters.forget_slot(slot)
        self.ramp.renewed(slot)
        self._engine_sums.forget_slot(slot)

    def _learn_from_engine(self, slot: int, means: EngineMeans, now: float) -> None:
        learner = self.groups.learner_of(slot)
        own_s = 0.0
        if means.computed_tokens is not None and means.prompt_tokens is not None:
            cached = means.prompt_tokens - means.computed_tokens
            own_s = self._parameters.prefill_s(means.prompt_tokens, max(0.0, cached))
        if means.first_token_s is not None and now - learner.first_token_at > UNSEEN_AFTER_S:
            learner.engine_prefill(means.first_token_s, own_s)
        if now - learner.answer_at <= UNSEEN_AFTER_S:
            return
        if means.output_tokens is not None:
            self.lengths.learn_mean(means.output_tokens)
        if means.token_gap_s is not None:
            share = means.requests_per_s * own_s * learner.coefficients.prefill_scale
            learner.engine_step(means.token_gap_s, share, self._context(slot))

    def _take_back(self, serial: int, slot: int | None, now: float) -> float:
        """Takes a request out of the backlog of `slot`; returns what was left of its work."""
        if slot is None:
            return 0.0
        left_s = self.backlog.remove(serial, now)
        self._booked_s[slot] -= left_s
        return left_s

    def _context(self, slot: int) -> float:
        """Context tokens in flight: ours, and what a scrape showed beyond them."""
        if self._ledger is None or self._load is None:
            return 0.0
        return self._ledger.tokens.item(slot) + self._load.derived.item(slot, Derived.OTHERS_TOKENS)

    def _worked_s(self, slot: int, now: float) -> float:
        """Prefill seconds that were worked off there, ever."""
        return self._booked_s[slot] - self.backlog.left_s(slot, now)
