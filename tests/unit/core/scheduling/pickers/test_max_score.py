from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from tests.support.small_pool import SmallPool


def picker(count: int = 1) -> MaxScorePicker:
    return MaxScorePicker(PickerParameters(max_num_of_endpoints=count))


def test_the_highest_total_wins() -> None:
    pool = SmallPool(3)
    assert picker().pick(pool.cycle(), pool.candidates, np.array([1.0, 3.0, 2.0])) == [1]
    assert picker(2).pick(pool.cycle(), pool.candidates, np.array([1.0, 3.0, 2.0])) == [1, 2]


def test_of_equal_totals_the_one_with_fewest_in_flight_wins() -> None:
    pool = SmallPool(4)
    pool.hold(0, 2)
    pool.hold(1, 1)
    totals = np.array([5.0, 5.0, 5.0, 1.0])
    assert picker().pick(pool.cycle(), pool.candidates, totals) == [2]
    assert picker(9).pick(pool.cycle(), pool.candidates, totals) == [2, 1, 0, 3]


def test_what_is_equal_in_everything_is_left_to_chance() -> None:
    pool = SmallPool(4)
    for count in (1, 2):
        first = Counter(picker(count).pick(pool.cycle(), pool.candidates, np.zeros(4))[0] for _ in range(400))
        assert set(first) == {0, 1, 2, 3}
        assert min(first.values()) > 50


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.0]), st.integers(0, 3)), min_size=1, max_size=8),
    st.integers(-1, 10),
)
def test_the_order_is_total_then_load(candidates: list[tuple[float, int]], count: int) -> None:
    pool = SmallPool(len(candidates))
    for number, (_, in_flight) in enumerate(candidates):
        pool.hold(number, in_flight)
    totals = np.array([total for total, _ in candidates])

    picked = picker(count).pick(pool.cycle(), pool.candidates, totals)

    assert len(picked) == len(set(picked)) == min(max(count, 1), len(candidates))
    ranks = [(-candidates[index][0], candidates[index][1]) for index in picked]
    assert ranks == sorted((-total, in_flight) for total, in_flight in candidates)[: len(picked)]
