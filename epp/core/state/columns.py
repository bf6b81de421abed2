"""Load columns: the last scraped numbers of every slot, one array per signal.

Cells have one writer (whoever scrapes) and no invariant spans two of them, so that they can live in shared memory:
eight aligned bytes each, read by other processes while they are written.
"""

import math
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import LoadReport

FloatColumn = NDArray[np.float64]


class BookCounts(msgspec.Struct, frozen=True):
    """What the ledger says of a slot at one moment; see `InFlightCounts`."""

    requests: int = 0
    tokens: int = 0
    sent: int = 0
    sent_tokens: int = 0


NOTHING_SENT = BookCounts()
PLAIN_COLUMNS = 12
"""columns beside the derived ones and the attributes"""
NEVER = -np.inf
MOST_BELIEVED = 1e12
NO_ADAPTERS: frozenset[str] = frozenset()
DEFAULT_KV_BLOCK_TOKENS = 16.0
MOST_REQUESTS = 1e6
MOST_TOKENS = 1e9
"""a scrape that says more is not believed by what is derived from it"""


class Derived(IntEnum):
    """What a scrape says beside our own books."""

    OTHERS = 0
    """requests there that were not ours at the scrape: running and waiting ones beyond our own"""
    OTHERS_WAITING = 1
    """those of them that waited, at most `waiting`"""
    OTHERS_TOKENS = 2
    """used tokens of the KV cache beyond the prompt tokens in our own books"""
    USED_TOKENS = 3
    """used tokens of the KV cache"""
    CAPACITY_TOKENS = 4
    """tokens that the KV cache holds, infinite where that is not known"""


class NoMoreSlots(InvalidInput):
    """More endpoints than the memory that several processes share has room for."""

    def __init__(self, slots: int) -> None:
        super().__init__(
            "pool", f"has more endpoints than {slots}; picker processes share room for so many: use --workers 0"
        )


class _Cells:
    """Hands out columns, one after the other: of `memory`, else new ones that hold their defaults."""

    def __init__(self, slots: int, memory: NDArray[np.float64] | None) -> None:
        self._slots = slots
        self._memory = memory
        self._used = 0

    def column(self, default: float = 0.0) -> FloatColumn:
        """Shape (slots,)."""
        return np.full(self._slots, default) if self._memory is None else self._next(self._memory, self._slots)

    def rows(self, width: int) -> NDArray[np.float64]:
        """Shape (slots, width), zeros where new."""
        if self._memory is None:
            return np.zeros((self._slots, width))
        return self._next(self._memory, self._slots * width).reshape(self._slots, width)

    def _next(self, memory: NDArray[np.float64], count: int) -> NDArray[np.float64]:
        first, self._used = self._used, self._used + count
        if self._used > len(memory):
            raise ValueError(f"{len(memory)} cells are not enough for {self._slots} slots")
        return memory[first : self._used]


class LoadColumns:
    """Arrays indexed by slot; `reserve` grows them, a slot's cells are reset when it gets a new endpoint."""

    def __init__(
        self, slots: int = 16, attributes: Iterable[str] = (), memory: NDArray[np.float64] | None = None
    ) -> None:
        """`attributes`: keys of the custom metrics that a page may tell.

        `memory`: `cell_count(slots, attributes)` numbers that are used as they are and cannot grow; those of a slot
        mean something once it was reset.
        """
        attributes = tuple(attributes)
        cells = _Cells(slots, memory)
        self.waiting: FloatColumn = cells.column()
        self.running: FloatColumn = cells.column()
        self.kv_usage: FloatColumn = cells.column()
        self.kv_block_tokens: FloatColumn = cells.column(DEFAULT_KV_BLOCK_TOKENS)
        self.kv_blocks: FloatColumn = cells.column()
        self.max_adapters: FloatColumn = cells.column()
        self.updated_at: FloatColumn = cells.column(NEVER)
        """monotonic seconds of the last good scrape, -inf before the first"""
        self.sent: FloatColumn = cells.column()
        """requests that we had sent by then (`InFlightCounts.sent`)"""
        self.sent_tokens: FloatColumn = cells.column()
        """prompt tokens that we had sent by then"""
        self.in_flight: FloatColumn = cells.column()
        """our own unfinished requests at that moment"""
        self.in_flight_tokens: FloatColumn = cells.column()
        """their prompt tokens"""
        self.derived: NDArray[np.float64] = cells.rows(len(Derived))
        """a row of `Derived` for each slot, worked out once per scrape, so that a decision reads them all at once"""
        if memory is None:
            self.derived[:, Derived.CAPACITY_TOKENS] = np.inf
        self.listed_adapters: FloatColumn = cells.column()
        """number of adapters with requests running or waiting"""
        self.running_adapters: list[frozenset[str]] = [NO_ADAPTERS] * slots
        self.waiting_adapters: list[frozenset[str]] = [NO_ADAPTERS] * slots
        self.stored: list[tuple[LoadReport, BookCounts] | None] = [None] * slots
        """what was taken over last; the same once more changes nothing but its time"""
        self.attributes: dict[str, FloatColumn] = {key: cells.column(np.nan) for key in attributes}
        """custom metrics by key; not a number until a page tells one"""

    def __len__(self) -> int:
        return len(self.waiting)

    @staticmethod
    def cell_count(slots: int, attributes: Iterable[str] = ()) -> int:
        """Numbers that `memory` needs."""
        return slots * (PLAIN_COLUMNS + len(Derived) + len(tuple(attributes)))

    def reserve(self, slots: int) -> None:
        """Makes room for slots 0..slots-1; raises NoMoreSlots in memory that cannot grow."""
        if slots <= len(self):
            return
        if not self.waiting.flags.owndata:
            raise NoMoreSlots(len(self))
        grown = LoadColumns(max(slots, 2 * len(self)), self.attributes)
        for cells, more_cells in zip(self.columns(), grown.columns(), strict=True):
            more_cells[: len(cells)] = cells
        vars(self).update(vars(grown))

    def reset(self, slot: int) -> None:
        """Forgets everything about a slot."""
        fresh = LoadColumns(1, self.attributes)
        for cells, new_cell in zip(self.columns(), fresh.columns(), strict=True):
            cells[slot] = new_cell[0]

    def store(self, slot: int, report: LoadReport, now: float, books: BookCounts = NOTHING_SENT) -> None:
        """Takes over a scrape; a signal that the page does not have keeps its old value, as in the reference.

        So does a size that no engine can have: negative, not a number, or beyond MOST_BELIEVED. A load that is no
        number is stored as it is: it says that nothing is known.
        """
        taken = (report, books)
        if self.stored[slot] != taken:
            self._take_over(slot, report, books)
            self.stored[slot] = taken
        self.updated_at[slot] = now

    def columns(self) -> Iterator[Any]:
        """Everything that is indexed by slot, always in the same order."""
        for name, cells in vars(self).items():
            if name != "attributes":
                yield cells
        yield from self.attributes.values()

    def _take_over(self, slot: int, report: LoadReport, books: BookCounts) -> None:
        self.sent[slot] = books.sent
        self.sent_tokens[slot] = books.sent_tokens
        self.in_flight[slot] = books.requests
        self.in_flight_tokens[slot] = books.tokens
        for cells, value in (
            (self.waiting, report.waiting),
            (self.running, report.running),
            (self.kv_usage, report.kv_usage),
        ):
            if value is not None:
                cells[slot] = value
        for cells, value in (
            (self.kv_block_tokens, report.kv_block_tokens),
            (self.kv_blocks, report.kv_blocks),
            (self.max_adapters, report.max_adapters),
        ):
            if value is not None and 0.0 <= value <= MOST_BELIEVED:
                cells[slot] = value
        running = self.running_adapters[slot] = frozenset(report.running_adapters)
        waiting = self.waiting_adapters[slot] = frozenset(report.waiting_adapters)
        self.listed_adapters[slot] = len(running | waiting)
        for key, number in report.attributes:
            self.attributes[key][slot] = number
        self._derive(slot, books.requests, books.tokens)

    def _derive(self, slot: int, in_flight: int, in_flight_tokens: int) -> None:
        waiting = _believable(float(self.waiting[slot]), MOST_REQUESTS)
        others = max(0.0, waiting + _believable(float(self.running[slot]), MOST_REQUESTS) - in_flight)
        blocks = _believable(float(self.kv_blocks[slot]), MOST_TOKENS)
        capacity = min(MOST_TOKENS, blocks * _believable(float(self.kv_block_tokens[slot]), MOST_TOKENS))
        used = _believable(float(self.kv_usage[slot]), 1.0) * capacity
        self.derived[slot] = (
            others,
            min(others, waiting),
            max(0.0, used - in_flight_tokens),
            used,
            capacity or np.inf,
        )


def _believable(value: float, most: float) -> float:
    """From 0 to `most`; what is no finite number counts as 0."""
    return min(max(value, 0.0), most) if math.isfinite(value) else 0.0
