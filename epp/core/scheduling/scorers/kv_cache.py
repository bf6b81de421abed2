"""kv-cache-utilization-scorer: prefers free KV cache.

score = 1 - u; u is the scraped used fraction of the KV cache, 0..1; what is no number counts as full.
Source: kv-cache-utilization-scorer of the reference endpoint picker.
"""

import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.state.columns import FloatColumn


class KvCacheScorer:
    """No parameters."""

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        free = np.fmax(1.0 - cycle.scraped("kv_usage", candidates), 0.0)
        scores: FloatColumn = np.minimum(free, 1.0)
        return scores
