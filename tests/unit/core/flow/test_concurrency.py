"""concurrency-detector: our own counts against limits."""

from typing import Literal

import pytest

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.flow.concurrency import ConcurrencyDetector
from tests.support.small_pool import SmallPool

Mode = Literal["requests", "tokens", "hybrid"]


def detector(mode: Mode = "requests") -> ConcurrencyDetector:
    return ConcurrencyDetector(
        ConcurrencyDetectorParameters(max_concurrency=10, max_token_concurrency=1000, concurrency_mode=mode)
    )


def loaded_pool() -> SmallPool:
    """5 requests of 10 tokens on the first of two endpoints, 2 of 400 on the second."""
    pool = SmallPool(2)
    for number, requests, tokens in ((0, 5, 10), (1, 2, 400)):
        for _ in range(requests):
            pool.ledger.reserve(pool.slot(number), tokens)
    return pool


@pytest.mark.parametrize(
    ("mode", "expected"), [("requests", 7 / 20), ("tokens", 850 / 2000), ("hybrid", (0.5 + 0.8) / 2)]
)
def test_the_formula(mode: Mode, expected: float) -> None:
    pool = loaded_pool()
    assert detector(mode).saturation(pool.candidates, pool.ledger, pool.now) == pytest.approx(expected)


def test_defaults() -> None:
    parameters = ConcurrencyDetectorParameters()
    assert (parameters.max_concurrency, parameters.max_token_concurrency) == (100, 1_000_000)
    assert (parameters.concurrency_mode, parameters.headroom) == ("requests", 0.0)


def test_an_empty_pool_is_full() -> None:
    pool = SmallPool(0)
    assert detector().saturation(pool.candidates, pool.ledger, pool.now) == 1.0


@pytest.mark.parametrize("held", [(4, 1, 4), (3, 3, 3), (0, 2, 7)])
def test_a_pool_that_is_exactly_full_is_not_almost_full(held: tuple[int, ...]) -> None:
    pool = SmallPool(3)
    for number, requests in enumerate(held):
        pool.hold(number, requests)
    full = ConcurrencyDetector(ConcurrencyDetectorParameters(max_concurrency=3))
    assert full.saturation(pool.candidates, pool.ledger, pool.now) == 1.0
