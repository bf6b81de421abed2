"""The backlog: prefill seconds of our own requests, per slot, that are not worked off yet.

An engine prefills in order of arrival, so each slot has a queue of booked requests. Its head is worked off as time
passes; a first token that is seen says that the head and everything before it is done, however long it took; a
request that ends or is served elsewhere takes what is left of its work with it. Where first tokens are not seen, time
alone works the queue off.

Memory: one entry per reservation whose prefill is not known to be done, at most as many as requests in flight.
"""

import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.state.columns import FloatColumn


class _Work:
    """What one request adds, and when it would be worked off."""

    def __init__(self, work_s: float, ends_at: float) -> None:
        self.work_s = work_s
        self.ends_at = ends_at


class PrefillBacklog:
    """Times are monotonic seconds; `busy_until` is read by slot: when the queue is worked off if all goes as booked."""

    def __init__(self, slots: int = 16) -> None:
        self.busy_until: FloatColumn = np.full(slots, -np.inf)
        self._queues: dict[int, dict[int, _Work]] = {}
        """by slot, then by serial in order of booking"""
        self._slots: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def reserve_slots(self, slots: int) -> None:
        """Makes room for slots 0..slots-1."""
        self.busy_until = grown(self.busy_until, slots, -np.inf)

    def slot_of(self, serial: int) -> int | None:
        """Where the request is booked; None when its prefill is done."""
        return self._slots.get(serial)

    def ahead_s(self, serial: int, now: float) -> float | None:
        """Seconds of work before the request's own; None when its prefill is done."""
        slot = self._slots.get(serial)
        if slot is None:
            return None
        work = self._queues[slot][serial]
        return max(0.0, work.ends_at - work.work_s - now)

    def left_s(self, slot: int, now: float) -> float:
        """Seconds of work left at one slot."""
        return max(0.0, self.busy_until.item(slot) - now)

    def book(self, slot: int, serial: int, work_s: float, now: float) -> None:
        """A request with `work_s` seconds of prefill was sent to the slot."""
        ends_at = max(now, self.busy_until.item(slot)) + work_s
        self.busy_until[slot] = ends_at
        queue = self._queues.get(slot)
        if queue is None:
            queue = self._queues[slot] = {}
        queue[serial] = _Work(work_s, ends_at)
        self._slots[serial] = slot

    def first_token(self, serial: int, now: float) -> None:
        """The request's prefill is done, and that of all that were booked there before it."""
        slot = self._slots.get(serial)
        if slot is None:
            return
        queue = self._queues[slot]
        for done in list(queue):
            self._drop(queue, done)
            if done == serial:
                break
        ends_at = now
        for work in queue.values():
            ends_at += work.work_s
            work.ends_at = ends_at
        self.busy_until[slot] = ends_at
        self._tidy(slot, queue)

    def remove(self, serial: int, now: float) -> float:
        """The request is over or elsewhere; returns the seconds of work that were left of it."""
        slot = self._slots.get(serial)
        if slot is None:
            return 0.0
        queue = self._queues[slot]
        gone = queue[serial]
        left_s = min(gone.work_s, max(0.0, gone.ends_at - now))
        if left_s:
            for work in queue.values():
                if work.ends_at > gone.ends_at:
                    work.ends_at -= left_s
            self.busy_until[slot] -= left_s
        self._drop(queue, serial)
        self._tidy(slot, queue)
        return left_s

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner with an empty queue."""
        for serial in self._queues.pop(slot, {}):
            del self._slots[serial]
        self.busy_until[slot] = -np.inf

    def _drop(self, queue: dict[int, _Work], serial: int) -> None:
        del queue[serial]
        del self._slots[serial]

    def _tidy(self, slot: int, queue: dict[int, _Work]) -> None:
        if not queue:
            del self._queues[slot]
