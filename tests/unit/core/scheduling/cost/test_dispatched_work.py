"""How loaded the pool is by what was dispatched."""

import pytest

from epp.core.scheduling.cost.dispatched_work import DispatchedWork


def test_nothing_dispatched_is_no_load() -> None:
    assert DispatchedWork(30.0).load_factor(4, 3.0, now=5.0) == 0.0


def test_the_load_factor_grows_to_its_ceiling_and_fades() -> None:
    work = DispatchedWork(30.0)
    work.add(30.0, now=0.0)
    assert work.load_factor(2, 3.0, now=0.0) == pytest.approx(1.0)
    assert work.load_factor(4, 3.0, now=0.0) == pytest.approx(1.0 / 3.0)
    assert work.load_factor(1, 3.0, now=0.0) == 3.0
    assert work.load_factor(2, 3.0, now=300.0) < 0.001


def test_a_steady_load_is_told_as_such() -> None:
    work = DispatchedWork(30.0)
    for tenth in range(3000):
        work.add(0.05, now=tenth / 10.0)
    assert work.load_factor(1, 9.0, now=300.0) == pytest.approx(1.0, rel=0.05), "half of the time"


def test_what_a_request_usually_brings() -> None:
    work = DispatchedWork(30.0)
    work.add(2.0, now=0.0)
    assert work.usual_s == 2.0
    for _ in range(200):
        work.add(0.5, now=1.0)
    assert work.usual_s == pytest.approx(0.5, rel=0.01)


def test_a_clock_that_stands_still_or_an_earlier_time_adds_nothing() -> None:
    work = DispatchedWork(30.0)
    work.add(15.0, now=10.0)
    assert work.load_factor(1, 9.0, now=9.0) == pytest.approx(1.0)
