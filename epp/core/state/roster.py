"""The roster gives every endpoint its slot and builds the snapshots.

A slot keeps its owner while the endpoint (same key, same incarnation) is known or while requests of ours are in
flight there; an endpoint that flaps comes back to its own slot and its own counts.
"""

from collections.abc import Callable, Iterable

import numpy as np

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock, LoadReport, ObjectState
from epp.core.state.columns import LoadColumns
from epp.core.state.cooldown import CoolDowns
from epp.core.state.ledger import InFlightLedger
from epp.core.state.rewrite_table import RewriteTable
from epp.core.state.snapshot import PoolSnapshot, empty_snapshot, stage_members

Identity = tuple[str, str, str]


def identity(endpoint: Endpoint) -> Identity:
    """What makes an endpoint the same one as before: its name, its incarnation, where it listens."""
    return endpoint.key, endpoint.incarnation, endpoint.destination


class Roster:
    """SnapshotSource and LoadSink of one process; owns slots, columns and cool-downs."""

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
        """`slot_renewed` is called with a slot that has a new owner, `load_noted` after a scrape was stored.

        `attributes`: keys of the custom metrics that scrapes may report.
        """
        self.ledger = ledger
        self.load = LoadColumns(attributes=attributes)
        self.cooldowns = CoolDowns()
        self.current: PoolSnapshot = empty_snapshot()
        self._clock = clock
        self._slot_renewed = slot_renewed
        self._load_noted = load_noted
        self._metrics_stale_after_s = metrics_stale_after_s
        self._slots: dict[Identity, int] = {}
        self._retired: dict[Identity, int] = {}
        self._free: list[int] = []
        self._used = 0

    def objects_changed(self, state: ObjectState) -> None:
        """Swaps in the snapshot of a new object state (ObjectSink)."""
        present = {identity(endpoint) for endpoint in state.endpoints}
        for gone in [known for known in self._slots if known not in present]:
            self._retired[gone] = self._slots.pop(gone)
            self.cooldowns.forget(gone[0])
        self._reclaim()
        slots = [self._slot_of(endpoint) for endpoint in state.endpoints]
        by_address: dict[str, tuple[int, ...]] = {}
        for position, endpoint in enumerate(state.endpoints):
            by_address[endpoint.address] = (*by_address.get(endpoint.address, ()), position)
        self.current = PoolSnapshot(
            version=self.current.version + 1,
            pool=state.pool,
            endpoints=state.endpoints,
            slots=np.array(slots, dtype=np.intp),
            load=self.load,
            objectives={objective.name: objective for objective in state.objectives},
            by_destination={endpoint.destination: i for i, endpoint in enumerate(state.endpoints)},
            by_address=by_address,
            metrics_stale_after_s=self._metrics_stale_after_s,
            stage_members=stage_members(state.endpoints),
            rewrites=RewriteTable.of(state.rewrites),
        )

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        """Stores a scrape (LoadSink); one that arrives after the endpoint left is dropped."""
        slot = self._slots.get(identity(endpoint))
        if slot is not None:
            now = self._clock()
            self.load.store(slot, report, now, self.ledger.counts(slot))
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
        slot = self._retired.pop(who, None)
        if slot is None:
            slot = self._new_slot()
        self._slots[who] = slot
        return slot

    def _new_slot(self) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._used
            self._used += 1
            self.load.reserve(self._used)
            self.ledger.reserve_slots(self._used)
        self.load.reset(slot)
        self.ledger.renew(slot)
        if self._slot_renewed is not None:
            self._slot_renewed(slot)
        return slot

    def _reclaim(self) -> None:
        for who in [who for who, slot in self._retired.items() if self.ledger.is_idle(slot)]:
            self._free.append(self._retired.pop(who))
