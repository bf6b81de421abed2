"""utilization-filter: leaves out endpoints above any of the given caps.

An endpoint stays if its metric <= maxValue for every condition; a metric that is unknown is above no cap. With
fallbackOnEmpty everybody stays when nobody would.
Source: utilization-filter of the reference endpoint picker.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np

from epp.core.config.structure import Section
from epp.core.scheduling.attributes import read_attribute
from epp.core.scheduling.cycle import Candidates, Cycle

Metric = Literal["active-requests", "running-requests", "waiting-queue", "kv-cache-utilization"]

ATTRIBUTES: Mapping[Metric, str] = {
    "active-requests": "InFlightRequests",
    "running-requests": "RunningRequestsSize",
    "waiting-queue": "WaitingQueueSize",
    "kv-cache-utilization": "KVCacheUsage",
}


class Condition(Section, frozen=True):
    """A cap."""

    metric: Metric
    max_value: Annotated[float, msgspec.Meta(ge=0.0)]


class UtilizationFilterParameters(Section, frozen=True):
    """`conditions` is required and not empty."""

    conditions: tuple[Condition, ...]
    fallback_on_empty: bool = False
    in_flight_load_producer_name: str = ""

    def __post_init__(self) -> None:
        if not self.conditions:
            raise ValueError("conditions is empty; give at least one")


class UtilizationFilter:
    """See the module."""

    def __init__(self, parameters: UtilizationFilterParameters) -> None:
        self._caps = tuple((ATTRIBUTES[cap.metric], cap.max_value) for cap in parameters.conditions)
        self._fallback = parameters.fallback_on_empty

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        above = np.zeros(len(candidates), dtype=np.bool_)
        for key, most in self._caps:
            above |= read_attribute(key, cycle, candidates) > most
        return candidates if self._fallback and above.all() else candidates.keep(~above)
