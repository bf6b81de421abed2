"""The in-flight ledger: which endpoint holds how many of our own unfinished requests.

A pick reserves a place in the same step; the place moves when the proxy reports another server, and is released
exactly once. Handles carry slot and generation, so a release that comes late never touches the slot's next owner.
"""

import numpy as np
from numpy.typing import NDArray

from epp.core.domain.decision import Reservation
from epp.core.state.columns import BookCounts

Count = NDArray[np.int64]


class InFlightCounts:
    """Requests and prompt tokens in flight, indexed by slot, and whose the slots are.

    `requests` and `tokens` are what is unfinished now; `sent` and `sent_tokens` only grow, until the slot gets a new
    owner, so that two readings tell what was sent between them. Scorers read all four; everything else goes through
    the methods.
    """

    def __init__(self, slots: int = 16) -> None:
        self.requests: Count = np.zeros(slots, dtype=np.int64)
        self.tokens: Count = np.zeros(slots, dtype=np.int64)
        self.sent: Count = np.zeros(slots, dtype=np.int64)
        self.sent_tokens: Count = np.zeros(slots, dtype=np.int64)
        self._generations: list[int] = [0] * slots

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
        missing = slots - len(self.requests)
        if missing <= 0:
            return
        missing = max(missing, len(self.requests))
        padding = np.zeros(missing, dtype=np.int64)
        self.requests = np.concatenate([self.requests, padding])
        self.tokens = np.concatenate([self.tokens, padding])
        self.sent = np.concatenate([self.sent, padding])
        self.sent_tokens = np.concatenate([self.sent_tokens, padding])
        self._generations.extend([0] * missing)

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
        self.requests[slot] += 1
        self.tokens[slot] += tokens
        self.sent[slot] += 1
        self.sent_tokens[slot] += tokens

    def _subtract(self, held: Reservation) -> None:
        self.requests[held.slot] -= 1
        self.tokens[held.slot] -= held.tokens
