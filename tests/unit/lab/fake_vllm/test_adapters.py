"""Adapter registry and GPU slots."""

import pytest

from epp.lab.fake_vllm.adapters import AdapterRegistry, AdapterSlots, NameCounts
from tests.unit.lab.fake_vllm.scripted_engine import adapter


def test_loading_a_name_again_gives_it_a_new_id() -> None:
    registry = AdapterRegistry()
    first = registry.load("sql", "repo/a", "base")
    second = registry.load("sql", "repo/b", "base")
    assert first.id != second.id
    assert registry.get("sql") == second
    assert registry.all() == (second,)
    assert registry.unload("sql")
    assert not registry.unload("sql")


def test_slots_are_held_while_used_and_reused_least_recently_used_first() -> None:
    slots = AdapterSlots(2)
    assert slots.acquire(1)
    assert slots.acquire(2)
    assert not slots.acquire(1), "on the GPU already"
    assert not slots.can_hold(3)

    slots.release(1)
    assert not slots.can_hold(3), "one request of adapter 1 is left"
    slots.release(2)
    slots.release(1)
    assert slots.held == 0
    assert slots.acquire(3)
    assert set(slots.resident) == {1, 3}, "adapter 1 was acquired last"


def test_name_counts_forget_at_zero() -> None:
    counts = NameCounts()
    for each in (adapter(2), adapter(1), adapter(2), None):
        counts.add(each)
    counts.remove(adapter(1))
    counts.remove(adapter(2))
    counts.remove(None)
    assert list(counts.names()) == ["lora-2"]
    with pytest.raises(KeyError):
        counts.remove(adapter(1))
