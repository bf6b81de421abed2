"""utilization-detector as a filter: leaves out endpoints that are full.

An endpoint stays if q < queueDepthThreshold * (1 + headroom) and u < kvCacheUtilThreshold * (1 + headroom), with q the
scraped waiting requests (default threshold 5) and u the scraped fraction of the KV cache (default threshold 0.8). An
endpoint of which nothing is known counts as full. Everybody stays when nobody would.
Source: utilization-detector of the reference endpoint picker. What it says of the whole pool: epp.core.flow.saturation.
"""

from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.scheduling.attributes import read_attribute
from epp.core.scheduling.cycle import Candidates, Cycle


class UtilizationDetectorFilter:
    """See the module."""

    def __init__(self, parameters: UtilizationDetectorParameters) -> None:
        self._queue = parameters.queue_depth_threshold * (1.0 + parameters.headroom)
        self._kv_usage = parameters.kv_cache_util_threshold * (1.0 + parameters.headroom)

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        has_room = (read_attribute("WaitingQueueSize", cycle, candidates) < self._queue) & (
            read_attribute("KVCacheUsage", cycle, candidates) < self._kv_usage
        )
        return candidates.keep(has_room) if has_room.any() else candidates
