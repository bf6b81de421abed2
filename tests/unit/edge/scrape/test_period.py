"""The period formula: promise, budget, floor, back-off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.edge.scrape.period import CostEstimate, Periods, ScrapeBudget, plan_periods

BUDGET = ScrapeBudget(floor_s=0.05, cores=0.1)


def test_a_small_pool_is_scraped_at_the_floor_where_it_works_for_us() -> None:
    periods = plan_periods(endpoints=10, busy=10, cost_s=0.0003, budget=BUDGET)
    assert periods.busy_s == 0.05


def test_idle_endpoints_are_scraped_just_often_enough_for_the_promise() -> None:
    assert plan_periods(10, 0, 0.0003, BUDGET).idle_s == 0.8
    assert plan_periods(1000, 0, 0.0003, BUDGET).idle_s == 0.8
    assert plan_periods(1001, 0, 0.0003, BUDGET).idle_s == 4.0


def test_the_budget_slows_busy_endpoints_down() -> None:
    # 0.1 core / 0.25 ms = 400 scrapes a second, of which 100 idle endpoints take 125; 50 busy ones share 275.
    assert plan_periods(150, 50, 0.00025, BUDGET).busy_s == pytest.approx(50 / 275, abs=0.01)


def test_the_promise_goes_before_the_budget() -> None:
    for busy in (1000, 10):
        periods = plan_periods(1000, busy, 0.01, BUDGET)
        assert (periods.busy_s, periods.idle_s) == (0.8, 0.8)


def test_a_floor_above_the_promise_is_the_operators_wish() -> None:
    periods = plan_periods(5, 1, 0.0003, ScrapeBudget(floor_s=2.0))
    assert (periods.busy_s, periods.idle_s) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("endpoints", "busy", "slot_s"),
    [
        (0, 0, 0.05),
        (10, 0, 0.05),  # 12.5 a second: eight of them would take too long
        (300, 0, 8 * 0.8 / 300),
        (1000, 0, 8 * 0.8 / 1000),
        (5000, 0, 8 * 4.0 / 5000),
        (1, 1, 0.3 * 0.05),
        (10, 10, 0.3 * 0.05),
        (1000, 1, 8 / (20 + 999 / 0.8)),
    ],
)
def test_about_eight_endpoints_share_a_slot(endpoints: int, busy: int, slot_s: float) -> None:
    assert plan_periods(endpoints, busy, 0.00005, BUDGET).slot_s == pytest.approx(slot_s)


def test_a_slot_has_a_shortest_length() -> None:
    assert plan_periods(1000, 1000, 0.00001, ScrapeBudget(0.05, 1.0)).slot_s == 0.005


@given(
    st.integers(0, 5000),
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    st.floats(1e-6, 0.1),
    st.floats(0.01, 5.0),
    st.floats(0.001, 4.0),
)
def test_periods_stay_within_floor_promise_and_budget(
    endpoints: int, shares: tuple[float, float], cost_s: float, floor_s: float, cores: float
) -> None:
    busy_share, calm_share = shares
    busy = round(endpoints * busy_share)
    calm = round((endpoints - busy) * calm_share)
    periods = plan_periods(endpoints, busy, cost_s, ScrapeBudget(floor_s, cores), calm=calm)
    slowest_s = max(floor_s, 0.8 if endpoints <= 1000 else 4.0)
    assert 0.005 <= periods.slot_s <= 0.05
    assert floor_s <= periods.busy_s <= periods.calm_s <= periods.idle_s == slowest_s
    if periods.calm_s < slowest_s:
        rate = busy / periods.busy_s + calm / periods.calm_s + (endpoints - busy - calm) / periods.idle_s
        assert rate * cost_s <= cores * (1 + 1e-9)


def test_a_failing_endpoint_is_asked_half_as_often_each_time_down_to_once_a_second() -> None:
    periods = Periods(busy_s=0.05, calm_s=0.1, idle_s=0.8)
    assert [periods.after_failures(0.05, failures) for failures in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert periods.after_failures(0.8, 10_000) == 1.0
    assert Periods(busy_s=0.05, calm_s=0.1, idle_s=4.0).after_failures(4.0, 3) == 4.0


def test_the_cost_follows_what_is_measured() -> None:
    cost = CostEstimate()
    for _ in range(200):
        cost.observe(0.002)
    assert cost.cost_s == pytest.approx(0.002, rel=0.01)
    for _ in range(1000):
        cost.observe(0.0)
    assert cost.cost_s > 0.0
