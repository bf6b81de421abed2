"""In-flight counts that several picker processes share: a row for each of them, in memory that all of them see.

Cells are eight aligned bytes with one writer, the picker whose row it is; readers add the rows up. No invariant spans
two cells. The last row is that of the process that watches the pickers: it keeps what dead ones had sent, so that sums
of `sent` never go back, and takes over a dead picker's cells to clear them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import Reservation
from epp.core.state.columns import BookCounts, NoMoreSlots
from epp.core.state.ledger import COUNTED, REQUESTS, SENT, SENT_TOKENS, TOKENS, Count, InFlightCounts, InFlightLedger

REFRESH_S: Final = 0.002
"""how old the other pickers' counts may be when a request is decided"""


class InFlightRows:
    """The cells of all pickers, shape (pickers + 1, COUNTED, slots)."""

    def __init__(self, pickers: int, slots: int, memory: NDArray[np.int64]) -> None:
        """`memory`: `cell_count(pickers, slots)` numbers, zeros at first; raises ValueError for another size."""
        self.cells = memory.reshape(pickers + 1, COUNTED, slots)
        self.pickers = pickers
        self.slots = slots

    @staticmethod
    def cell_count(pickers: int, slots: int) -> int:
        """Numbers that `memory` needs."""
        return (pickers + 1) * COUNTED * slots

    def add_up(self, totals: NDArray[np.int64]) -> None:
        """Writes the sums of the first slots into `totals`, shape (COUNTED, some slots)."""
        np.add.reduce(self.cells[:, :, : totals.shape[1]], axis=0, out=totals)

    def sums(self, slots: int, known: int = 0) -> Count:
        """The sums, new, for at least so many slots and twice as many as are known; raises NoMoreSlots."""
        if slots > self.slots:
            raise NoMoreSlots(self.slots)
        totals = np.zeros((COUNTED, min(max(slots, 2 * known), self.slots)), dtype=np.int64)
        self.add_up(totals)
        return totals

    def counts(self, slot: int) -> BookCounts:
        """The sums of one slot."""
        return BookCounts(*(int(count) for count in self.cells[:, :, slot].sum(axis=0)))

    def is_idle(self, slot: int) -> bool:
        """Whether every row is 0 there; a sum could hide a row that was read too early."""
        return not self.cells[:, REQUESTS, slot].any()

    def open_requests(self, picker: int) -> int:
        """Requests that one picker has in flight."""
        return int(self.cells[picker, REQUESTS].sum())

    def clear(self, picker: int) -> None:
        """A picker is dead: nothing of it is in flight any more, and what it had sent stays counted.

        Its process must have ended, since every cell has one writer.
        """
        of_the_dead, row = self.cells[self.pickers], self.cells[picker]
        for sent in (SENT, SENT_TOKENS):
            of_the_dead[sent] += row[sent]  # first here, then gone there: readers may see too much, never too little
        row[:] = 0


class WatchedCounts(InFlightCounts):
    """Of the process that watches the pickers and gives slots to endpoints; it has nothing in flight itself.

    The arrays are the sums of the rows as they were at the last `refresh`.
    """

    def __init__(self, rows: InFlightRows, slots: int = 16) -> None:
        super().__init__(min(slots, rows.slots))
        self.open_places = 0
        """reservations that the pickers have told of"""
        self.open_further_places = 0
        self._rows = rows
        self._show(rows.sums(self._slots))

    @property
    def open_count(self) -> int:
        """See InFlightCounts."""
        return self.open_places

    @property
    def open_further_count(self) -> int:
        """See InFlightCounts."""
        return self.open_further_places

    def refresh(self, now: float) -> None:  # noqa: ARG002  asked for when a page is, which is seldom
        """See InFlightCounts."""
        self._rows.add_up(self._columns)

    def counts(self, slot: int) -> BookCounts:
        """See InFlightCounts; of this moment, whenever `refresh` was called."""
        return self._rows.counts(slot)

    def is_idle(self, slot: int) -> bool:
        """See InFlightCounts; of this moment, whenever `refresh` was called."""
        return self._rows.is_idle(slot)

    def _larger(self, slots: int) -> Count:
        return self._rows.sums(slots, self._slots)

    def _forget_sent(self, slot: int) -> None:
        """`sent` is other processes' and goes on growing: differences are what counts."""


class SharedLedger(InFlightLedger):
    """Of one picker among several: it writes its own row; the arrays are the sums of all, at most REFRESH_S old."""

    def __init__(self, rows: InFlightRows, picker: int, slots: int = 16) -> None:
        super().__init__(min(slots, rows.slots))
        self._rows = rows
        self._own = memoryview(rows.cells[picker].reshape(-1))
        self._stride = rows.slots
        self._refresh_at = float("-inf")
        self._show(rows.sums(self._slots))

    def refresh(self, now: float) -> None:
        """See InFlightCounts."""
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_S
            self._rows.add_up(self._columns)

    def adopt(self, slot: int, generation: int) -> bool:
        """The slot's owner is the one of this generation; False when that is known already."""
        self.reserve_slots(slot + 1)
        if self._generations[slot] == generation:
            return False
        self._generations[slot] = generation
        return True

    def counts(self, slot: int) -> BookCounts:
        """See InFlightCounts; of this moment, whenever `refresh` was called."""
        return self._rows.counts(slot)

    def is_idle(self, slot: int) -> bool:
        """See InFlightCounts; of this moment, whenever `refresh` was called."""
        return self._rows.is_idle(slot)

    def _larger(self, slots: int) -> Count:
        return self._rows.sums(slots, self._slots)

    def _forget_sent(self, slot: int) -> None:
        """As in WatchedCounts."""

    def _add(self, slot: int, tokens: int) -> None:
        super()._add(slot, tokens)
        own, stride = self._own, self._stride
        own[slot] += 1
        own[TOKENS * stride + slot] += tokens
        own[SENT * stride + slot] += 1
        own[SENT_TOKENS * stride + slot] += tokens

    def _subtract(self, held: Reservation) -> None:
        super()._subtract(held)
        own, slot = self._own, held.slot
        own[slot] -= 1
        own[TOKENS * self._stride + slot] -= held.tokens
