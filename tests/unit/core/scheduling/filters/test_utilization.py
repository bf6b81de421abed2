import msgspec
import pytest

from epp.core.scheduling.filters.utilization import UtilizationFilter, UtilizationFilterParameters
from tests.support.small_pool import SmallPool


def plugin(caps: dict[str, float], *, fallback: bool = False) -> UtilizationFilter:
    given = {
        "conditions": [{"metric": metric, "maxValue": most} for metric, most in caps.items()],
        "fallbackOnEmpty": fallback,
    }
    return UtilizationFilter(msgspec.convert(given, UtilizationFilterParameters))


def pool_of_three() -> SmallPool:
    pool = SmallPool(3)
    for number in range(3):
        pool.report(number, waiting=number, running=10 * number, kv_usage=0.4 * number)
        pool.hold(number, number)
    return pool


@pytest.mark.parametrize(
    ("caps", "left"),
    [
        ({"waiting-queue": 1}, [0, 1]),
        ({"waiting-queue": 0.5}, [0]),
        ({"running-requests": 10}, [0, 1]),
        ({"kv-cache-utilization": 0.4}, [0, 1]),
        ({"active-requests": 0}, [0]),
        ({"waiting-queue": 1, "active-requests": 0}, [0]),
        ({"waiting-queue": 2}, [0, 1, 2]),
    ],
)
def test_caps(caps: dict[str, float], left: list[int]) -> None:
    pool = pool_of_three()
    assert plugin(caps).filter(pool.cycle(), pool.candidates).positions.tolist() == left


@pytest.mark.parametrize(("fallback", "left"), [(False, []), (True, [1, 2])])
def test_when_nobody_would_be_left(fallback: bool, left: list[int]) -> None:
    pool = pool_of_three()
    kept = plugin({"active-requests": 0}, fallback=fallback).filter(pool.cycle(), pool.candidates.keep([1, 2]))
    assert kept.positions.tolist() == left


def test_an_unknown_metric_is_above_no_cap() -> None:
    pool = SmallPool(2)
    pool.report(1, waiting=9)
    assert plugin({"waiting-queue": 1}).filter(pool.cycle(), pool.candidates).positions.tolist() == [0]


def test_no_condition_is_a_mistake() -> None:
    with pytest.raises(msgspec.ValidationError, match="conditions is empty"):
        msgspec.convert({"conditions": []}, UtilizationFilterParameters)
