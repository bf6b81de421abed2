"""What a process that picks knows of its pool, and where it learns it from when another process gives the slots."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.state.columns import NO_ADAPTERS, LoadColumns
from epp.core.state.cooldown import CoolDowns
from epp.core.state.in_flight_rows import SharedLedger
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Identity, identity
from epp.core.state.snapshot import PoolSnapshot, empty_snapshot, snapshot_of


class PoolState(Protocol):
    """What routing needs: `Roster`, or `FollowedRoster`."""

    @property
    def current(self) -> PoolSnapshot:
        """The newest snapshot."""
        ...

    @property
    def ledger(self) -> InFlightLedger:
        """The books of this process."""
        ...

    @property
    def cooldowns(self) -> CoolDowns:
        """Who is to be left alone."""
        ...

    def slot_of(self, endpoint: Endpoint) -> int | None:
        """The slot of an endpoint that is in the pool now."""
        ...


class PoolTable(msgspec.Struct, frozen=True):
    """An object state with the slots of its endpoints, as the process that gives them tells the others."""

    version: int
    """of the snapshot it comes from"""
    state: ObjectState
    slots: tuple[int, ...]
    """in the order of the endpoints"""
    generations: tuple[int, ...]
    """of the slots' owners"""


class FollowedRoster:
    """PoolState of a picker whose slots another process gives."""

    def __init__(
        self,
        ledger: SharedLedger,
        load: LoadColumns,
        *,
        cooldowns: CoolDowns,
        metrics_stale_after_s: float,
        slot_renewed: Callable[[int], None],
        load_noted: Callable[[int, LoadReport], None],
    ) -> None:
        """`load` is written by the other process but for the names of adapters; callbacks as those of SlotRoster."""
        self.ledger: InFlightLedger = ledger
        self.cooldowns = cooldowns
        self.current: PoolSnapshot = empty_snapshot()
        self._shared = ledger
        self._load = load
        self._metrics_stale_after_s = metrics_stale_after_s
        self._slot_renewed = slot_renewed
        self._load_noted = load_noted
        self._slots: dict[Identity, int] = {}

    def table_arrived(self, table: PoolTable) -> None:
        """Swaps in the snapshot of a new table."""
        endpoints = table.state.endpoints
        slots = {identity(endpoint): slot for endpoint, slot in zip(endpoints, table.slots, strict=True)}
        for gone in self._slots.keys() - slots.keys():
            self.cooldowns.forget(gone[0])
        self._slots = slots
        for slot, generation in zip(table.slots, table.generations, strict=True):
            if self._shared.adopt(slot, generation):
                self._load.running_adapters[slot] = self._load.waiting_adapters[slot] = NO_ADAPTERS
                self._slot_renewed(slot)
        self.current = snapshot_of(table.state, table.slots, self._load, table.version, self._metrics_stale_after_s)

    def report_arrived(self, slot: int, generation: int, report: LoadReport) -> None:
        """What a scrape said that is no number of the columns; of a former owner of the slot it is dropped."""
        if slot >= len(self.ledger.requests) or self.ledger.generation(slot) != generation:
            return
        self._load.running_adapters[slot] = frozenset(report.running_adapters)
        self._load.waiting_adapters[slot] = frozenset(report.waiting_adapters)
        self._load_noted(slot, report)

    def slot_of(self, endpoint: Endpoint) -> int | None:
        """See PoolState."""
        return self._slots.get(identity(endpoint))
