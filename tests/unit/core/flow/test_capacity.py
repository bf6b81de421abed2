"""Capacity: how much may wait, in a band and altogether, and what is said to who comes too late."""

import pytest

from epp.core.domain.errors import DroppedReason, ResourceExhausted, ServiceUnavailable
from epp.core.flow.band import BandLimits
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.flow_pool import FlowPool, refusal_of


def full_pool(*, band: BandLimits | None = None, everything: BandLimits | None = None) -> FlowPool:
    settings = FlowSettings(
        default_band=BandSettings(limits=band or BandLimits()),
        limits=everything or BandLimits(max_bytes=0, max_requests=0),
    )
    pool = FlowPool(places=1, settings=settings)
    pool.fill()
    return pool


def test_defaults_are_those_of_the_reference() -> None:
    settings = FlowSettings()
    assert settings.default_band.limits == BandLimits(max_bytes=1_000_000_000, max_requests=5000)
    assert settings.limits == BandLimits(max_bytes=0, max_requests=0)
    assert settings.default_ttl_s == 60.0


@pytest.mark.parametrize(
    ("band", "everything", "hint"),
    [
        (BandLimits(max_requests=2), None, "the band of priority 0 holds its maxRequests of 2"),
        (BandLimits(max_bytes=200), None, "the band of priority 0 would hold 300 bytes, over its maxBytes of 200"),
        (None, BandLimits(max_bytes=0, max_requests=2), "flow control holds its maxRequests of 2"),
        (
            None,
            BandLimits(max_bytes=299, max_requests=0),
            "flow control would hold 300 bytes, over its maxBytes of 299",
        ),
    ],
)
def test_the_third_request_is_too_much(band: BandLimits | None, everything: BandLimits | None, hint: str) -> None:
    pool = full_pool(band=band, everything=everything)
    pool.offer("a", body_bytes=100)
    pool.offer("b", body_bytes=100)
    refusal = refusal_of(pool, "c", body_bytes=100)
    assert isinstance(refusal, ResourceExhausted)
    assert (refusal.message, refusal.hint) == ("request rejected by flow control", hint)
    assert (refusal.reason, refusal.retry_after_s) == (DroppedReason.SATURATED, 1)
    assert (len(pool.flow), pool.flow.body_bytes) == (2, 200)


def test_exactly_the_limit_fits() -> None:
    pool = full_pool(band=BandLimits(max_bytes=200, max_requests=2))
    pool.offer("a", body_bytes=100)
    pool.offer("b", body_bytes=100)
    assert len(pool.flow) == 2


@pytest.mark.parametrize("leave", ["withdraw", "grant", "expire"])
def test_whoever_leaves_frees_capacity(leave: str) -> None:
    pool = full_pool(band=BandLimits(max_requests=1))
    pool.offer("a")
    if leave == "withdraw":
        pool.flow.withdraw(pool.items["a"], pool.now)
    elif leave == "grant":
        pool.finish()
    else:
        pool.advance(60.0)
    pool.offer("b")
    assert len(pool.flow) == 1


def test_another_band_has_capacity_of_its_own() -> None:
    pool = full_pool(band=BandLimits(max_requests=1))
    pool.offer("a")
    pool.offer("b", priority=1)
    assert isinstance(refusal_of(pool, "c", priority=1), ResourceExhausted)


def test_a_request_that_need_not_wait_needs_no_capacity() -> None:
    pool = FlowPool(places=1, settings=FlowSettings(default_band=BandSettings(limits=BandLimits(max_bytes=1))))
    pool.offer("large", body_bytes=1000)
    assert pool.granted == ""
    assert "large" in pool.running


def test_an_empty_pool_says_that_it_is_empty() -> None:
    pool = full_pool(band=BandLimits(max_requests=1))
    pool.has_endpoints = False
    pool.offer("a")
    refusal = refusal_of(pool, "b")
    assert isinstance(refusal, ServiceUnavailable)
    assert refusal.reason is DroppedReason.NO_ENDPOINTS
    assert refusal.message == "no endpoints available: request rejected by flow control"


def test_negative_priorities_have_defaults_of_their_own() -> None:
    settings = FlowSettings(default_negative_band=BandSettings(limits=BandLimits(max_requests=1)))
    pool = FlowPool(places=1, settings=settings)
    pool.fill()
    pool.queue("a b", priority=3)
    pool.queue("c", priority=-3)
    assert isinstance(refusal_of(pool, "d", priority=-3), ResourceExhausted)
