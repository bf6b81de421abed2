"""concurrency-detector: our own counts against limits."""

from typing import Literal

import pytest

from epp.core.flow.concurrency import ConcurrencyDetectorParameters, below_headroom, concurrency
from tests.support.small_pool import SmallPool

Mode = Literal["requests", "tokens", "hybrid"]


def limits(mode: Mode = "requests", headroom: float = 0.0) -> ConcurrencyDetectorParameters:
    return ConcurrencyDetectorParameters(
        max_concurrency=10, max_token_concurrency=1000, concurrency_mode=mode, headroom=headroom
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
    assert concurrency(pool.candidates, pool.ledger, limits(mode)) == pytest.approx(expected)


def test_defaults() -> None:
    parameters = ConcurrencyDetectorParameters()
    assert (parameters.max_concurrency, parameters.max_token_concurrency) == (100, 1_000_000)
    assert (parameters.concurrency_mode, parameters.headroom) == ("requests", 0.0)


def test_an_empty_pool_is_full() -> None:
    pool = SmallPool(0)
    assert concurrency(pool.candidates, pool.ledger, limits()) == 1.0


@pytest.mark.parametrize(("headroom", "left"), [(0.0, [1]), (0.1, [1]), (0.2, [0, 1])])
def test_as_a_filter_it_leaves_those_with_room(headroom: float, left: list[int]) -> None:
    pool = SmallPool(2)
    pool.hold(0, 11)
    pool.hold(1, 9)
    assert below_headroom(pool.candidates, pool.ledger, limits(headroom=headroom)).positions.tolist() == left


def test_as_a_filter_it_never_leaves_nobody() -> None:
    pool = SmallPool(1)
    pool.hold(0, 10)
    assert len(below_headroom(pool.candidates, pool.ledger, limits())) == 1
