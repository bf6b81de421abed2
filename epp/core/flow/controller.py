"""Flow control: who may go now.

Requests that may not go at once wait in queues, one per flow (fairness id, priority). Bands go strictly from the
highest priority down; within a band the fairness policy picks the flow and the ordering policy the item. A band goes
while saturation < its ceiling (usage limit policy). One that its own ceiling holds back does not hold up the others
(in the reference it does); otherwise a lower band never overtakes a higher one. Saturation is asked before every grant
and a grant dispatches, so that the next one sees the place taken: as many go as fit, and no more. While the pool has no
endpoint everybody waits, up to capacity and deadline (scale from zero).

Nothing here waits, has a clock or answers tickets: `advance` says what happened and the caller answers. Call it

- whenever saturation, membership or objectives may have changed (a release, a scrape, a new snapshot),
- and at `next_deadline`.

Times are monotonic seconds that never run backwards. The callables must not call the controller.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.flow import refusals
from epp.core.flow.band import Band, BandLimits, Entry
from epp.core.flow.bands import Bands
from epp.core.flow.events import Evicted, FlowEvent, FlowOutcome, Granted, outcome_of
from epp.core.flow.item import FlowItem
from epp.core.flow.settings import FlowSettings
from epp.core.flow.statistics import BandStatistics, Blocked, statistics_of
from epp.core.flow.ticket import QueueTicket
from epp.core.flow.usage_limits.policy import UsageLimitPolicy
from epp.core.flow.waiting import Waiting


class FlowController:
    """See the module. Every operation is O(log n) in what waits, plus the number of bands."""

    def __init__(
        self,
        settings: FlowSettings,
        usage_limits: UsageLimitPolicy,
        *,
        dispatch: Callable[[FlowItem], Decision],
        saturation: Callable[[], float],
        has_endpoints: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._usage_limits = usage_limits
        self._dispatch = dispatch
        self._saturation = saturation
        self._has_endpoints = has_endpoints
        self._bands = Bands(settings)
        self._waiting = Waiting(settings.default_ttl_s, settings.no_endpoint_ttl_s)
        self._entries: dict[FlowItem, tuple[Entry, Band]] = {}
        self._serial = 0
        self._draining = False
        self._ask_again_at = math.inf
        self.body_bytes = 0
        """of all that wait"""
        self.blocked: Blocked | None = None
        """the highest band that waits for saturation to fall, as last asked; None when nobody does"""

    def __len__(self) -> int:
        """How many wait."""
        return len(self._entries)

    def offer(self, item: FlowItem, now: float) -> Decision | QueueTicket:
        """A request comes: dispatched at once, or told to wait; raises Refusal (capacity, deadline, scheduling, drain).

        Whatever `dispatch` raises comes out as it is.
        """
        if item in self._entries:
            raise ValueError(f"request {item.request.request_id} waits already")
        self._look(now)
        self._bands.collect(now)
        band = self._bands.of(item.key.priority, now)
        try:
            if self._may_pass(band, now):
                decision = self._dispatch(item)
                band.outcomes[FlowOutcome.DISPATCHED] += 1
                return decision
            self._check_admission(item, band, now)
        except Refusal as refusal:
            band.outcomes[outcome_of(refusal, waited=False)] += 1
            raise
        return self._enqueue(item, band, now)

    def advance(self, now: float, most_grants: float = math.inf) -> list[FlowEvent]:
        """Expires what is due, then grants all that fit; what happened, in order.

        After `most_grants` it stops and `next_deadline` is now: a grant costs a scheduling cycle, and whoever runs an
        event loop may want to let others in between.
        """
        events: list[FlowEvent] = []
        self._look(now)
        while (due := self._waiting.first_to_expire()) is not None and due[0] <= now:
            entry = due[1]
            refusal = refusals.timed_out(now - entry.enqueued_at, has_endpoints=self._has_pool)
            events.append(self._evict(entry, refusal, now))
        self.blocked = None
        self._ask_again_at = math.inf
        stop_at = len(events) + most_grants
        while self._has_pool and (band := self._open_band(now)) is not None:
            if len(events) >= stop_at:
                self._ask_again_at = now
                break
            events.append(self._grant(band, now))
        self._bands.collect(now)
        return events

    def next_deadline(self) -> float | None:
        """When `advance` has something to do even if nothing changes; None: never."""
        due = self._waiting.first_to_expire()
        deadline = min(math.inf if due is None else due[0], self._ask_again_at)
        return None if math.isinf(deadline) else deadline

    def withdraw(self, item: FlowItem, now: float) -> Evicted | None:
        """The client has gone: takes the item out and closes its ticket. None when it does not wait (any more)."""
        found = self._entries.get(item)
        return None if found is None else self._evict(found[0], refusals.client_gone(now - found[0].enqueued_at), now)

    def drain(self, now: float) -> list[FlowEvent]:
        """The picker ends: refuses everybody who waits, and from now on who would have to."""
        self._draining = True
        self.blocked = None
        self._ask_again_at = math.inf
        events: list[FlowEvent] = []
        while (entry := self._waiting.eldest) is not None:
            events.append(self._evict(entry, refusals.shutting_down(), now))
        return events

    def reconfigure(self, settings: FlowSettings, usage_limits: UsageLimitPolicy, now: float) -> None:
        """Other rules for everybody, also for those who wait: nobody is refused for a limit that came later.

        The order of arrival and the time that was waited stay; the waiting budget is the new one.
        """
        former, kept = list(self._waiting), self._bands.kept
        outcomes = {band.priority: band.outcomes for band in self._bands}
        self._settings, self._usage_limits = settings, usage_limits
        self._bands = Bands(settings)
        self._bands.keep(kept, now)
        self._waiting = self._waiting.with_budgets(settings.default_ttl_s, settings.no_endpoint_ttl_s)
        self._entries.clear()
        self.body_bytes = 0
        self.blocked = None
        for entry in former:
            band = self._bands.of(entry.item.key.priority, now)
            entry.flow = self._bands.flow(band, entry.item.key.fairness_id)
            self._put(entry, band)
        for band in self._bands:
            band.outcomes = outcomes.get(band.priority, band.outcomes)

    def keep_bands(self, priorities: Iterable[int], now: float) -> None:
        """Says which priorities the objectives name: these bands count for ceilings even while nobody waits."""
        self._bands.keep(priorities, now)

    def statistics(self) -> list[BandStatistics]:
        """All bands, highest first."""
        return [statistics_of(band) for band in self._bands]

    @property
    def longest_wait_s(self) -> float:
        """After which a request that comes now has its answer for certain; infinite where nothing limits the wait."""
        return self._waiting.longest_wait_s

    @property
    def limits(self) -> BandLimits:
        """Of all bands together; 0 means unlimited."""
        return self._settings.limits

    @property
    def _has_pool(self) -> bool:
        return bool(self._waiting.has_endpoints)

    def _look(self, now: float) -> None:
        self._waiting.look(self._has_endpoints(), now)

    def _may_pass(self, band: Band, now: float) -> bool:
        """Whether a request of `band` goes without waiting: nobody who waits could go before it."""
        if not self._has_pool:
            return False
        first = self._first_open(now, band)
        return first is band and not band.requests

    def _open_band(self, now: float) -> Band | None:
        """The band that goes next."""
        return self._first_open(now, None) if self._bands.waiting else None

    def _first_open(self, now: float, newcomer: Band | None) -> Band | None:
        """The highest band below its ceiling among those with items and `newcomer`; asks saturation once."""
        saturation = self._saturation()
        ceilings = self._usage_limits.ceilings(saturation, self._bands.priorities)
        blocked = None
        for band in self._contenders(newcomer):
            ceiling = ceilings[self._bands.ranks[band.priority]]
            if saturation < ceiling:
                if newcomer is not None and band.requests:
                    self._ask_again_at = now  # somebody who waits may go: saturation fell and nobody has advanced
                return band
            blocked = blocked or Blocked(band.priority, saturation, ceiling)
        self.blocked = blocked
        if self._usage_limits.alternates and saturation < 1.0:
            self._ask_again_at = min(self._ask_again_at, now + self._settings.ask_again_s)
        return None

    def _contenders(self, newcomer: Band | None) -> Sequence[Band]:
        waiting = self._bands.waiting
        if newcomer is None or newcomer.requests:
            return waiting
        higher = [band for band in waiting if band.priority > newcomer.priority]
        return [*higher, newcomer]

    def _check_admission(self, item: FlowItem, band: Band, now: float) -> None:
        """Raises the Refusal for an item that may not even wait."""
        if self._draining:
            raise refusals.shutting_down()
        if item.deadline <= now:
            raise refusals.timed_out(0.0, has_endpoints=self._has_pool)
        name = f"the band of priority {band.priority}"
        exceeded = _exceeded(name, band.limits, band.requests, band.body_bytes + item.body_bytes) or _exceeded(
            "flow control", self._settings.limits, len(self._entries), self.body_bytes + item.body_bytes
        )
        if exceeded:
            raise refusals.no_room(exceeded, has_endpoints=self._has_pool)

    def _enqueue(self, item: FlowItem, band: Band, now: float) -> QueueTicket:
        self._serial += 1
        ticket = QueueTicket(min(self._waiting.longest_wait_s, item.deadline - now))
        entry = Entry(item, ticket, self._bands.flow(band, item.key.fairness_id), self._serial, now)
        self._put(entry, band)
        return ticket

    def _put(self, entry: Entry, band: Band) -> None:
        self._entries[entry.item] = (entry, band)
        self.body_bytes += entry.item.body_bytes
        self._waiting.add(entry)
        self._bands.add(band, entry, self._waiting.ttl_s)

    def _grant(self, band: Band, now: float) -> FlowEvent:
        entry = band.next_entry()
        waited_s = now - entry.enqueued_at
        if not entry.ticket.is_open:
            return self._evict(entry, refusals.client_gone(waited_s), now)
        try:
            decision = self._dispatch(entry.item)
        except Refusal as refusal:
            return self._evict(entry, refusal, now)
        except Exception as error:  # noqa: BLE001  a plugin's fault becomes a clear 500 for this request alone
            return self._evict(entry, refusals.fault(error), now)
        self._leave(entry, band, now)
        band.fairness.granted(entry.flow)
        band.outcomes[FlowOutcome.DISPATCHED] += 1
        return Granted(entry.item, entry.ticket, waited_s, decision)

    def _evict(self, entry: Entry, refusal: Refusal, now: float) -> Evicted:
        band = self._entries[entry.item][1]
        self._leave(entry, band, now)
        outcome = outcome_of(refusal, waited=True)
        if outcome is FlowOutcome.EVICTED_CONTEXT_CANCELLED and entry.ticket.is_open:
            entry.ticket.on_withdraw = None
            entry.ticket.withdraw()
        band.outcomes[outcome] += 1
        return Evicted(entry.item, entry.ticket, now - entry.enqueued_at, outcome, refusal)

    def _leave(self, entry: Entry, band: Band, now: float) -> None:
        del self._entries[entry.item]
        self.body_bytes -= entry.item.body_bytes
        self._waiting.remove(entry)
        self._bands.remove(band, entry, now)
        if self.blocked is not None and self.blocked.priority == band.priority and not band.requests:
            self.blocked = None


def _exceeded(whose: str, limits: BandLimits, requests: int, body_bytes: int) -> str:
    """Which limit does not admit one more request, `body_bytes` with it; empty when both do."""
    if limits.max_requests and requests >= limits.max_requests:
        return f"{whose} holds its maxRequests of {limits.max_requests}"
    if limits.max_bytes and body_bytes > limits.max_bytes:
        return f"{whose} would hold {body_bytes} bytes, over its maxBytes of {limits.max_bytes}"
    return ""
