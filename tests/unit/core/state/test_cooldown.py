"""Cool-downs: when an endpoint is left alone, and for how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.state.cooldown import FIRST_COOLING_S, LONGEST_COOLING_S, CoolDowns, ToldCoolDowns


def test_one_failure_is_not_enough() -> None:
    cooldowns = CoolDowns()
    cooldowns.failed("a", 0.0)
    assert not cooldowns.is_cooling("a", 0.0)
    assert cooldowns.cooling(0.0) == frozenset()


def test_two_failures_in_a_row_cool_down_for_five_seconds() -> None:
    cooldowns = CoolDowns()
    cooldowns.failed("a", 0.0)
    cooldowns.failed("a", 1.0)
    assert cooldowns.cooling(1.0) == frozenset({"a"})
    assert cooldowns.is_cooling("a", 5.99)
    assert not cooldowns.is_cooling("a", 6.0)
    assert not cooldowns.is_cooling("b", 1.0)


def test_a_success_between_two_failures_starts_anew() -> None:
    cooldowns = CoolDowns()
    cooldowns.failed("a", 0.0)
    cooldowns.succeeded("a", 0.5)
    cooldowns.failed("a", 1.0)
    assert not cooldowns.is_cooling("a", 1.0)


def test_each_further_failure_doubles_the_time_up_to_a_minute() -> None:
    cooldowns, now, lengths = CoolDowns(), 0.0, []
    cooldowns.failed("a", now)
    for _ in range(6):
        cooldowns.failed("a", now)
        began = now
        while cooldowns.is_cooling("a", now):
            now += 0.5
        lengths.append(now - began)
    assert lengths == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_failures_during_a_cool_down_do_not_lengthen_it() -> None:
    cooldowns = CoolDowns()
    for _ in range(50):
        cooldowns.failed("a", 0.0)
    assert not cooldowns.is_cooling("a", FIRST_COOLING_S)
    cooldowns.failed("a", FIRST_COOLING_S)
    assert cooldowns.is_cooling("a", FIRST_COOLING_S + 9.9)
    assert not cooldowns.is_cooling("a", FIRST_COOLING_S + 10.0)


def test_a_success_does_not_end_a_cool_down_but_the_row_of_failures() -> None:
    cooldowns = CoolDowns()
    cooldowns.failed("a", 0.0)
    cooldowns.failed("a", 0.0)
    cooldowns.succeeded("a", 1.0)
    assert cooldowns.is_cooling("a", 4.9)
    cooldowns.failed("a", 6.0)
    assert not cooldowns.is_cooling("a", 6.0)
    cooldowns.failed("a", 7.0)
    assert cooldowns.is_cooling("a", 7.0 + FIRST_COOLING_S - 0.1)
    assert not cooldowns.is_cooling("a", 7.0 + FIRST_COOLING_S)


def test_an_endpoint_that_is_dead_for_days_stays_at_a_minute() -> None:
    cooldowns, now = CoolDowns(), 0.0
    for _ in range(5000):
        cooldowns.failed("a", now)
        now += LONGEST_COOLING_S
    cooldowns.failed("a", now)
    assert cooldowns.is_cooling("a", now + LONGEST_COOLING_S - 1.0)
    assert not cooldowns.is_cooling("a", now + LONGEST_COOLING_S)


def test_an_endpoint_that_left_is_forgotten() -> None:
    cooldowns = CoolDowns()
    cooldowns.failed("a", 0.0)
    cooldowns.failed("a", 0.0)
    cooldowns.forget("a")
    cooldowns.forget("never known")
    assert not cooldowns.is_cooling("a", 0.0)
    cooldowns.failed("a", 0.0)
    assert not cooldowns.is_cooling("a", 0.0)


steps = st.lists(
    st.tuples(st.sampled_from(["fail", "succeed"]), st.sampled_from("ab"), st.floats(0.0, 70.0)), max_size=60
)


@given(steps)
def test_all_ways_of_asking_agree_and_no_cool_down_is_longer_than_a_minute(steps: list[tuple[str, str, float]]) -> None:
    cooldowns, now = CoolDowns(), 0.0
    for what, key, seconds in steps:
        now += seconds
        (cooldowns.failed if what == "fail" else cooldowns.succeeded)(key, now)
        assert cooldowns.cooling(now) == {name for name in "ab" if cooldowns.is_cooling(name, now)}
        assert cooldowns.cooling(now + LONGEST_COOLING_S) == frozenset()


@pytest.mark.parametrize("key", ["a", "b"])
def test_a_healthy_endpoint_leaves_no_trace(key: str) -> None:
    cooldowns = CoolDowns()
    cooldowns.failed(key, 0.0)
    cooldowns.failed(key, 0.0)
    for second in range(1, 10):
        cooldowns.succeeded(key, float(second))
    assert cooldowns._failures == cooldowns._cool_until == {}


def test_processes_that_tell_each_other_what_has_changed_agree() -> None:
    told: list[tuple[str, bool]] = []
    one, other = ToldCoolDowns(lambda key, failed: told.append((key, failed))), ToldCoolDowns(_never)
    steps = [(True, 0.0), (False, 0.1), (False, 0.2), (True, 1.0), (True, 2.0), (True, 3.0), (False, 8.0), (False, 9.0)]
    for failed, now in steps:
        before = len(told)
        (one.failed if failed else one.succeeded)("a", now)
        for key, was_failure in told[before:]:
            other.heard(key, now, failed=was_failure)
        assert other.cooling(now) == one.cooling(now)
    assert told == [("a", True), ("a", False), ("a", True), ("a", True), ("a", False)]


def test_what_another_process_tells_is_not_told_again() -> None:
    heard = ToldCoolDowns(_never)
    for failed in (True, True, False):
        heard.heard("a", 0.0, failed=failed)
    assert heard.is_cooling("a", 0.0)


@pytest.mark.parametrize("failures", range(5))
def test_a_process_that_begins_later_knows_what_the_others_do(failures: int) -> None:
    told: list[tuple[str, bool]] = []
    one = ToldCoolDowns(lambda key, failed: told.append((key, failed)))
    one.failed("once", 0.0)
    now = 0.0
    for _ in range(failures):
        now = max(now, one._cool_until.get("a", 0.0))
        one.failed("a", now)
    told.clear()
    later = ToldCoolDowns(_never)
    later.begin_with(one.known())
    for moment in (now, now + 4.9, now + 5.0, now + 9.9, now + 10.0, now + 60.0):
        assert later.cooling(moment) == one.cooling(moment)
    for key in ("a", "once"):
        one.failed(key, now + 60.0)
        later.heard(key, now + 60.0, failed=True)
    assert later._cool_until == one._cool_until
    assert later._failures == one._failures


def test_what_was_known_of_a_cool_down_outlives_a_success() -> None:
    one, later = CoolDowns(), CoolDowns()
    for _ in range(2):
        one.failed("a", 0.0)
    one.succeeded("a", 1.0)
    later.begin_with(one.known())
    assert later.is_cooling("a", 4.9)
    assert not later.is_cooling("a", 5.0)
    assert CoolDowns().known() == {}


def _never(key: str, failed: bool) -> None:
    raise AssertionError(f"{key} {failed}: nothing was to be told")
