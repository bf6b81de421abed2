"""Usage limit policies: ceilings by priority and saturation."""

import pytest

from epp.core.config.flow_parameters import PriorityHoldbackParameters, StaticUsageLimitParameters
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldback
from epp.core.flow.usage_limits.soft_reflective_ceiling import SoftReflectiveCeiling
from epp.core.flow.usage_limits.static import StaticUsageLimit


def test_static_is_the_same_for_all() -> None:
    assert list(StaticUsageLimit(StaticUsageLimitParameters()).ceilings(0.5, (10, 0, -10))) == [1.0, 1.0, 1.0]
    assert list(StaticUsageLimit(StaticUsageLimitParameters(threshold=0.7)).ceilings(0.5, (0,))) == [0.7]


@pytest.mark.parametrize(
    ("domain", "priorities", "expected"),
    [
        ("rank", (100, 10, 0), [0.9, 0.65, 0.4]),
        ("value", (100, 10, 0), [0.9, 0.45, 0.4]),
        ("rank", (7,), [0.9]),
        ("value", (7,), [0.9]),
        ("value", (5, -5), [0.9, 0.4]),
        ("rank", (), []),
    ],
)
def test_holdback(domain: str, priorities: tuple[int, ...], expected: list[float]) -> None:
    parameters = PriorityHoldbackParameters(min_ceiling=0.4, max_ceiling=0.9, domain=domain)  # type: ignore[arg-type]
    assert list(PriorityHoldback(parameters).ceilings(0.0, priorities)) == pytest.approx(expected)


def test_holdback_follows_the_bands() -> None:
    policy = PriorityHoldback(PriorityHoldbackParameters(min_ceiling=0.0))
    assert list(policy.ceilings(0.0, (1, 0))) == [1.0, 0.0]
    assert list(policy.ceilings(0.0, (2, 1, 0))) == [1.0, 0.5, 0.0]


def test_holdback_bounds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match=r"minCeiling 0\.9 is above maxCeiling 0\.5"):
        PriorityHoldbackParameters(min_ceiling=0.9, max_ceiling=0.5)


@pytest.mark.parametrize(
    ("saturation", "open_asks"),
    [
        (0.0, [12, 12, 12]),
        (0.49, [12, 12, 12]),  # lowest of three: ceiling 0.51
        (0.5, [12, 12, 12]),  # at its ceiling, but period 1
        (0.62, [12, 12, 6]),  # period round(1.63) = 2; the middle one's ceiling is 0.69
        (0.75, [12, 4, 4]),  # period 3
        (0.8, [12, 3, 3]),  # period 4
        (1.0, [12, 0, 0]),
        (1.7, [12, 0, 0]),
    ],
)
def test_soft_reflective_opens_in_proportion(saturation: float, open_asks: list[int]) -> None:
    policy = SoftReflectiveCeiling()
    asked = [policy.ceilings(saturation, (10, 0, -10)) for _ in range(12)]
    assert [sum(ceilings[rank] > 0.0 for ceilings in asked) for rank in range(3)] == open_asks


def test_soft_reflective_forgets_bands_that_went() -> None:
    policy = SoftReflectiveCeiling()
    for lowest in range(-300, 0):
        policy.ceilings(0.75, (0, lowest))
    assert len(policy._asks) <= 3
    assert list(policy.ceilings(0.99, (5,))) == [1.0]
