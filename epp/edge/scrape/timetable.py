"""When each endpoint is due, without bursts: a heap of due times.

Whoever is due is put down for its next time at once (its last due time + its period), so the spacing between endpoints
stays as it is. It is made even when an endpoint joins or its period changes much: the next interval is then a share of
the period, and the shares are multiples of the golden ratio modulo 1, which cover 0..1 evenly for any number of them.
"""

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

K = TypeVar("K", bound=Hashable)

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_MUCH = 1.5


class _Entry(msgspec.Struct):
    due: float
    period_s: float
    share: float
    last: float = -math.inf
    shortest_s: float = 0.0
    """from where to `period_s` the next interval is spread"""
    spread: bool = True


class Timetable(Generic[K]):
    """Keys with a period each; times are those of the caller's clock."""

    def __init__(self) -> None:
        self._entries: dict[K, _Entry] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def next_due(self) -> float:
        """When somebody is due next, infinite when there is nobody."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else math.inf

    def add(self, key: K, period_s: float, due: float) -> None:
        """A new key, due for the first time at `due`."""
        self._added += 1
        self._entries[key] = _Entry(due, period_s, share=self._added * _GOLDEN % 1.0)
        self._push(key, due)

    def remove(self, key: K) -> None:
        """Forgets a key."""
        del self._entries[key]

    def set_period(self, key: K, period_s: float, now: float) -> None:
        """A shorter period counts from the last due time on; a longer one after the time that is already fixed."""
        entry = self._entries[key]
        former_s, entry.period_s = entry.period_s, period_s
        if period_s > former_s * _MUCH:
            entry.shortest_s, entry.spread = former_s, True
        elif period_s < former_s:
            if period_s * _MUCH < former_s:
                entry.shortest_s, entry.spread = 0.0, True
            sooner = max(now, entry.last + period_s)
            if sooner < entry.due:
                entry.due = sooner
                self._push(key, sooner)

    def take_due(self, now: float) -> list[K]:
        """Everybody who is due, each once; each is put down for its next time, never for a burst to catch up."""
        taken = []
        while self.next_due <= now:
            _, _, key = heapq.heappop(self._heap)
            taken.append(key)
            entry = self._entries[key]
            if now - entry.due > entry.period_s / 2:  # the caller was held up, and many are late together
                entry.due, entry.shortest_s, entry.spread = now, 0.0, True
            entry.last = now
            entry.due = max(entry.due + self._interval_s(entry), now + entry.period_s / 100)
            self._push(key, entry.due)
        return taken

    def _interval_s(self, entry: _Entry) -> float:
        if not entry.spread:
            return entry.period_s
        entry.spread = False
        return entry.shortest_s + (entry.period_s - entry.shortest_s) * entry.share

    def _push(self, key: K, due: float) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, key))

    def _drop_outdated(self) -> None:
        heap, entries = self._heap, self._entries
        while heap:
            due, _, key = heap[0]
            entry = entries.get(key)
            if entry is not None and entry.due == due:
                return
            heapq.heappop(heap)
