"""In-flight eviction: who is broken off, how many, and when again."""

import pytest

from epp.core.flow.eviction import EvictionSettings, InFlightEvictor
from epp.core.flow.statistics import Blocked

FULL = Blocked(priority=0, saturation=1.0, ceiling=1.0)


def evictor(*priorities: int, settings: EvictionSettings | None = None) -> InFlightEvictor[int]:
    """Requests 0, 1, ... dispatched in this order."""
    made: InFlightEvictor[int] = InFlightEvictor(settings or EvictionSettings())
    for handle, priority in enumerate(priorities):
        made.dispatched(handle, priority)
    return made


@pytest.mark.parametrize(
    ("priorities", "chosen"),
    [
        ((-1, -1, -1), [2]),  # newest first
        ((-1, -3, -2), [1]),  # lowest priority first
        ((-1, -3, -3, -2), [2]),
        ((0, 5, 1), []),  # only what may be shed
        ((-1, 0, 0), [0]),
    ],
)
def test_who(priorities: tuple[int, ...], chosen: list[int]) -> None:
    assert evictor(*priorities).choose(FULL, in_flight=10, now=0.0) == chosen


def test_only_for_a_higher_band() -> None:
    blocked = Blocked(priority=-2, saturation=1.0, ceiling=1.0)
    assert evictor(-1, -2).choose(blocked, 10, 0.0) == []
    assert evictor(-1, -2, -3).choose(blocked, 10, 0.0) == [2]


@pytest.mark.parametrize(
    ("saturation", "ceiling", "in_flight", "count"),
    [
        (1.0, 1.0, 10, 1),  # at the ceiling one is enough
        (1.0, 0.9, 10, 1),
        (1.2, 1.0, 12, 2),  # credit 0.1 each
        (1.5, 1.0, 15, 2),  # 5 are wanted, 2 at a time
        (1.0, 1.0, 0, 0),
        (0.0, 0.0, 5, 0),
    ],
)
def test_how_many(saturation: float, ceiling: float, in_flight: int, count: int) -> None:
    chosen = evictor(*[-1] * 10).choose(Blocked(0, saturation, ceiling), in_flight, 0.0)
    assert len(chosen) == count


def test_nobody_blocked_nobody_evicted() -> None:
    assert evictor(-1).choose(None, 10, 0.0) == []


def test_stop_and_wait() -> None:
    made = evictor(-1, -1, -1, -1)
    blocked = Blocked(0, 1.4, 1.0)
    assert made.choose(blocked, 7, 0.0) == [3, 2]
    assert made.choose(blocked, 7, 1.0) == [], "two are outstanding"
    assert made.finished(3, 1.0)
    assert made.choose(blocked, 6, 1.5) == [], "one is outstanding"
    assert made.finished(2, 2.0)
    assert made.choose(blocked, 5, 2.0) == [], "saturation has not shown it yet"
    assert made.next_deadline() == pytest.approx(2.01)
    assert made.choose(blocked, 5, 2.01) == [1, 0]
    assert not made.finished(2, 3.0), "confirmed once"


def test_without_a_sign_the_next_ones_go_after_10_s() -> None:
    made = evictor(-1, -1)
    assert made.choose(FULL, 5, 0.0) == [1]
    assert made.next_deadline() == 10.0
    assert made.choose(FULL, 5, 9.9) == []
    assert made.choose(FULL, 5, 10.0) == [0]
    assert made.unconfirmed == 1
    assert not made.finished(1, 11.0), "too late to confirm"


def test_a_begun_answer_is_spared_unless_configured() -> None:
    for spare, chosen in ((True, [0]), (False, [1])):
        made = evictor(-1, -1, settings=EvictionSettings(spare_begun=spare))
        made.response_begun(1)
        assert made.choose(FULL, 5, 0.0) == chosen


def test_a_finished_request_is_no_candidate() -> None:
    made = evictor(-1, -1)
    assert not made.finished(1, 0.0)
    assert made.choose(FULL, 5, 0.0) == [0]


def test_nothing_is_left_behind() -> None:
    made: InFlightEvictor[int] = InFlightEvictor(EvictionSettings())
    for handle in range(1000):
        made.dispatched(handle, -1)
        made.choose(FULL, 5, float(handle))
        made.finished(handle, float(handle))
    assert (len(made), made.outstanding) == (0, 0)
    assert made.choose(None, 5, 2000.0) == []
    assert made.next_deadline() is None
