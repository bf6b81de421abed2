"""What the control process tells its pickers of the world, and what a new one has to be told to catch up."""

import asyncio
from collections.abc import Callable

from epp.app.picker_handle import PickerHandle
from epp.core.domain.ports import NO_TOTALS, LoadReport, ObjectState
from epp.core.state.ledger import InFlightCounts
from epp.core.state.pool_state import PoolTable
from epp.core.state.snapshot import PoolSnapshot
from epp.edge.peers.messages import Message, Ready, Scraped, ScrapeNote, Table

EVERY_S = 0.02
"""scrapes are told together"""
Adapters = tuple[frozenset[str], frozenset[str]]


class PickerNews:
    """Remembers what a picker that is started later needs."""

    def __init__(self, tell_all: Callable[[Message], None]) -> None:
        self._tell_all = tell_all
        self._table = Table(PoolTable(0, ObjectState(None, ()), (), ()))
        self._ready = Ready(is_ready=False)
        self._adapters: dict[int, tuple[int, Adapters]] = {}
        """generation and adapters by slot, as they were told last"""
        self._notes: list[ScrapeNote] = []

    def pool_changed(self, snapshot: PoolSnapshot, state: ObjectState, counts: InFlightCounts) -> None:
        """A new snapshot is in force here, made of `state`."""
        slots = tuple(snapshot.slots.tolist())
        generations = tuple(counts.generation(slot) for slot in slots)
        self._table = Table(PoolTable(snapshot.version, state, slots, generations))
        self._tell_all(self._table)

    def ready(self, is_ready: bool) -> None:
        """Whether requests may come."""
        if is_ready != self._ready.is_ready:
            self._ready = Ready(is_ready)
            self._tell_all(self._ready)

    def scraped(self, slot: int, generation: int, report: LoadReport) -> None:
        """A page was read, whose numbers are in the shared columns already."""
        adapters = frozenset(report.running_adapters), frozenset(report.waiting_adapters)
        is_new = self._adapters.get(slot, (generation, NO_NAMES)) != (generation, adapters)
        if report.totals == NO_TOTALS and not is_new:
            return
        self._adapters[slot] = generation, adapters
        if not self._notes:
            asyncio.get_running_loop().call_later(EVERY_S, self._tell_notes)
        self._notes.append(ScrapeNote(slot, generation, report))

    def catch_up(self, picker: PickerHandle) -> None:
        """Tells a new picker everything that the others know."""
        picker.send(self._table)
        picker.send(self._ready)
        notes = [
            ScrapeNote(slot, generation, LoadReport(running_adapters=sorted(running), waiting_adapters=sorted(waiting)))
            for slot, (generation, (running, waiting)) in self._adapters.items()
        ]
        if notes:
            picker.send(Scraped(notes))

    def _tell_notes(self) -> None:
        notes, self._notes = self._notes, []
        self._tell_all(Scraped(notes))


NO_NAMES: Adapters = (frozenset(), frozenset())
