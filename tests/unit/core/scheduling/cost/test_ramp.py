"""New endpoints are held back, less and less."""

import numpy as np
import pytest

from epp.core.scheduling.cost.ramp import Ramp

SLOTS = np.array([0, 1, 40])


def costs(ramp: Ramp, now: float) -> list[float]:
    return [float(cost) for cost in ramp.add_to(np.array([1.0, 2.0, 3.0]), SLOTS, now)]


def test_those_of_the_start_are_not_new() -> None:
    ramp = Ramp(10.0)
    for slot in SLOTS.tolist():
        ramp.renewed(slot)
    assert costs(ramp, 100.0) == [1.0, 2.0, 3.0]


def test_a_later_one_has_the_mean_cost_on_top_less_and_less() -> None:
    ramp = Ramp(10.0)
    costs(ramp, 100.0)
    ramp.renewed(40)
    assert costs(ramp, 500.0) == [1.0, 2.0, 5.0]
    assert costs(ramp, 507.5) == [1.0, 2.0, pytest.approx(3.5)]
    assert costs(ramp, 510.0) == [1.0, 2.0, 3.0]


def test_without_a_ramp_nobody_is_held_back() -> None:
    ramp = Ramp(0.0)
    costs(ramp, 100.0)
    ramp.renewed(1)
    assert costs(ramp, 100.0) == [1.0, 2.0, 3.0]
