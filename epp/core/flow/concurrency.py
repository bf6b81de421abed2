"""concurrency-detector: saturation from our own counts alone, exact at every grant.

requests: sum of requests in flight / (endpoints * maxConcurrency); tokens: the same with prompt tokens and
maxTokenConcurrency; hybrid: mean over the endpoints of the larger of the two ratios. An empty pool is 1.0.
Source: concurrency-detector of llm-d-router.
"""

import msgspec
import numpy as np

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.scheduling.cycle import Candidates
from epp.core.state.ledger import InFlightLedger


class ConcurrencyDetector(msgspec.Struct, frozen=True):
    """SaturationDetector; see the module."""

    limits: ConcurrencyDetectorParameters = ConcurrencyDetectorParameters()

    @property
    def is_scraped(self) -> bool:
        """See SaturationDetector."""
        return False

    def saturation(self, candidates: Candidates, ledger: InFlightLedger, now: float) -> float:  # noqa: ARG002  one signature for all
        """Equal limits for all endpoints make the ratio of sums the mean of ratios."""
        if not len(candidates):
            return 1.0
        limits, slots = self.limits, candidates.slots
        ratios = ledger.requests[slots] / limits.max_concurrency
        if limits.concurrency_mode != "requests":
            tokens = ledger.tokens[slots] / limits.max_token_concurrency
            ratios = tokens if limits.concurrency_mode == "tokens" else np.maximum(ratios, tokens)
        return float(ratios.mean())
