"""probabilistic-admitter: sheds requests below priority 0 little by little, before the pool is full.

saturation = mean over the candidates of max(q / queueDepthThreshold, u / kvCacheUtilThreshold), with q the waiting
requests and u the used fraction of the KV cache; an endpoint with stale metrics is judged by our own books, in-flight
/ 100, and one that was never scraped counts as full. A request below 0 is refused with probability
min(1, k * saturation ** power): with the defaults 3 % at 0.16, 30 % at 0.25, all from 0.32 on.
Source: probabilistic-admitter of the reference endpoint picker, whose refusals end as 500; here they are 429.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.config.parameters import Fraction, Positive
from epp.core.config.structure import Section
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.scheduling.cycle import Candidates, Cycle

IN_FLIGHT_OF_A_FULL_ENDPOINT = 100.0
"""our own requests, where the metrics are stale: the default of concurrency-detector"""
AboveZero = Annotated[float, msgspec.Meta(gt=0.0)]


class ProbabilisticAdmitterParameters(Section, frozen=True):
    """Names and defaults of the reference."""

    queue_depth_threshold: Positive = 5
    """waiting requests"""
    kv_cache_util_threshold: Fraction = 0.8
    power: AboveZero = 5.0
    k: AboveZero = 300.0


class ProbabilisticAdmitter:
    """See the module."""

    def __init__(self, parameters: ProbabilisticAdmitterParameters) -> None:
        self._parameters = parameters

    def admit(self, cycle: Cycle, candidates: Candidates) -> None:
        """Raises ResourceExhausted."""
        if cycle.request.priority >= 0:
            return
        saturation = self._saturation(cycle, candidates)
        probability = min(1.0, self._parameters.k * min(saturation, 1.0) ** self._parameters.power)
        if cycle.rng.random() < probability:
            raise ResourceExhausted(
                "request cannot be admitted: shed before the pool is full",
                hint=f"saturation {saturation:.3f}, requests of priority {cycle.request.priority} are refused with "
                f"probability {probability:.2f}",
                reason=DroppedReason.SATURATED,
                retry_after_s=1,
            )

    def _saturation(self, cycle: Cycle, candidates: Candidates) -> float:
        load, slots = cycle.snapshot.load, candidates.slots
        queue = load.waiting[slots] / self._parameters.queue_depth_threshold
        scraped = np.maximum(queue, load.kv_usage[slots] / self._parameters.kv_cache_util_threshold)
        scraped = np.where(np.isfinite(scraped), scraped, 1.0)
        own = cycle.in_flight(candidates) / IN_FLIGHT_OF_A_FULL_ENDPOINT
        blind = np.where(np.isneginf(load.updated_at[slots]), 1.0, own)
        return float(np.where(cycle.is_stale(candidates), blind, scraped).mean())
