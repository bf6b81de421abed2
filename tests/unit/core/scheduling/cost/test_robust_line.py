"""A line learned from samples: it finds the truth, and nothing absurd takes it away."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.cost.robust_line import FARTHEST, RobustLine


def taught(a: float, b: float, samples: int = 300, noise: float = 0.1, outliers: float = 0.0) -> RobustLine:
    """A line that began with 1 + 1 * x and saw samples of a + b * x."""
    rng = Random(1)
    line = RobustLine(1.0, 1.0)
    for _ in range(samples):
        x = rng.uniform(0.0, 10.0)
        y = (a + b * x) * (1.0 + rng.gauss(0.0, noise))
        line.learn(x, y * 1000.0 if rng.random() < outliers else y)
    return line


def test_without_samples_it_is_where_it_began() -> None:
    line = RobustLine(0.5, 2.0)
    assert (line.a, line.b, line.samples) == (0.5, 2.0, 0)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.5, 2.0), (2.0, 0.5), (1.5, 4.0)])
def test_it_finds_the_truth(a: float, b: float) -> None:
    line = taught(a, b)
    assert line.b == pytest.approx(b, rel=0.15)
    for x in (2.0, 5.0, 10.0):
        assert line.a + line.b * x == pytest.approx(a + b * x, rel=0.1)


def test_now_and_then_an_absurd_sample_changes_little() -> None:
    line = taught(1.0, 2.0, outliers=0.05)
    assert line.b == pytest.approx(2.0, rel=0.2)


def test_a_few_absurd_samples_at_the_very_start_move_it_a_little() -> None:
    line = RobustLine(1.0, 1.0)
    for _ in range(3):
        line.learn(1.0, 1e6)
    assert line.b < 3.0


def test_many_of_them_move_it_no_farther_than_its_bounds() -> None:
    line = RobustLine(1.0, 1.0)
    for _ in range(1000):
        line.learn(1.0, 1e6)
    assert line.b <= FARTHEST
    for _ in range(1000):
        line.learn(1.0, 1e-9)
    assert line.b >= 1.0 / FARTHEST


@pytest.mark.parametrize(
    ("x", "y", "weight"),
    [
        (math.nan, 1.0, 1.0),
        (1.0, math.nan, 1.0),
        (math.inf, 1.0, 1.0),
        (1.0, math.inf, 1.0),
        (-1.0, 1.0, 1.0),
        (1.0, 0.0, 1.0),
        (1.0, -5.0, 1.0),
        (1e300, 1.0, 1.0),
        (1.0, 1e300, 1.0),
        (1.0, 1.0, 0.0),
        (1.0, 1.0, math.nan),
    ],
)
def test_what_is_no_sample_changes_nothing(x: float, y: float, weight: float) -> None:
    line = taught(1.0, 2.0)
    before = (line.a, line.b, line.samples)
    line.learn(x, y, weight)
    assert (line.a, line.b, line.samples) == before


def test_it_follows_a_change() -> None:
    line = RobustLine(1.0, 1.0)
    for slope in (1.0, 3.0):
        for number in range(600):
            line.learn(number % 10, 1.0 + slope * (number % 10))
    assert line.b == pytest.approx(3.0, rel=0.1)


def test_when_every_x_is_zero_the_slope_holds() -> None:
    line = RobustLine(1.0, 2.0)
    for _ in range(200):
        line.learn(0.0, 3.0)
    assert line.b == pytest.approx(2.0)
    assert line.a == pytest.approx(3.0, rel=0.1)


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats(0.0, 1.0)), max_size=50))
def test_whatever_it_sees_it_stays_a_line_within_its_bounds(samples: list[tuple[float, float, float]]) -> None:
    line = RobustLine(0.01, 2.0)
    for x, y, weight in samples:
        line.learn(x, y, weight)
    assert 0.01 / FARTHEST <= line.a <= 0.01 * FARTHEST
    assert 2.0 / FARTHEST <= line.b <= 2.0 * FARTHEST
