"""Saturation of a pool: 1.0 and more means that it has no room for work that may be shed or held.

utilization-detector: mean over the candidates of max(queue / 5, kv usage / 0.8); an empty pool is 1.0.

- Our own books correct the scrape, unless told otherwise: what came in flight since then counts as queueing and fills
  the KV cache, so that a burst cannot pass as a whole between two scrapes. What ended since then is not held against
  the endpoint.
- An endpoint with stale metrics, or with metrics that are no numbers, is judged by our own books, in-flight / 100, and
  not as full: healthy pools with slow metrics must not refuse.

Source: utilization-detector of the reference (v1.5); 100 is the default of its concurrency-detector.
"""

from typing import Protocol

import msgspec
import numpy as np

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.request import InferenceRequest
from epp.core.flow.concurrency import ConcurrencyDetector
from epp.core.scheduling.cycle import MOST_TOKENS, Candidates
from epp.core.state.columns import FloatColumn
from epp.core.state.ledger import InFlightLedger

MOST_IN_FLIGHT = 100.0
"""our own requests on an endpoint of which nothing else is known, when it counts as full"""


class SaturationDetector(Protocol):
    """Says how full a pool is."""

    @property
    def is_scraped(self) -> bool:
        """Whether scraped values are part of it: then a change takes a scrape to show."""
        ...

    def saturation(self, candidates: Candidates, ledger: InFlightLedger, now: float) -> float:
        """0.0 is idle, 1.0 and more is full; an empty choice is full."""
        ...


class UtilizationDetector(msgspec.Struct, frozen=True):
    """See the module."""

    limits: UtilizationDetectorParameters = UtilizationDetectorParameters()

    @property
    def is_scraped(self) -> bool:
        """See SaturationDetector."""
        return True

    def saturation(self, candidates: Candidates, ledger: InFlightLedger, now: float) -> float:
        """See SaturationDetector."""
        if not len(candidates):
            return 1.0
        snapshot, slots = candidates.snapshot, candidates.slots
        load = snapshot.load
        waiting, used = load.waiting[slots], load.kv_usage[slots]
        limits = self.limits
        if limits.inflight_correction:
            waiting = waiting + np.maximum(0.0, ledger.requests[slots] - load.in_flight[slots])
            used = used + self._filled(candidates, ledger)
        full = np.maximum(waiting / limits.queue_depth_threshold, used / limits.kv_cache_util_threshold)
        blind = (load.updated_at[slots] < now - snapshot.metrics_stale_after_s) | ~np.isfinite(full)
        return float(np.where(blind, ledger.requests[slots] / MOST_IN_FLIGHT, full).mean())

    def _filled(self, candidates: Candidates, ledger: InFlightLedger) -> FloatColumn:
        """Fraction of the KV cache that prompts fill which came since the scrape; 0 where its size is not known."""
        load, slots = candidates.snapshot.load, candidates.slots
        capacity = np.minimum(load.kv_blocks[slots], MOST_TOKENS) * np.minimum(load.kv_block_tokens[slots], MOST_TOKENS)
        came = np.maximum(0.0, ledger.tokens[slots] - load.in_flight_tokens[slots])
        filled: FloatColumn = np.divide(came, capacity, out=np.zeros(len(slots)), where=capacity > 0.0)
        return filled


DEFAULT_DETECTOR: SaturationDetector = UtilizationDetector()


def detector_for(parameters: UtilizationDetectorParameters | ConcurrencyDetectorParameters) -> SaturationDetector:
    """The detector of a configuration."""
    if isinstance(parameters, ConcurrencyDetectorParameters):
        return ConcurrencyDetector(parameters)
    return UtilizationDetector(parameters)


def admit(
    request: InferenceRequest, candidates: Candidates, ledger: InFlightLedger, detector: SaturationDetector, now: float
) -> None:
    """Lets a request pass, or raises ResourceExhausted for a sheddable one (priority < 0) on a saturated pool."""
    if request.priority < 0 and detector.saturation(candidates, ledger, now) >= 1.0:
        raise ResourceExhausted(
            "system saturated, sheddable request dropped",
            hint=f"the request has priority {request.priority}; requests below 0 wait for a pool with room",
            reason=DroppedReason.SATURATED,
            retry_after_s=1,
        )
