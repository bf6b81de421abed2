"""Books that several pickers share: sums, clearing of a dead picker's row, and what a late release must not touch."""

import numpy as np
import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.state.columns import NO_ADAPTERS, BookCounts, LoadColumns, NoMoreSlots
from epp.core.state.cooldown import CoolDowns
from epp.core.state.in_flight_rows import REFRESH_S, InFlightRows, SharedLedger, WatchedCounts
from epp.core.state.pool_state import FollowedRoster, PoolTable
from epp.core.state.roster import SlotRoster
from tests.support.routed_requests import endpoint

SLOTS = 8
POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000,))


def rows(pickers: int = 2) -> InFlightRows:
    return InFlightRows(pickers, SLOTS, np.zeros(InFlightRows.cell_count(pickers, SLOTS), dtype=np.int64))


def test_a_picker_sees_its_own_requests_at_once_and_those_of_others_a_moment_later() -> None:
    shared = rows()
    one, other = SharedLedger(shared, 0), SharedLedger(shared, 1)
    one.refresh(0.0)
    mine, theirs = one.reserve(3, 10), other.reserve(3, 5)
    assert (one.requests[3], one.tokens[3]) == (1, 10)
    one.refresh(REFRESH_S / 2)
    assert one.requests[3] == 1, "not asked for again so soon"
    one.refresh(REFRESH_S)
    assert (one.requests[3], one.tokens[3], one.sent[3], one.sent_tokens[3]) == (2, 15, 2, 15)
    assert one.counts(3) == BookCounts(2, 15, 2, 15)
    assert one.release(mine)
    assert other.release(theirs)
    one.refresh(1.0)
    assert (one.requests[3], one.sent[3], one.open_count) == (0, 2, 0)


def test_a_moved_request_is_given_back_where_it_is() -> None:
    shared = rows()
    ledger = SharedLedger(shared, 1)
    held = ledger.reserve(0, 7)
    ledger.move(held, 2)
    assert [shared.counts(slot).requests for slot in range(3)] == [0, 0, 1]
    assert ledger.release(held)
    assert not shared.cells[:, :2].any()


def test_what_a_dead_picker_had_in_flight_is_gone_and_what_it_had_sent_is_not() -> None:
    shared = rows()
    watched = WatchedCounts(shared)
    for picker, slot in ((0, 1), (1, 1), (1, 2)):
        SharedLedger(shared, picker).reserve(slot, 4)
    shared.clear(1)
    assert watched.counts(1) == BookCounts(1, 4, 2, 8)
    assert watched.counts(2) == BookCounts(0, 0, 1, 4)
    assert watched.is_idle(2)
    assert not watched.is_idle(1)
    assert [shared.open_requests(picker) for picker in (0, 1)] == [1, 0]
    watched.refresh(0.0)
    assert watched.requests[:3].tolist() == [0, 1, 0]


def test_there_are_no_more_slots_than_the_memory_has() -> None:
    counts, load = WatchedCounts(rows()), LoadColumns(SLOTS, (), np.zeros(LoadColumns.cell_count(SLOTS)))
    for reserve in (counts.reserve_slots, load.reserve):
        reserve(SLOTS)
        with pytest.raises(NoMoreSlots, match="has more endpoints than 8"):
            reserve(SLOTS + 1)


def test_columns_in_shared_memory_are_read_by_others() -> None:
    memory = np.full(LoadColumns.cell_count(SLOTS, ["depth"]), 77.0)
    written, read = LoadColumns(SLOTS, ["depth"], memory), LoadColumns(SLOTS, ["depth"], memory)
    fresh = LoadColumns(1, ["depth"])
    written.reset(5)
    for cells, new in zip(read.columns(), fresh.columns(), strict=True):
        np.testing.assert_equal(cells[5], new[0])
    written.store(5, LoadReport(waiting=3, kv_usage=0.5, kv_blocks=10, attributes=(("depth", 4.0),)), now=9.0)
    assert (read.waiting[5], read.updated_at[5], read.attributes["depth"][5]) == (3, 9.0, 4.0)
    assert read.derived[5].tolist() == written.derived[5].tolist() == [3, 3, 80, 80, 160]
    with pytest.raises(ValueError, match="not enough"):
        LoadColumns(SLOTS + 1, ["depth"], memory)


class Followed:
    """A process that gives slots, and one picker that follows it."""

    def __init__(self) -> None:
        self.shared = rows(1)
        memory = np.zeros(LoadColumns.cell_count(SLOTS))
        self.taken = 0.0
        self.watched = WatchedCounts(self.shared)
        self.roster = SlotRoster(
            self.watched, lambda: 1.0, load=LoadColumns(SLOTS, (), memory), version_in_use=lambda: self.taken
        )
        self.renewed: list[int] = []
        self.noted: list[int] = []
        self.ledger = SharedLedger(self.shared, 0)
        self.picker = FollowedRoster(
            self.ledger,
            LoadColumns(SLOTS, (), memory),
            cooldowns=CoolDowns(),
            metrics_stale_after_s=2.0,
            slot_renewed=self.renewed.append,
            load_noted=lambda slot, _report: self.noted.append(slot),
        )

    def members(self, *endpoints: Endpoint) -> None:
        self.roster.objects_changed(ObjectState(POOL, endpoints))
        slots = tuple(self.roster.current.slots.tolist())
        generations = tuple(map(self.watched.generation, slots))
        version = self.roster.current.version
        self.picker.table_arrived(PoolTable(version, ObjectState(POOL, endpoints), slots, generations))

    def acknowledge(self) -> None:
        self.taken = self.picker.current.version


def test_a_picker_follows_slots_and_generations() -> None:
    pool = Followed()
    a, b = endpoint(1), endpoint(2)
    pool.members(a, b)
    assert pool.picker.current.endpoints == (a, b)
    assert (pool.picker.slot_of(a), pool.picker.slot_of(b), pool.renewed) == (0, 1, [0, 1])
    pool.members(b)
    pool.members(b, a)
    assert (pool.picker.slot_of(a), pool.renewed) == (0, [0, 1]), "back in its own slot"


def test_a_slot_is_used_again_when_it_is_idle_and_nobody_can_pick_it_any_more() -> None:
    pool = Followed()
    a, b, c, d = (endpoint(number) for number in range(1, 5))
    pool.members(a)
    held = pool.ledger.reserve(0, 3)
    pool.members(b)
    assert pool.picker.slot_of(b) == 1
    pool.acknowledge()
    pool.members(c)
    assert pool.picker.slot_of(c) == 2, "a request is in flight in slot 0, and slot 1 may still be picked"
    assert pool.ledger.release(held)
    pool.members(d)
    assert pool.picker.slot_of(d) == 0
    assert pool.ledger.generation(0) == 2
    assert pool.roster.load.sent[0] == 1, "what the former owner was sent does not count for the new one"
    assert not pool.ledger.release(held)
    assert pool.shared.counts(0).requests == 0


def test_a_report_of_a_former_owner_is_dropped() -> None:
    pool = Followed()
    pool.members(endpoint(1))
    pool.picker.report_arrived(0, 1, LoadReport(running_adapters=("x",)))
    assert pool.picker.current.load.running_adapters[0] == {"x"}
    for slot, generation in ((0, 0), (0, 2), (SLOTS + 1, 1)):
        pool.picker.report_arrived(slot, generation, LoadReport(running_adapters=("y",)))
    assert pool.picker.current.load.running_adapters[0] == {"x"}
    assert pool.noted == [0]
    pool.acknowledge()
    pool.members()
    pool.acknowledge()
    pool.members(endpoint(2))
    assert pool.picker.slot_of(endpoint(2)) == 0
    assert pool.picker.current.load.running_adapters[0] == NO_ADAPTERS
