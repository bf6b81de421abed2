"""How often each endpoint is scraped.

The promise: a change on any endpoint is seen within 1 s up to 1,000 endpoints, within 5 s above. A change just after a
scrape waits a whole period and then for the answer, so no period is longer than 0.8 of the promise.

    idle period  = 0.8 * promise
    rate left    = budget / cost - idle endpoints / idle period
    busy period  = (busy endpoints + calm ones / 2) / rate left, at least the floor (50 ms), at most the idle period
    calm period  = 2 * busy period, at most the idle period

    slot        = 8 scrapes' time at these periods, at least 5 ms, at most 50 ms and 0.3 of the shortest period

Busy are the endpoints with requests of ours in flight: their numbers decide picks now. Calm are those of them whose
last page showed nothing that our own books do not say better, and that are far from their limits: a page costs the
engine a few milliseconds of the process that serves requests. The budget is a fraction of a
core, the cost CPU seconds per scrape as measured; the promise goes before the budget. An endpoint that fails is asked
half as often after each failure, down to once a second.

Whoever is due within a slot is asked together: to wake a process that sleeps costs as much as a scrape, twice for one
that is alone (to ask, and for the answer). Intervals that are a little longer and then a little shorter make no number
older.
"""

import math
from enum import Enum

import msgspec

SMALL_POOL_ENDPOINTS = 1000
SMALL_POOL_PROMISE_S = 1.0
LARGE_POOL_PROMISE_S = 5.0
PROMISE_SHARE = 0.8
CALM_FACTOR = 2.0
LONGEST_BACKOFF_S = 1.0
_MOST_DOUBLINGS = 10
_FIRST_COST_S = 0.0003
_LEAST_COST_S = 1e-6
_STEP_S = 0.01  # periods change in steps, so that a wavering cost does not move the whole timetable
_COST_WEIGHT = 0.05
_SCRAPES_OF_A_SLOT = 8  # more would keep a request waiting that comes in between
_SLOT_SHARE = 0.3
_SHORTEST_SLOT_S = 0.005
_LONGEST_SLOT_S = 0.05


class Attention(Enum):
    """How closely an endpoint is to be watched; see the module."""

    IDLE = "idle"
    CALM = "calm"
    BUSY = "busy"


class ScrapeBudget(msgspec.Struct, frozen=True):
    """`floor_s`: shortest period of an endpoint (--refresh-metrics-interval); `cores`: CPU that scraping may take."""

    floor_s: float = 0.05
    cores: float = 0.1


class Periods(msgspec.Struct, frozen=True):
    """Seconds between two scrapes of one endpoint."""

    busy_s: float
    calm_s: float
    idle_s: float
    slot_s: float = _SHORTEST_SLOT_S
    """how long endpoints that are due may wait for others"""

    def of(self, attention: Attention) -> float:
        """The period of an endpoint that is watched so."""
        if attention is Attention.BUSY:
            return self.busy_s
        return self.calm_s if attention is Attention.CALM else self.idle_s

    def after_failures(self, period_s: float, failures: int) -> float:
        """The period of an endpoint that failed so many times in a row."""
        if not failures:
            return period_s
        longest_s = max(LONGEST_BACKOFF_S, self.idle_s)
        return float(min(period_s * 2 ** min(failures, _MOST_DOUBLINGS), longest_s))


class CostEstimate:
    """Moving average of CPU seconds per scrape; the newest one weighs 5 %."""

    def __init__(self) -> None:
        self.cost_s = _FIRST_COST_S

    def observe(self, cost_s: float) -> None:
        """One more scrape took `cost_s`."""
        self.cost_s = max(self.cost_s + _COST_WEIGHT * (cost_s - self.cost_s), _LEAST_COST_S)


def plan_periods(endpoints: int, busy: int, cost_s: float, budget: ScrapeBudget, *, calm: int = 0) -> Periods:
    """See the module; of the `endpoints`, `busy` and `calm` have requests of ours."""
    promise_s = SMALL_POOL_PROMISE_S if endpoints <= SMALL_POOL_ENDPOINTS else LARGE_POOL_PROMISE_S
    slowest_s = max(PROMISE_SHARE * promise_s, budget.floor_s)
    idle = endpoints - busy - calm
    rate_left = budget.cores / cost_s - idle / slowest_s
    busy_s = (busy + calm / CALM_FACTOR) / rate_left if rate_left > 0.0 else slowest_s
    busy_s = math.ceil(busy_s / _STEP_S) * _STEP_S
    busy_s = min(max(busy_s, budget.floor_s), slowest_s)
    calm_s = min(CALM_FACTOR * busy_s, slowest_s)
    rate = busy / busy_s + calm / calm_s + idle / slowest_s
    shortest_s = busy_s if busy else calm_s if calm else slowest_s
    longest_s = min(_SLOT_SHARE * shortest_s, _LONGEST_SLOT_S)
    slot_s = min(_SCRAPES_OF_A_SLOT / rate, longest_s) if rate else longest_s
    return Periods(busy_s=busy_s, calm_s=calm_s, idle_s=slowest_s, slot_s=max(slot_s, _SHORTEST_SLOT_S))
