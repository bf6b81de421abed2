"""The timetable in virtual time: order, evenness, changes of period."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from epp.edge.scrape.timetable import Timetable

TICK_S = 0.001


def play(timetable: Timetable[int], start: float, seconds: float) -> list[tuple[float, int]]:
    """All starts while time passes smoothly."""
    starts = []
    for tick in range(round(seconds / TICK_S)):
        now = start + tick * TICK_S
        starts += [(now, key) for key in timetable.take_due(now)]
    return starts


def crowd(count: int, period_s: float) -> Timetable[int]:
    timetable: Timetable[int] = Timetable()
    for key in range(count):
        timetable.add(key, period_s, 0.0)
    return timetable


def most_at_once(starts: list[tuple[float, int]], window_s: float) -> int:
    return max(Counter(math.floor(at / window_s) for at, _ in starts).values())


def test_new_keys_are_due_at_once_and_then_every_period() -> None:
    timetable = crowd(1, 0.5)
    assert timetable.next_due == 0.0
    starts = [at for at, _ in play(timetable, 0.0, 3.0)]
    assert starts[0] == 0.0
    assert [later - earlier for earlier, later in pairwise(starts[1:])] == pytest.approx(
        [0.5] * (len(starts) - 2), abs=2 * TICK_S
    )


def test_a_crowd_that_comes_together_is_spread_over_the_period_at_once() -> None:
    timetable = crowd(100, 1.0)
    play(timetable, 0.0, 0.01)
    starts = play(timetable, 0.01, 5.0)
    assert most_at_once(starts, 0.1) <= 15  # 10 are even


@pytest.mark.parametrize(("before_s", "after_s"), [(0.05, 0.8), (0.8, 0.05), (0.25, 0.3), (0.4, 1.0)])
def test_a_change_of_everybodys_period_makes_no_lasting_bursts(before_s: float, after_s: float) -> None:
    timetable = crowd(100, before_s)
    play(timetable, 0.0, 2.0)
    for key in range(100):
        timetable.set_period(key, after_s, 2.0)
    play(timetable, 2.0, after_s)
    window_s = after_s / 10
    starts = play(timetable, 2.0 + after_s, 10 * after_s)
    assert most_at_once(starts, window_s) <= 20  # 10 are even


def test_a_shorter_period_counts_from_the_last_time() -> None:
    timetable = crowd(1, 1.0)
    assert timetable.take_due(0.0) == [0]
    timetable.set_period(0, 0.9, 0.0)
    first = timetable.next_due
    timetable.set_period(0, 0.1, 0.05)
    assert timetable.next_due == pytest.approx(min(first, 0.1))
    timetable.set_period(0, 0.01, 0.05)
    assert timetable.next_due == 0.05


def test_a_longer_period_never_delays_what_is_fixed() -> None:
    timetable = crowd(1, 0.1)
    timetable.take_due(0.0)
    fixed = timetable.next_due
    timetable.set_period(0, 10.0, 0.01)
    assert timetable.next_due == fixed


def test_after_a_standstill_nobody_catches_up_and_nobody_falls_into_step() -> None:
    timetable = crowd(100, 1.0)
    play(timetable, 0.0, 3.0)
    late = timetable.take_due(20.0)
    assert sorted(late) == list(range(100))
    starts = play(timetable, 20.0, 5.0)
    assert len(starts) <= 100 * 6
    assert most_at_once(starts, 0.1) <= 20


def test_nobody_is_taken_twice_at_the_same_time() -> None:
    timetable = crowd(500, 0.05)
    for _ in range(20):
        taken = timetable.take_due(100.0)
        assert len(taken) == len(set(taken))


def test_an_empty_timetable_is_never_due() -> None:
    timetable = crowd(1, 1.0)
    timetable.remove(0)
    assert timetable.next_due == math.inf
    assert timetable.take_due(1e9) == []


class TimetableMachine(RuleBasedStateMachine):
    """Whatever happens, every key comes up within its period (plus what was already fixed), and only known keys do."""

    def __init__(self) -> None:
        super().__init__()
        self.timetable: Timetable[int] = Timetable()
        self.now = 0.0
        self.latest: dict[int, float] = {}
        self.periods: dict[int, float] = {}

    @rule(key=st.integers(0, 5), period_s=st.sampled_from([0.05, 0.1, 0.3, 0.8, 4.0]))
    def add_or_change(self, key: int, period_s: float) -> None:
        if key in self.periods:
            if period_s < self.periods[key]:
                self.latest[key] = min(self.latest[key], self.now + period_s)
            self.timetable.set_period(key, period_s, self.now)
        else:
            self.timetable.add(key, period_s, self.now)
            self.latest[key] = self.now
        self.periods[key] = period_s

    @rule(key=st.integers(0, 5))
    def remove(self, key: int) -> None:
        if key in self.periods:
            self.timetable.remove(key)
            del self.periods[key], self.latest[key]

    @rule(seconds=st.floats(0.0, 5.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for key in self.timetable.take_due(self.now):
            assert key in self.periods
            self.latest[key] = self.now + self.periods[key]

    @invariant()
    def everybody_comes_up_in_time(self) -> None:
        assert len(self.timetable) == len(self.periods)
        expected = min(self.latest.values(), default=math.inf)
        assert self.timetable.next_due <= expected + 1e-9


TestTimetable = TimetableMachine.TestCase


@given(st.integers(1, 300), st.floats(0.05, 5.0))
def test_the_first_interval_is_never_longer_than_the_period(count: int, period_s: float) -> None:
    timetable = crowd(count, period_s)
    timetable.take_due(0.0)
    due = []
    while timetable.next_due < math.inf:
        due.append(timetable.next_due)
        for key in timetable.take_due(timetable.next_due):
            timetable.remove(key)
    assert len(due) == len(set(due)) or count == 1
    assert max(due) <= period_s + 1e-9
