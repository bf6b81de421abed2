"""What the queues hold now, for metrics."""

from collections.abc import Mapping

import msgspec

from epp.core.flow.band import Band, BandLimits, Flow
from epp.core.flow.events import FlowOutcome
from epp.core.flow.item import FlowKey

Models = tuple[str, str]
"""model and target model"""


class FlowStatistics(msgspec.Struct, frozen=True):
    """One flow; idle ones are listed until they are collected, so that gauges go to 0 before they disappear."""

    key: FlowKey
    requests: int
    body_bytes: int
    by_models: Mapping[Models, tuple[int, int]]
    """requests and body bytes"""


class BandStatistics(msgspec.Struct, frozen=True):
    """One band. `outcomes` counts from the making of the band, also what never waited."""

    priority: int
    limits: BandLimits
    requests: int
    body_bytes: int
    flows: tuple[FlowStatistics, ...]
    outcomes: Mapping[FlowOutcome, int]


def statistics_of(band: Band) -> BandStatistics:
    """A copy of what the band holds."""
    return BandStatistics(
        priority=band.priority,
        limits=band.limits,
        requests=band.requests,
        body_bytes=band.body_bytes,
        flows=tuple(
            FlowStatistics(flow.key, len(flow.entries), flow.body_bytes, _by_models(flow))
            for flow in band.flows.values()
        ),
        outcomes=dict(band.outcomes),
    )


def _by_models(flow: Flow) -> dict[Models, tuple[int, int]]:
    counts: dict[Models, tuple[int, int]] = {}
    for entry in flow.entries:
        request = entry.item.request
        models = request.model, request.target_model or request.model
        requests, body_bytes = counts.get(models, (0, 0))
        counts[models] = requests + 1, body_bytes + entry.item.body_bytes
    return counts


class FlowReading(msgspec.Struct, frozen=True):
    """All of flow control at one moment."""

    bands: tuple[BandStatistics, ...]
    """highest first"""
    limits: BandLimits
    """of all bands together"""
    requests: int
    body_bytes: int
    saturation: float
    evictable: int
    """dispatched requests that could be broken off"""
    unconfirmed_evictions: int
    attained_service: Mapping[str, float]
    """tokens by tenant; empty unless a band is program-aware"""


class Blocked(msgspec.Struct, frozen=True):
    """The highest band with waiting requests, and what holds it back: saturation >= ceiling."""

    priority: int
    saturation: float
    ceiling: float

    @property
    def deficit(self) -> float:
        """By how much saturation must fall at least."""
        return self.saturation - self.ceiling
