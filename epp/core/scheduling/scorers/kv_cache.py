"""kv-cache-utilization-scorer: prefers free KV cache.

score = 1 - u; u is the scraped used fraction of the KV cache, 0..1; what is no number counts as full.
With inflightCorrection (default) our own books are its lower bound: what was sent since the scrape counts.
Source: kv-cache-utilization-scorer of the reference endpoint picker.
"""

import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.scorers.scraped_signal import CORRECTED, ScrapedSignalParameters
from epp.core.state.columns import FloatColumn


class KvCacheScorer:
    """See the module."""

    def __init__(self, parameters: ScrapedSignalParameters = CORRECTED) -> None:
        self._parameters = parameters

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        free = np.fmax(1.0 - self._parameters.read("kv_usage", cycle, candidates), 0.0)
        scores: FloatColumn = np.minimum(free, 1.0)
        return scores
