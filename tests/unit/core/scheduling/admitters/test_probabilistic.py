"""probabilistic-admitter: what is shed, and how often."""

import msgspec
import pytest

from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.admitters.probabilistic import ProbabilisticAdmitter, ProbabilisticAdmitterParameters
from tests.support.small_pool import SmallPool

TRIES = 2000
SHEDDABLE = InferenceRequest("r", priority=-1)


def shed_share(pool: SmallPool, request: InferenceRequest = SHEDDABLE, **parameters: float) -> float:
    """The share of requests that is refused."""
    admitter = ProbabilisticAdmitter(msgspec.convert(parameters, ProbabilisticAdmitterParameters))
    refused = 0
    for _ in range(TRIES):
        try:
            admitter.admit(pool.cycle(request), pool.candidates)
        except ResourceExhausted:
            refused += 1
    return refused / TRIES


def pool_at(waiting: float = 0.0, kv_usage: float = 0.0) -> SmallPool:
    pool = SmallPool(2)
    for number in range(2):
        pool.report(number, waiting=waiting, kv_usage=kv_usage)
    return pool


@pytest.mark.parametrize("priority", [0, 1, 100])
def test_only_requests_below_0_are_shed(priority: int) -> None:
    assert shed_share(pool_at(waiting=50), InferenceRequest("r", priority=priority)) == 0.0


@pytest.mark.parametrize(
    ("waiting", "kv_usage", "share"),
    [(0.0, 0.0, 0.0), (1.0, 0.0, 0.096), (1.25, 0.0, 0.293), (0.0, 0.2, 0.293), (1.0, 0.2, 0.293), (2.0, 0.0, 1.0)],
)
def test_the_share_follows_the_formula(waiting: float, kv_usage: float, share: float) -> None:
    assert shed_share(pool_at(waiting, kv_usage)) == pytest.approx(share, abs=0.04)


def test_the_saturation_is_the_mean_over_the_candidates() -> None:
    pool = SmallPool(2)
    pool.report(0, waiting=2.5)
    pool.report(1, waiting=0)
    assert shed_share(pool) == pytest.approx(300 * 0.25**5, abs=0.04)


def test_power_and_k_shape_it() -> None:
    assert shed_share(pool_at(waiting=2.5), power=1, k=0.5) == pytest.approx(0.25, abs=0.04)
    assert shed_share(pool_at(waiting=1e9, kv_usage=1.0), power=100, k=0.5) == pytest.approx(0.5, abs=0.04)


def test_an_endpoint_that_was_never_scraped_counts_as_full() -> None:
    assert shed_share(SmallPool(2)) == 1.0


def test_an_endpoint_that_fell_silent_is_judged_by_our_own_books() -> None:
    pool = pool_at(waiting=50)
    pool.now += 60.0
    assert shed_share(pool) == 0.0
    pool.hold(0, 50)
    assert shed_share(pool) == pytest.approx(300 * 0.25**5, abs=0.04)


def test_a_refusal_says_why_and_when_to_come_again() -> None:
    pool = pool_at(waiting=50)
    with pytest.raises(ResourceExhausted) as caught:
        ProbabilisticAdmitter(ProbabilisticAdmitterParameters()).admit(pool.cycle(SHEDDABLE), pool.candidates)
    refusal = caught.value
    assert refusal.message.startswith("request cannot be admitted: ")
    assert refusal.hint == "saturation 10.000, requests of priority -1 are refused with probability 1.00"
    assert (refusal.reason, refusal.retry_after_s) == (DroppedReason.SATURATED, 1)
