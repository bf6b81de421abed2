from collections import Counter

import numpy as np
import pytest

from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.pickers.random import RandomPicker
from tests.support.small_pool import SmallPool


def test_everybody_has_the_same_chance_whatever_the_totals() -> None:
    pool = SmallPool(4)
    picker = RandomPicker(PickerParameters())
    first = Counter(picker.pick(pool.cycle(), pool.candidates, np.array([9.0, 0, 0, 0]))[0] for _ in range(2000))
    assert all(400 < first[index] < 600 for index in range(4))


@pytest.mark.parametrize(("count", "length"), [(-3, 1), (0, 1), (2, 2), (9, 4)])
def test_as_many_as_asked_for_without_repetition(count: int, length: int) -> None:
    pool = SmallPool(4)
    picker = RandomPicker(PickerParameters(max_num_of_endpoints=count))
    picked = picker.pick(pool.cycle(), pool.candidates, np.zeros(4))
    assert len(picked) == len(set(picked)) == length
