"""Memory that two processes see: here two mappings of one descriptor."""

import os
import resource

import numpy as np
import pytest

from epp.core.domain.ports import LoadReport
from epp.core.state.in_flight_rows import SharedLedger, WatchedCounts
from epp.edge.peers.shared_memory import MOST_SLOTS, SharedMemory

PICKERS = 3
SLOTS = 32


def test_what_one_writes_the_other_reads_and_only_one_writes_the_load() -> None:
    made = SharedMemory.make(PICKERS, SLOTS, ["depth"])
    seen = SharedMemory(made.descriptor, PICKERS, SLOTS, ["depth"], writes=False)
    watched, ledger = WatchedCounts(made.rows), SharedLedger(seen.rows, 2, SLOTS)
    reservation = ledger.reserve(31, 9)
    assert watched.counts(31).tokens == 9
    assert ledger.release(reservation)
    assert watched.is_idle(31)
    made.load.reset(31)
    made.load.store(31, LoadReport(waiting=4, attributes=(("depth", 2.0),)), 7.0)
    assert (seen.load.waiting[31], seen.load.attributes["depth"][31], seen.load.updated_at[31]) == (4, 2, 7)
    with pytest.raises(ValueError, match="read-only"):
        seen.load.waiting[31] = 1
    assert made.rows.cells.flags.aligned
    assert made.load.derived.flags.aligned
    os.close(made.descriptor)


def test_slots_that_nobody_used_take_no_room() -> None:
    made = SharedMemory.make(8, MOST_SLOTS, ())
    size = os.fstat(made.descriptor).st_size
    assert size > 5 << 20
    assert os.fstat(made.descriptor).st_blocks == 0
    made.load.reset(0)
    np.testing.assert_equal(made.load.updated_at[0], -np.inf)
    assert os.fstat(made.descriptor).st_blocks * 512 <= 32 * resource.getpagesize()
    os.close(made.descriptor)
