"""Which LoRA adapters each slot probably has on its device, and what it costs to bring another one there.

Whether a model name is an adapter is learned from the engines: a name that was ever on a list of running or waiting
adapters is one. The engines list only adapters with requests in flight, and a scrape is old, so our own requests are
the base: an adapter that we sent somewhere is there, and stays until as many others as fit were used after it, which
is how an engine evicts. The scraped lists are a lower bound, for traffic that passes us by.

Memory: at most MOST_NAMES names, and per slot the adapters in flight there and those that fit beside them.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn

MOST_NAMES: Final = 10_000


class AdapterBooks:
    """Requests in flight by slot and adapter."""

    def __init__(self, slots: int = 16) -> None:
        self._busy: FloatColumn = np.zeros(slots)
        """adapters with requests of ours in flight"""
        self._least: FloatColumn = np.zeros(slots)
        """requests in flight of the least used of them"""
        self._counts: dict[int, OrderedDict[str, int]] = {}
        """by slot: requests in flight by adapter, the most recently used last"""
        self._held: dict[int, tuple[int, str]] = {}
        """slot and adapter by serial"""
        self._names: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def reserve_slots(self, slots: int) -> None:
        """Makes room for slots 0..slots-1."""
        self._busy = grown(self._busy, slots)
        self._least = grown(self._least, slots)

    def note_names(self, names: Iterable[str]) -> None:
        """An engine listed these adapters."""
        for name in names:
            self._names[name] = None
            self._names.move_to_end(name)
        while len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)

    def is_adapter(self, model: str) -> bool:
        """Whether an engine ever listed the name."""
        return model in self._names

    def take(self, slot: int, serial: int, model: str, max_adapters: float) -> None:
        """A request for `model` went to the slot; without effect for a model that is no adapter."""
        if model not in self._names:
            return
        counts = self._counts.setdefault(slot, OrderedDict())
        counts[model] = counts.get(model, 0) + 1
        counts.move_to_end(model)
        self._held[serial] = (slot, model)
        self._evict(counts, max_adapters)
        self._count(slot, counts)

    def give_back(self, serial: int) -> None:
        """The request is over; its adapter stays on the device."""
        held = self._held.pop(serial, None)
        if held is None:
            return
        slot, model = held
        counts = self._counts.get(slot, OrderedDict())
        if model in counts:
            counts[model] -= 1
            self._count(slot, counts)

    def move(self, serial: int, slot: int, max_adapters: float) -> None:
        """The request is served by another slot."""
        held = self._held.get(serial)
        if held is not None and held[0] != slot:
            self.give_back(serial)
            self.take(slot, serial, held[1], max_adapters)

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner, whose device holds no adapter."""
        self._counts.pop(slot, None)
        self._busy[slot] = self._least[slot] = 0.0

    def costs_s(self, cycle: Cycle, candidates: Candidates, load_s: float, answer_s: FloatColumn) -> FloatColumn:
        """Seconds until the request's adapter can run, shape (candidates,): see expected_cost.

        `load_s` is how long it takes to load, `answer_s` how long an answer takes there.
        """
        slots, load, model = candidates.slots, cycle.snapshot.load, cycle.request.target_model
        fresh = ~cycle.is_stale(candidates)
        busy = np.maximum(self._busy[slots], load.listed_adapters[slots] * fresh)
        most = load.max_adapters[slots]
        least = np.maximum(self._least[slots], 1.0)
        drain_s = answer_s * (least / (least + 1.0)) * (1.0 + np.maximum(0.0, busy - most))
        costs = np.where((busy < most) | (most <= 0.0), load_s, load_s + drain_s)
        for index, (slot, is_fresh) in enumerate(zip(slots.tolist(), fresh.tolist(), strict=True)):
            counts = self._counts.get(slot)
            if (counts is not None and model in counts) or (is_fresh and model in load.running_adapters[slot]):
                costs[index] = 0.0
        return costs

    def _evict(self, counts: OrderedDict[str, int], max_adapters: float) -> None:
        """Drops idle adapters, the least recently used first, until the rest fits."""
        excess = len(counts) - max(1, int(max_adapters))
        if excess <= 0:
            return
        for idle in [name for name, count in counts.items() if not count][:excess]:
            del counts[idle]

    def _count(self, slot: int, counts: OrderedDict[str, int]) -> None:
        in_flight = [count for count in counts.values() if count]
        self._busy[slot] = len(in_flight)
        self._least[slot] = min(in_flight, default=0)
