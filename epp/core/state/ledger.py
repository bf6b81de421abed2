"""The in-flight ledger: which endpoint holds how many of our own unfinished requests.

A pick reserves a place in the same step; the place moves when the proxy reports another server, and is released
exactly once. Handles carry slot and generation, so a release that comes late never touches the slot's next owner.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import Reservation
from epp.core.state.columns import BookCounts

Count = NDArray[np.int64]
REQUESTS: Final = 0
TOKENS: Final = 1
SENT: Final = 2
SENT_TOKENS: Final = 3
COUNTED: Final = 4
"""what is counted for each slot, and how many kinds of it there are"""


class InFlightCounts:
    """Requests and prompt tokens in flight, indexed by slot, and whose the slots are.

    `requests` and `tokens` are what is unfinished now; `sent` and `sent_tokens` only grow, until the slot gets a new
    owner, so that two readings tell what was sent between them. Scorers read all four; everything else goes through
    the methods.
    """

    def __init__(self, slots: int = 16) -> None:
        self._generations: list[int] = [0] * slots
        self._show(np.zeros((COUNTED, slots), dtype=np.int64))

    def _show(self, columns: Count) -> None:
        """From now on these count, shape (COUNTED, slots)."""
        self._columns = columns
        self.requests: Count = columns[REQUESTS]
        self.tokens: Count = columns[TOKENS]
        self.sent: Count = columns[SENT]
        self.sent_tokens: Count = columns[SENT_TOKENS]
        flat: Any = columns.reshape(-1)
        self._cells = memoryview(flat)  # the same memory, in which single cells are quicker to reach
        self._slots: int = columns.shape[1]

    @property
    def open_count(self) -> int:
        """Reservations that have not been released."""
        return 0

    @property
    def open_further_count(self) -> int:
        """How many of them are for a further stage of a request that has a place elsewhere as well."""
        return 0

    def refresh(self, now: float) -> None:
        """Brings the arrays up to date with what others count, where there are others; `now` in monotonic seconds."""

    def reserve_slots(self, slots: int) -> None:
        """Makes room for slots 0..slots-1."""
        known = self._slots
        if slots > known:
            self._show(self._larger(slots))
            self._generations.extend([0] * (self._slots - known))

    def _larger(self, slots: int) -> Count:
        """Columns for at least so many slots, with what is counted now."""
        columns = np.zeros((COUNTED, max(slots, 2 * self._slots)), dtype=np.int64)
        columns[:, : self._slots] = self._columns
        return columns

    def generation(self, slot: int) -> int:
        """Generation of the slot's present owner."""
        return self._generations[slot]

    def counts(self, slot: int) -> BookCounts:
        """The slot's counts at this moment."""
        return BookCounts(
            requests=int(self.requests[slot]),
            tokens=int(self.tokens[slot]),
            sent=int(self.sent[slot]),
            sent_tokens=int(self.sent_tokens[slot]),
        )

    def is_idle(self, slot: int) -> bool:
        """True when nothing of ours is in flight there, so that the slot may change owner."""
        return not self.requests[slot]

    def renew(self, slot: int) -> int:
        """Gives an idle slot to a new owner and returns its generation; raises ValueError when it is not idle."""
        if not self.is_idle(slot):
            raise ValueError(f"slot {slot} still has {self.counts(slot).requests} requests in flight")
        self._generations[slot] += 1
        self._forget_sent(slot)
        return self._generations[slot]

    def _forget_sent(self, slot: int) -> None:
        self.sent[slot] = self.sent_tokens[slot] = 0


class InFlightLedger(InFlightCounts):
    """The counts of a process that picks: it takes places, moves them and gives them back."""

    def __init__(self, slots: int = 16) -> None:
        super().__init__(slots)
        self._open: dict[int, Reservation] = {}
        self._open_further = 0
        self._serial = 0

    @property
    def open_count(self) -> int:
        """See InFlightCounts."""
        return len(self._open)

    @property
    def open_further_count(self) -> int:
        """See InFlightCounts."""
        return self._open_further

    def reserve(self, slot: int, tokens: int, *, is_further: bool = False) -> Reservation:
        """Takes a place for one request of `tokens` prompt tokens, or for a further stage of one."""
        self._serial += 1
        reservation = Reservation(slot, self._generations[slot], self._serial, tokens, is_further)
        self._open[reservation.serial] = reservation
        self._open_further += is_further
        self._add(slot, tokens)
        return reservation

    def move(self, reservation: Reservation, slot: int) -> None:
        """The request is served elsewhere; without effect once it was released."""
        held = self._open.get(reservation.serial)
        if held is None or held.slot == slot:
            return
        self._subtract(held)
        self._open[held.serial] = Reservation(slot, self._generations[slot], held.serial, held.tokens, held.is_further)
        self._add(slot, held.tokens)

    def release(self, reservation: Reservation) -> bool:
        """Gives the place back; True the first time, False for every later call with the same handle."""
        held = self._open.pop(reservation.serial, None)
        if held is None:
            return False
        self._subtract(held)
        self._open_further -= held.is_further
        return True

    def _add(self, slot: int, tokens: int) -> None:
        cells, slots = self._cells, self._slots
        cells[slot] += 1
        cells[TOKENS * slots + slot] += tokens
        cells[SENT * slots + slot] += 1
        cells[SENT_TOKENS * slots + slot] += tokens

    def _subtract(self, held: Reservation) -> None:
        cells, slot = self._cells, held.slot
        cells[slot] -= 1
        cells[TOKENS * self._slots + slot] -= held.tokens
