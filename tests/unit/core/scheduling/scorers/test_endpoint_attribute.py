from typing import Any

import msgspec
import pytest

from epp.core.scheduling.scorers.endpoint_attribute import EndpointAttributeScorer, EndpointAttributeScorerParameters
from tests.support.small_pool import SmallPool

LOWER, HIGHER = "linear_lower_is_better", "linear_higher_is_better"


def scorer(key: str, better: str = LOWER, **normalization: Any) -> EndpointAttributeScorer:
    given = {"attributeKey": key, "algorithm": {"type": better, "normalization": normalization}}
    return EndpointAttributeScorer(msgspec.convert(given, EndpointAttributeScorerParameters))


@pytest.mark.parametrize(
    ("better", "normalization", "waiting", "scores"),
    [
        (LOWER, {}, (0, 5, 10), [1.0, 0.5, 0.0]),
        (HIGHER, {}, (0, 5, 10), [0.0, 0.5, 1.0]),
        (LOWER, {"adaptiveRange": {}}, (4, 4), [1.0, 1.0]),
        (HIGHER, {}, (4, 4), [1.0, 1.0]),
        (LOWER, {"fixedRange": {"min": 0, "max": 20}}, (0, 5, 30), [1.0, 0.75, 0.0]),
        (HIGHER, {"fixedRange": {"min": 4, "max": 6}}, (0, 5, 30), [0.0, 0.5, 1.0]),
        (LOWER, {}, (1e308, -1e308, 0.0), [0.0, 1.0, 0.5]),
        (HIGHER, {"fixedRange": {"min": 0, "max": 1e-300}}, (1e308, 0), [1.0, 0.0]),
    ],
)
def test_formula(better: str, normalization: dict[str, Any], waiting: tuple[float, ...], scores: list[float]) -> None:
    pool = SmallPool(len(waiting))
    for number, queue in enumerate(waiting):
        pool.report(number, waiting=queue)
    plugin = scorer("WaitingQueueSize", better, **normalization)
    assert plugin.score(pool.cycle(), pool.candidates).tolist() == scores


@pytest.mark.parametrize("key", ["RunningRequestsSize", "KVCacheUsage", "InFlightRequests", "InFlightTokens"])
def test_every_attribute(key: str) -> None:
    pool = SmallPool(2)
    pool.report(0, running=1, kv_usage=0.1)
    pool.report(1, running=2, kv_usage=0.2)
    pool.hold(1)
    assert scorer(key).score(pool.cycle(), pool.candidates).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("better", [LOWER, HIGHER])
@pytest.mark.parametrize("unknown", [float("nan"), float("inf"), float("-inf")])
def test_an_unknown_attribute_is_0_and_out_of_the_range(better: str, unknown: float) -> None:
    pool = SmallPool(3)
    for number, waiting in enumerate((2.0, unknown, 2.0)):
        pool.report(number, waiting=waiting)
    assert scorer("WaitingQueueSize", better).score(pool.cycle(), pool.candidates).tolist() == [1.0, 0.0, 1.0]


def test_a_silent_endpoint_has_no_attribute_unless_all_are_silent() -> None:
    pool = SmallPool(3)
    pool.report(0, waiting=9)
    pool.now += 10.0
    pool.report(1, waiting=1)
    plugin = scorer("WaitingQueueSize", HIGHER)
    assert plugin.score(pool.cycle(), pool.candidates).tolist() == [0.0, 1.0, 0.0]
    pool.now += 10.0
    assert plugin.score(pool.cycle(), pool.candidates).tolist() == [1.0, 0.0, 0.0]


def test_nobody_was_ever_scraped() -> None:
    pool = SmallPool(2)
    assert scorer("KVCacheUsage").score(pool.cycle(), pool.candidates).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"attributeKey": "", "algorithm": {"type": LOWER}}, "Expected `str` of length >= 1"),
        ({"attributeKey": "KVCacheUsage", "algorithm": {"type": "linear"}}, "Invalid enum value 'linear'"),
        ({"attributeKey": "KVCacheUsage"}, "missing required field `algorithm`"),
        (
            {
                "attributeKey": "KVCacheUsage",
                "algorithm": {"type": LOWER, "normalization": {"fixedRange": {"min": 1, "max": 1}}},
            },
            "fixedRange needs min < max, got min 1 and max 1",
        ),
        (
            {
                "attributeKey": "KVCacheUsage",
                "algorithm": {
                    "type": LOWER,
                    "normalization": {"fixedRange": {"min": 0, "max": 1}, "adaptiveRange": {}},
                },
            },
            "fixedRange and adaptiveRange exclude one another",
        ),
    ],
)
def test_mistakes_at_load(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, EndpointAttributeScorerParameters)
