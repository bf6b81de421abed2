from collections import Counter

import numpy as np
import pytest

from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.pickers.weighted_random import WeightedRandomPicker
from tests.support.small_pool import SmallPool


def first_picks(totals: list[float], rounds: int = 4000) -> list[float]:
    """Share of each candidate among the first picks."""
    pool = SmallPool(len(totals))
    picker = WeightedRandomPicker(PickerParameters())
    counts = Counter(picker.pick(pool.cycle(), pool.candidates, np.array(totals))[0] for _ in range(rounds))
    return [counts[index] / rounds for index in range(len(totals))]


@pytest.mark.parametrize(
    ("totals", "shares"),
    [([1.0, 1.0], [0.5, 0.5]), ([3.0, 1.0], [0.75, 0.25]), ([6.0, 3.0, 1.0], [0.6, 0.3, 0.1])],
)
def test_chances_are_proportional_to_totals(totals: list[float], shares: list[float]) -> None:
    assert first_picks(totals) == pytest.approx(shares, abs=0.03)


def test_a_total_of_0_is_never_first_beside_others() -> None:
    assert first_picks([0.0, 0.001, 0.0], rounds=500) == [0.0, 1.0, 0.0]


def test_when_all_are_0_everybody_has_the_same_chance() -> None:
    assert first_picks([0.0, 0.0, 0.0, 0.0]) == pytest.approx([0.25] * 4, abs=0.04)


@pytest.mark.parametrize("totals", [[0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [1e-320, 5e-324, 1e300]])
def test_fallbacks_are_everybody_else_without_repetition(totals: list[float]) -> None:
    pool = SmallPool(3)
    picker = WeightedRandomPicker(PickerParameters(max_num_of_endpoints=5))
    assert sorted(picker.pick(pool.cycle(), pool.candidates, np.array(totals))) == [0, 1, 2]
