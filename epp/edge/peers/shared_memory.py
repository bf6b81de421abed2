"""Memory that the processes of one picker share: a memfd that goes by descriptor, seen through numpy.

It is made for a fixed number of slots and takes room only where somebody has written: a slot that was never used
costs nothing, so that the number can be large enough for ever and nothing has to grow while others read it.
multiprocessing.shared_memory is no choice: before Python 3.13 its tracker unlinks memory of others.
"""

import mmap
import os
from collections.abc import Iterable

import numpy as np

from epp.core.state.columns import LoadColumns
from epp.core.state.in_flight_rows import InFlightRows

CELL_BYTES = 8
MOST_SLOTS = 16_384


class SharedMemory:
    """In-flight rows, and after them the load columns."""

    def __init__(self, descriptor: int, pickers: int, slots: int, attributes: Iterable[str], *, writes: bool) -> None:
        """`writes`: whether this process writes the load columns; the others see them read-only."""
        self.descriptor = descriptor
        attributes = tuple(attributes)
        counted, loaded = InFlightRows.cell_count(pickers, slots), LoadColumns.cell_count(slots, attributes)
        self._map = mmap.mmap(descriptor, (counted + loaded) * CELL_BYTES)
        self.rows = InFlightRows(pickers, slots, np.frombuffer(self._map, np.int64, counted))
        columns = np.frombuffer(self._map, np.float64, loaded, counted * CELL_BYTES)
        columns.flags.writeable = writes
        self.load = LoadColumns(slots, attributes, columns)

    @classmethod
    def make(cls, pickers: int, slots: int, attributes: Iterable[str]) -> "SharedMemory":
        """New memory, all zeros."""
        attributes = tuple(attributes)
        cells = InFlightRows.cell_count(pickers, slots) + LoadColumns.cell_count(slots, attributes)
        descriptor = os.memfd_create("epp-state", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, cells * CELL_BYTES)
        return cls(descriptor, pickers, slots, attributes, writes=True)
