from typing import Any

import msgspec
import pytest

from epp.core.scheduling.filters.label_selector import LabelSelectorFilter, LabelSelectorParameters
from tests.support.small_pool import SmallPool

LABELS = [{"gpu": "h100", "tier": "gold"}, {"gpu": "l4"}, {"tier": "gold"}, {}]


def need(operator: str, *values: str) -> dict[str, Any]:
    return {"key": "gpu", "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ({}, [0, 1, 2, 3]),
        ({"matchLabels": {"tier": "gold"}}, [0, 2]),
        ({"matchLabels": {"tier": "gold", "gpu": "h100"}}, [0]),
        ({"matchExpressions": [need("In", "h100", "l4")]}, [0, 1]),
        ({"matchExpressions": [need("NotIn", "h100")]}, [1, 2, 3]),
        ({"matchExpressions": [need("Exists")]}, [0, 1]),
        ({"matchExpressions": [need("DoesNotExist")]}, [2, 3]),
        ({"matchExpressions": [need("Exists"), need("NotIn", "l4")]}, [0]),
        ({"matchLabels": {"tier": "gold"}, "matchExpressions": [need("DoesNotExist")]}, [2]),
    ],
)
def test_selectors(selector: dict[str, Any], left: list[int]) -> None:
    pool = SmallPool(4, labels=LABELS)
    plugin = LabelSelectorFilter(msgspec.convert(selector, LabelSelectorParameters))
    assert plugin.filter(pool.cycle(), pool.candidates).positions.tolist() == left


@pytest.mark.parametrize(
    ("requirement", "problem"),
    [
        (need("In"), "the operator In needs values"),
        (need("NotIn"), "the operator NotIn needs values"),
        (need("Exists", "h100"), "the operator Exists takes no values"),
        (need("Gt", "1"), "Invalid enum value 'Gt'"),
    ],
)
def test_mistakes_at_load(requirement: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert({"matchExpressions": [requirement]}, LabelSelectorParameters)
