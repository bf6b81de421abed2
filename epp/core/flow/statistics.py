"""What the queues hold now, for metrics."""

from collections.abc import Mapping

import msgspec

from epp.core.flow.band import Band, BandLimits
from epp.core.flow.events import FlowOutcome
from epp.core.flow.item import FlowKey


class FlowStatistics(msgspec.Struct, frozen=True):
    """One flow; idle ones are listed until they are collected, so that gauges go to 0 before they disappear."""

    key: FlowKey
    requests: int
    body_bytes: int


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
        flows=tuple(FlowStatistics(flow.key, len(flow.entries), flow.body_bytes) for flow in band.flows.values()),
        outcomes=dict(band.outcomes),
    )


class Blocked(msgspec.Struct, frozen=True):
    """The highest band with waiting requests, and what holds it back: saturation >= ceiling."""

    priority: int
    saturation: float
    ceiling: float

    @property
    def deficit(self) -> float:
        """By how much saturation must fall at least."""
        return self.saturation - self.ceiling
