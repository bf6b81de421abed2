"""How busy pickers are held to be: smoothed, and with what new connections are going to bring."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.app.picker_loads import PickerLoads


def looked(requests: Sequence[int], connections: Sequence[int], *, times: int = 1) -> PickerLoads:
    loads = PickerLoads()
    for _ in range(times):
        loads.look(dict(enumerate(requests)), dict(enumerate(connections)))
    return loads


def spread(loads: PickerLoads, connections: list[int], further: int) -> list[int]:
    """Connections by picker, after so many more went to the least busy one each."""
    for _ in range(further):
        numbers = range(len(connections))
        chosen = min(numbers, key=lambda number: (loads.load(number, connections[number]), connections[number]))
        connections[chosen] += 1
    return connections


def test_before_the_first_look_connections_count_alike() -> None:
    assert spread(PickerLoads(), [0, 0, 0], 9) == [3, 3, 3]


def test_connections_that_have_just_come_count_although_they_bring_nothing_yet() -> None:
    """The first one had time to show what it brings."""
    assert spread(looked([8, 0], [1, 0]), [1, 0], 3) == [2, 2]


def test_what_is_open_at_one_moment_does_not_outweigh_a_connection() -> None:
    assert spread(looked([5, 8], [1, 1]), [1, 1], 2) == [2, 2]


def test_idle_connections_do_not_outweigh_requests() -> None:
    assert spread(looked([0, 20], [10, 1]), [10, 1], 1) == [11, 1]


def test_a_lasting_difference_draws_connections_until_it_is_made_up_for() -> None:
    assert spread(looked([40, 0], [2, 2]), [2, 2], 6) == [3, 7]


def test_a_moment_counts_half_and_then_less() -> None:
    loads = looked([0, 0], [1, 1])
    loads.look({0: 16, 1: 0}, {0: 1, 1: 1})
    assert loads.load(0, 1) == 8.0
    for expected in (4.0, 2.0, 1.0):
        loads.look({0: 0, 1: 0}, {0: 1, 1: 1})
        assert loads.load(0, 1) == expected


def test_a_picker_that_was_started_anew_is_held_to_be_idle() -> None:
    loads = looked([12, 12], [3, 3])
    assert loads.load(0, 0) == 0.0
    assert spread(loads, [0, 3], 3) == [3, 3]


def test_a_picker_that_nobody_looked_at_yet() -> None:
    assert looked([4], [2]).load(1, 0) == 0.0
    assert looked([4], [2]).load(1, 1) == 2.0


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 10)), min_size=1, max_size=5), st.integers(0, 30))
def test_no_picker_is_given_a_connection_that_would_be_better_off_elsewhere(
    pickers: list[tuple[int, int]], further: int
) -> None:
    loads = looked([requests for requests, _ in pickers], [connections for _, connections in pickers])
    connections = spread(loads, [connections for _, connections in pickers], further)
    expected = [loads.load(number, count) for number, count in enumerate(connections)]
    for number, (_, before) in enumerate(pickers):
        if connections[number] > before:
            least_before_the_last = loads.load(number, connections[number] - 1)
            assert least_before_the_last <= min(expected) + 1e-6
            assert expected[number] == pytest.approx(least_before_the_last + loads._usual)
