from typing import Any

import msgspec
import pytest

from epp.core.scheduling.filters.endpoint_attribute import EndpointAttributeFilter, EndpointAttributeFilterParameters
from tests.support.small_pool import SmallPool


def plugin(operator: str, value: float, **more: Any) -> EndpointAttributeFilter:
    algorithm = {"type": "threshold", "threshold": {"operator": operator, "value": value}}
    given = {"attribute": "WaitingQueueSize", "algorithm": algorithm, **more}
    return EndpointAttributeFilter(msgspec.convert(given, EndpointAttributeFilterParameters))


@pytest.mark.parametrize(
    ("operator", "left"),
    [
        ("LessThan", [0]),
        ("LessThanOrEqual", [0, 1]),
        ("GreaterThan", [2]),
        ("GreaterThanOrEqual", [1, 2]),
        ("Equal", [1]),
        ("NotEqual", [0, 2]),
    ],
)
def test_operators(operator: str, left: list[int]) -> None:
    pool = SmallPool(3)
    for number in range(3):
        pool.report(number, waiting=number)
    assert plugin(operator, 1).filter(pool.cycle(), pool.candidates).positions.tolist() == left


@pytest.mark.parametrize("operator", ["LessThan", "GreaterThan", "NotEqual"])
@pytest.mark.parametrize(("on_missing", "left"), [("Pass", [0]), ("Fail", [])])
def test_unknown(operator: str, on_missing: str, left: list[int]) -> None:
    pool = SmallPool(2)
    pool.report(1, waiting=5)
    kept = plugin(operator, 5, onMissing=on_missing).filter(pool.cycle(), pool.candidates)
    assert kept.positions.tolist() == left


@pytest.mark.parametrize(("fallback", "left"), [(False, []), (True, [0, 1])])
def test_when_nobody_would_be_left(fallback: bool, left: list[int]) -> None:
    pool = SmallPool(2)
    for number in range(2):
        pool.report(number, waiting=5)
    kept = plugin("LessThan", 5, fallbackOnEmpty=fallback).filter(pool.cycle(), pool.candidates)
    assert kept.positions.tolist() == left
