"""Saturation of a pool: 1.0 and more means that it has no room for work that may be shed.

utilization = mean over the candidates of max(queue / 5, kv usage / 0.8); an empty pool is 1.0. An endpoint with stale
metrics is judged by our own books, in-flight / 100, and not as full: healthy pools with slow metrics must not refuse.
Prefill and decode endpoints are judged apart, see epp.core.flow.stages.
Source: utilization-detector of the reference (v1.5); 100 is the default of its concurrency-detector.
"""

import msgspec
import numpy as np

from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.request import InferenceRequest
from epp.core.flow.stages import by_stage
from epp.core.scheduling.cycle import Candidates
from epp.core.state.ledger import InFlightLedger


class SaturationLimits(msgspec.Struct, frozen=True):
    """Per endpoint: what counts as full."""

    queue_depth: float = 5.0
    """waiting requests"""
    kv_usage: float = 0.8
    """fraction, 0..1"""
    in_flight: float = 100.0
    """our own requests, where the metrics are stale"""


def saturation(candidates: Candidates, ledger: InFlightLedger, limits: SaturationLimits, now: float) -> float:
    """Of the fuller stage where there are several; 0.0 is idle."""
    return by_stage(candidates, lambda chosen: utilization(chosen, ledger, limits, now)).effective


def utilization(candidates: Candidates, ledger: InFlightLedger, limits: SaturationLimits, now: float) -> float:
    """Of all these endpoints together, at least one."""
    snapshot, slots = candidates.snapshot, candidates.slots
    load = snapshot.load
    scraped = np.maximum(load.waiting[slots] / limits.queue_depth, load.kv_usage[slots] / limits.kv_usage)
    blind = load.updated_at[slots] < now - snapshot.metrics_stale_after_s
    return float(np.where(blind, ledger.requests[slots] / limits.in_flight, scraped).mean())


def admit(
    request: InferenceRequest, candidates: Candidates, ledger: InFlightLedger, limits: SaturationLimits, now: float
) -> None:
    """Lets a request pass, or raises ResourceExhausted for a sheddable one (priority < 0) on a saturated pool."""
    if request.priority < 0 and saturation(candidates, ledger, limits, now) >= 1.0:
        raise ResourceExhausted(
            "system saturated, sheddable request dropped",
            hint=f"the request has priority {request.priority}; requests below 0 wait for a pool with room",
            reason=DroppedReason.SATURATED,
            retry_after_s=1,
        )
