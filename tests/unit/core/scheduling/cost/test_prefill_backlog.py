"""The backlog of prefill: booked, worked off by time, by first tokens, by ends and moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.cost.prefill_backlog import PrefillBacklog

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "first token", "remove", "forget", "wait"]),
        st.integers(0, 7),
        st.floats(0.0, 5.0),
    ),
    max_size=60,
)


def test_what_is_booked_adds_up_and_time_works_it_off() -> None:
    backlog = PrefillBacklog()
    backlog.book(0, serial=1, work_s=0.4, now=10.0)
    backlog.book(0, serial=2, work_s=0.1, now=10.0)
    assert backlog.left_s(0, 10.0) == pytest.approx(0.5)
    assert backlog.left_s(0, 10.3) == pytest.approx(0.2)
    assert backlog.left_s(0, 99.0) == 0.0
    assert backlog.left_s(1, 10.0) == 0.0


def test_work_begins_when_it_is_booked_at_an_idle_slot() -> None:
    backlog = PrefillBacklog()
    backlog.book(0, serial=1, work_s=1.0, now=10.0)
    backlog.book(0, serial=2, work_s=1.0, now=50.0)
    assert backlog.left_s(0, 50.5) == pytest.approx(0.5)


def test_a_first_token_says_that_all_before_it_is_done() -> None:
    backlog = PrefillBacklog()
    for serial, work_s in ((1, 3.0), (2, 2.0), (3, 0.5)):
        backlog.book(0, serial, work_s, now=0.0)
    backlog.first_token(2, now=1.0)
    assert backlog.left_s(0, 1.0) == pytest.approx(0.5)
    assert (backlog.slot_of(1), backlog.slot_of(2), backlog.slot_of(3)) == (None, None, 0)
    backlog.first_token(1, now=2.0)
    assert backlog.left_s(0, 1.0) == pytest.approx(0.5), "it was known to be done"


def test_a_first_token_that_comes_late_begins_the_rest_only_then() -> None:
    backlog = PrefillBacklog()
    backlog.book(0, serial=1, work_s=1.0, now=0.0)
    backlog.book(0, serial=2, work_s=1.0, now=0.0)
    backlog.first_token(1, now=5.0)
    assert backlog.left_s(0, 5.0) == pytest.approx(1.0)


def test_a_request_that_ends_takes_what_is_left_of_its_work_with_it() -> None:
    backlog = PrefillBacklog()
    for serial in (1, 2, 3):
        backlog.book(0, serial, work_s=1.0, now=0.0)
    assert backlog.remove(1, now=0.25) == pytest.approx(0.75)
    assert backlog.left_s(0, 0.25) == pytest.approx(2.0)
    assert backlog.remove(3, now=0.25) == pytest.approx(1.0)
    assert backlog.remove(2, now=1.25) == pytest.approx(0.0)
    assert backlog.remove(2, now=1.25) == 0.0
    assert len(backlog) == 0


def test_what_is_before_a_request() -> None:
    backlog = PrefillBacklog()
    for serial in (1, 2):
        backlog.book(0, serial, work_s=1.0, now=0.0)
    assert backlog.ahead_s(1, now=0.0) == 0.0
    assert backlog.ahead_s(2, now=0.25) == pytest.approx(0.75)
    assert backlog.ahead_s(2, now=9.0) == 0.0
    backlog.first_token(2, now=1.0)
    assert backlog.ahead_s(2, now=1.0) is None


def test_a_new_owner_has_nothing_to_do() -> None:
    backlog = PrefillBacklog()
    backlog.book(0, serial=1, work_s=1.0, now=0.0)
    backlog.book(1, serial=2, work_s=1.0, now=0.0)
    backlog.forget_slot(0)
    assert (backlog.left_s(0, 0.0), backlog.left_s(1, 0.0), len(backlog)) == (0.0, 1.0, 1)


def test_there_is_room_for_more_slots() -> None:
    backlog = PrefillBacklog(slots=1)
    backlog.book(0, serial=1, work_s=1.0, now=0.0)
    backlog.reserve_slots(40)
    backlog.book(39, serial=2, work_s=2.0, now=0.0)
    assert (backlog.left_s(0, 0.0), backlog.left_s(39, 0.0), backlog.left_s(38, 0.0)) == (1.0, 2.0, 0.0)


@given(STEPS)
def test_whatever_happens_no_work_is_left_when_all_requests_are_over(steps: list[tuple[str, int, float]]) -> None:
    backlog, now, serial, open_serials = PrefillBacklog(), 0.0, 0, dict[int, int]()
    for step, number, seconds in steps:
        slot, known = number % 2, list(open_serials)
        if step == "book":
            serial += 1
            backlog.book(slot, serial, seconds, now)
            open_serials[serial] = slot
        elif step == "wait":
            now += seconds
        elif step == "forget":
            backlog.forget_slot(slot)
            open_serials = {one: where for one, where in open_serials.items() if where != slot}
        elif known:
            chosen = known[number % len(known)]
            if step == "first token":
                backlog.first_token(chosen, now)
            else:
                backlog.remove(chosen, now)
                del open_serials[chosen]
        assert len(backlog) <= len(open_serials)
        assert backlog.left_s(0, now) >= 0.0
    for one in open_serials:
        backlog.remove(one, now)
    assert len(backlog) == 0
    assert backlog.left_s(0, now) == pytest.approx(0.0, abs=1e-6)
    assert backlog.left_s(1, now) == pytest.approx(0.0, abs=1e-6)
