"""The roster gives every endpoint its slot and builds the snapshots.

A slot keeps its owner while the endpoint (same key, same incarnation) is known or while requests of ours are in
flight there; an endpoint that flaps comes back to its own slot and its own counts.
"""

from collections.abc import Callable, Iterable
from math import inf

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock, LoadReport, ObjectState
from epp.core.state.columns import LoadColumns
from epp.core.state.cooldown import CoolDowns
from epp.core.state.ledger import InFlightCounts, InFlightLedger
from epp.core.state.snapshot import PoolSnapshot, empty_snapshot, snapshot_of

Identity = tuple[str, str, str]


def identity(endpoint: Endpoint) -> Identity:
    """What makes an endpoint the same one as before: its name, its incarnation, where it listens."""
    return endpoint.key, endpoint.incarnation, endpoint.destination


class SlotRoster:
    """SnapshotSource and LoadSink; owns slots, columns and cool-downs, and decides when a slot gets a new owner."""

    def __init__(
        self,
        counts: InFlightCounts,
        clock: Clock,
        *,
        metrics_stale_after_s: float = 2.0,
        slot_renewed: Callable[[int], None] | None = None,
        load_noted: Callable[[int, LoadReport], None] | None = None,
        attributes: Iterable[str] = (),
        load: LoadColumns | None = None,
        cooldowns: CoolDowns | None = None,
        version_in_use: Callable[[], float] | None = None,
    ) -> None:
        """`slot_renewed` is called with a slot that has a new owner, `load_noted` after a scrape was stored.

        `attributes`: keys of the custom metrics that scrapes may report, unless `load` is given. `version_in_use`:
        the oldest snapshot by which somebody may still pick; without it, the one that was swapped in last.
        """
        self.counts = counts
        self.load = LoadColumns(attributes=attributes) if load is None else load
        self.cooldowns = CoolDowns() if cooldowns is None else cooldowns
        self.current: PoolSnapshot = empty_snapshot()
        self.state = ObjectState(None, ())
        """what `current` is made of"""
        self._clock = clock
        self._slot_renewed = slot_renewed
        self._load_noted = load_noted
        self._metrics_stale_after_s = metrics_stale_after_s
        self._version_in_use = version_in_use or (lambda: inf)
        self._slots: dict[Identity, int] = {}
        self._retired: dict[Identity, tuple[int, int]] = {}
        """slot, and the first version that is without the endpoint"""
        self._free: list[int] = []
        self._used = 0

    def objects_changed(self, state: ObjectState) -> None:
        """Swaps in the snapshot of a new object state (ObjectSink); raises NoMoreSlots, and the former one stays."""
        version = self.current.version + 1
        present = {identity(endpoint) for endpoint in state.endpoints}
        for gone in [known for known in self._slots if known not in present]:
            self._retired[gone] = self._slots.pop(gone), version
            self.cooldowns.forget(gone[0])
        self._reclaim()
        slots = [self._slot_of(endpoint) for endpoint in state.endpoints]
        self.state = state
        self.current = snapshot_of(state, slots, self.load, version, self._metrics_stale_after_s)

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        """Stores a scrape (LoadSink); one that arrives after the endpoint left is dropped."""
        slot = self._slots.get(identity(endpoint))
        if slot is not None:
            now = self._clock()
            self.load.store(slot, report, now, self.counts.counts(slot))
            if self._load_noted is not None:
                self._load_noted(slot, report)
            self.cooldowns.succeeded(endpoint.key, now)

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        """Counts a failed scrape (LoadSink); the old values stay and grow stale."""
        if local_origin and identity(endpoint) in self._slots:
            self.cooldowns.failed(endpoint.key, self._clock())

    def slot_of(self, endpoint: Endpoint) -> int | None:
        """The slot of an endpoint that is in the pool now."""
        return self._slots.get(identity(endpoint))

    def _slot_of(self, endpoint: Endpoint) -> int:
        who = identity(endpoint)
        slot = self._slots.get(who)
        if slot is not None:
            return slot
        retired = self._retired.pop(who, None)
        slot = self._slots[who] = self._new_slot() if retired is None else retired[0]
        return slot

    def _new_slot(self) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._used
            self.load.reserve(slot + 1)
            self.counts.reserve_slots(slot + 1)
            self._used += 1
        self.load.reset(slot)
        self.counts.renew(slot)
        self.load.sent[slot], self.load.sent_tokens[slot] = self._sent(slot)
        if self._slot_renewed is not None:
            self._slot_renewed(slot)
        return slot

    def _sent(self, slot: int) -> tuple[int, int]:
        """What former owners were sent, where the counts go on from there."""
        books = self.counts.counts(slot)
        return books.sent, books.sent_tokens

    def _reclaim(self) -> None:
        """First nobody may pick by a snapshot with the endpoint any more, then nothing may be in flight there."""
        in_use = self._version_in_use()
        for who, (slot, gone_since) in tuple(self._retired.items()):
            if gone_since <= in_use and self.counts.is_idle(slot):
                del self._retired[who]
                self._free.append(slot)


class Roster(SlotRoster):
    """A SlotRoster of a process that picks by itself: see PoolState."""

    def __init__(
        self,
        ledger: InFlightLedger,
        clock: Clock,
        *,
        metrics_stale_after_s: float = 2.0,
        slot_renewed: Callable[[int], None] | None = None,
        load_noted: Callable[[int, LoadReport], None] | None = None,
        attributes: Iterable[str] = (),
    ) -> None:
        """See SlotRoster."""
        super().__init__(
            ledger,
            clock,
            metrics_stale_after_s=metrics_stale_after_s,
            slot_renewed=slot_renewed,
            load_noted=load_noted,
            attributes=attributes,
        )
        self.ledger = ledger
