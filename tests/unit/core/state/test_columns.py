"""Load columns: what a scrape stores, what a new owner finds."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.ports import LoadReport
from epp.core.state.columns import DEFAULT_KV_BLOCK_TOKENS, NEVER, NO_ADAPTERS, BookCounts, Derived, LoadColumns

FULL = LoadReport(
    waiting=3.0,
    running=7.0,
    kv_usage=0.5,
    kv_block_tokens=32,
    kv_blocks=900,
    max_adapters=4,
    running_adapters=("a", "b"),
    waiting_adapters=("c",),
)


def cells(load: LoadColumns, slot: int) -> dict[str, object]:
    """Custom attributes aside, and what was stored last."""
    return {
        name: column[slot].tolist() if name == "derived" else column[slot]
        for name, column in vars(load).items()
        if name not in {"attributes", "stored"}
    }


def test_a_report_is_stored_with_its_time() -> None:
    load = LoadColumns()
    load.store(1, FULL, now=5.0, books=BookCounts(requests=4, tokens=300, sent=9, sent_tokens=800))
    assert cells(load, 1) == {
        "waiting": 3.0,
        "running": 7.0,
        "kv_usage": 0.5,
        "kv_block_tokens": 32.0,
        "kv_blocks": 900.0,
        "max_adapters": 4.0,
        "updated_at": 5.0,
        "sent": 9.0,
        "sent_tokens": 800.0,
        "in_flight": 4.0,
        "in_flight_tokens": 300.0,
        "derived": [6.0, 3.0, 14_100.0, 14_400.0, 28_800.0],
        "listed_adapters": 3.0,
        "running_adapters": frozenset({"a", "b"}),
        "waiting_adapters": frozenset({"c"}),
    }
    assert cells(load, 0) == cells(LoadColumns(1), 0)


def test_the_same_report_once_more_changes_its_time_only() -> None:
    load = LoadColumns()
    books = BookCounts(requests=4)
    load.store(1, FULL, now=5.0, books=books)
    load.waiting[1] = 77.0
    load.store(1, msgspec.structs.replace(FULL), now=6.0, books=BookCounts(requests=4))
    assert (load.waiting[1], load.updated_at[1]) == (77.0, 6.0)
    load.store(1, FULL, now=7.0, books=BookCounts(requests=5))
    assert (load.waiting[1], load.in_flight[1], load.updated_at[1]) == (3.0, 5.0, 7.0)
    load.reset(1)
    load.store(1, FULL, now=8.0, books=BookCounts(requests=5))
    assert load.waiting[1] == 3.0, "a new owner's cells are written, though it reports what the former one did"


def test_a_signal_that_is_missing_keeps_its_old_value_but_adapters_do_not() -> None:
    load = LoadColumns()
    load.store(0, FULL, now=5.0)
    load.store(0, LoadReport(waiting=1.0), now=6.0)
    assert (load.waiting[0], load.running[0], load.kv_usage[0], load.updated_at[0]) == (1.0, 7.0, 0.5, 6.0)
    assert (load.running_adapters[0], load.waiting_adapters[0]) == (NO_ADAPTERS, NO_ADAPTERS)


def test_a_reset_slot_is_as_new() -> None:
    load = LoadColumns()
    load.store(0, FULL, now=5.0)
    load.store(1, FULL, now=5.0)
    load.reset(0)
    assert (load.updated_at[0], load.kv_block_tokens[0], load.waiting[0]) == (NEVER, DEFAULT_KV_BLOCK_TOKENS, 0.0)
    assert cells(load, 0) == cells(LoadColumns(1), 0)
    assert load.waiting[1] == 3.0


def test_what_is_ours_is_not_of_others() -> None:
    load = LoadColumns()
    load.store(0, LoadReport(waiting=1.0, running=3.0), now=5.0, books=BookCounts(requests=2))
    assert load.derived[0, [Derived.OTHERS, Derived.OTHERS_WAITING]].tolist() == [2.0, 1.0]
    load.store(0, LoadReport(waiting=1.0, running=3.0), now=6.0, books=BookCounts(requests=9))
    assert load.derived[0, [Derived.OTHERS, Derived.OTHERS_WAITING]].tolist() == [0.0, 0.0]


def test_where_the_size_of_the_cache_is_not_known_it_is_never_full() -> None:
    load = LoadColumns()
    load.store(0, LoadReport(kv_usage=0.9), now=5.0)
    assert load.derived[0, [Derived.USED_TOKENS, Derived.CAPACITY_TOKENS]].tolist() == [0.0, np.inf]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -5.0, 1e300])
def test_absurd_signals_derive_believable_numbers(value: float) -> None:
    load = LoadColumns()
    load.store(0, LoadReport(waiting=value, running=value, kv_usage=value, kv_blocks=100), now=5.0)
    others, others_waiting, others_tokens, used, capacity = load.derived[0].tolist()
    assert 0.0 <= others_waiting <= others <= 2e6
    assert 0.0 <= others_tokens <= used <= capacity == 1600.0


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1e6)), max_size=30))
def test_room_for_more_slots_keeps_everything(stores: list[tuple[int, float]]) -> None:
    load, expected = LoadColumns(1), dict[int, float]()
    for slot, waiting in stores:
        load.reserve(slot + 1)
        load.store(slot, LoadReport(waiting=waiting, running_adapters=(str(slot),)), now=waiting)
        expected[slot] = waiting
    assert {len(column) for column in load.columns()} == {len(load)}
    for slot in range(len(load)):
        if slot in expected:
            assert (load.waiting[slot], load.running_adapters[slot]) == (expected[slot], frozenset({str(slot)}))
        else:
            assert cells(load, slot) == cells(LoadColumns(1), 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e13])
def test_a_size_that_no_engine_can_have_keeps_the_old_value(value: float) -> None:
    load = LoadColumns()
    load.store(1, FULL, now=5.0)
    sizes: dict[str, Any] = dict.fromkeys(("kv_block_tokens", "kv_blocks", "max_adapters"), value)
    load.store(1, LoadReport(**sizes), now=6.0)
    assert (load.kv_block_tokens[1], load.kv_blocks[1], load.max_adapters[1], load.updated_at[1]) == (32, 900, 4, 6.0)


def test_custom_attributes_grow_and_are_forgotten_with_their_slot() -> None:
    load = LoadColumns(1, ["depth", "heat"])
    load.store(0, LoadReport(attributes=(("heat", 2.0), ("depth", 1.0))), now=5.0)
    load.reserve(40)
    assert (load.attributes["depth"][0], load.attributes["heat"][0]) == (1.0, 2.0)
    assert {len(column) for column in load.columns()} == {40}
    assert all(math.isnan(column[39]) for column in load.attributes.values())
    load.reset(0)
    assert all(math.isnan(column[0]) for column in load.attributes.values())


def test_a_custom_attribute_that_a_page_lacks_keeps_its_value() -> None:
    load = LoadColumns(1, ["depth"])
    load.store(0, LoadReport(attributes=(("depth", 1.0),)), now=5.0)
    load.store(0, FULL, now=6.0)
    assert load.attributes["depth"][0] == 1.0
