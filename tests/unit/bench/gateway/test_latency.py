"""Quantiles."""

import pytest

from bench.gateway.latency import Quantiles, quantile, quantiles_of


def test_of_a_hundred_times() -> None:
    assert quantiles_of([number / 1000 for number in range(100, 0, -1)]) == Quantiles(50.0, 99.0)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0.0), ([3.0], 0.99, 3.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.5, 2.0), ([1.0, 2.0], 0.0, 1.0)],
)
def test_few_values(values: list[float], share: float, expected: float) -> None:
    assert quantile(values, share) == expected


def test_what_is_added() -> None:
    assert Quantiles(3.0, 9.0).above(Quantiles(1.0, 10.0)) == Quantiles(2.0, -1.0)
