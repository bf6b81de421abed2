"""Everybody who waits, by the time when the wait is over.

The budget of a request depends on whether the pool has endpoints, and starts anew when that changes; the whole wait
ends at the latest GRACE_S after the longer of the two budgets (the reference's hard backstop). So the deadline is

    min(max(enqueued, last change) + budget, enqueued + longest budget + GRACE_S, the request's own deadline).

The first two rise with the order of arrival, so the eldest expires first and a change costs nothing, however many wait;
only requests that bring a deadline of their own stand in a heap.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator

from epp.core.flow.band import Entry
from epp.core.flow.live_heap import LiveHeap

GRACE_S = 2.0


class Waiting:
    """Entries in order of arrival; times are monotonic seconds that never run backwards."""

    def __init__(self, default_ttl_s: float, no_endpoint_ttl_s: float | None) -> None:
        with_endpoints = default_ttl_s or math.inf
        without = with_endpoints if no_endpoint_ttl_s is None else no_endpoint_ttl_s or math.inf
        self._budgets = {True: with_endpoints, False: without}
        self._longest = max(with_endpoints, without) + GRACE_S
        self._changed_at = -math.inf
        self._arrivals: OrderedDict[Entry, None] = OrderedDict()
        self._own: LiveHeap[Entry] = LiveHeap()
        self.has_endpoints: bool | None = None
        """None before the first look"""

    def with_budgets(self, default_ttl_s: float, no_endpoint_ttl_s: float | None) -> "Waiting":
        """Nobody waits in the new one yet; what is known of the pool stays."""
        other = Waiting(default_ttl_s, no_endpoint_ttl_s)
        other.has_endpoints, other._changed_at = self.has_endpoints, self._changed_at
        return other

    def __iter__(self) -> Iterator[Entry]:
        """In order of arrival."""
        return iter(self._arrivals)

    def __len__(self) -> int:
        return len(self._arrivals)

    @property
    def ttl_s(self) -> float | None:
        """The present budget; None: no limit."""
        budget = self._budgets[bool(self.has_endpoints)]
        return None if math.isinf(budget) else budget

    @property
    def longest_wait_s(self) -> float:
        """After which time a request that comes now has its answer for certain; infinite without limit."""
        return self._longest

    @property
    def eldest(self) -> Entry | None:
        """Who has waited longest."""
        return next(iter(self._arrivals), None)

    def look(self, has_endpoints: bool, now: float) -> None:
        """Says whether the pool has endpoints now."""
        if has_endpoints is not self.has_endpoints:
            self._changed_at = now
            self.has_endpoints = has_endpoints

    def add(self, entry: Entry) -> None:
        """Somebody begins to wait."""
        self._arrivals[entry] = None
        if not math.isinf(entry.item.deadline):
            self._own.put(entry, (entry.item.deadline, entry.serial))

    def remove(self, entry: Entry) -> None:
        """Somebody waits no longer."""
        del self._arrivals[entry]
        self._own.discard(entry)

    def first_to_expire(self) -> tuple[float, Entry] | None:
        """The earliest deadline and whose it is; None when nobody waits or nothing limits the wait."""
        found: tuple[float, Entry] | None = None
        eldest = self.eldest
        if eldest is not None:
            since = max(eldest.enqueued_at, self._changed_at)
            found = (
                min(since + self._budgets[bool(self.has_endpoints)], eldest.enqueued_at + self._longest),
                eldest,
            )
        own = self._own.first()
        if own is not None and (found is None or own[1][0] < found[0]):
            found = (own[1][0], own[0])
        return None if found is None or math.isinf(found[0]) else found
