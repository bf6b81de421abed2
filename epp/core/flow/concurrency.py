"""concurrency-detector: saturation from our own counts alone, exact at every grant.

requests: sum of requests in flight / (endpoints * maxConcurrency); tokens: the same with prompt tokens and
maxTokenConcurrency; hybrid: mean over the endpoints of the larger of the two ratios. An empty pool is 1.0.
Source: concurrency-detector of llm-d-router.
"""

import msgspec
import numpy as np

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.flow.stages import StageSaturation, by_stage
from epp.core.scheduling.cycle import Candidates
from epp.core.state.ledger import InFlightLedger


class ConcurrencyDetector(msgspec.Struct, frozen=True):
    """SaturationDetector; see the module."""

    limits: ConcurrencyDetectorParameters = ConcurrencyDetectorParameters()

    @property
    def is_scraped(self) -> bool:
        """See SaturationDetector."""
        return False

    def of_stages(self, candidates: Candidates, ledger: InFlightLedger, now: float) -> StageSaturation:  # noqa: ARG002  one signature for all
        """See SaturationDetector."""
        return by_stage(candidates, lambda chosen: self._full(chosen, ledger))

    def saturation(self, candidates: Candidates, ledger: InFlightLedger, now: float) -> float:
        """See SaturationDetector."""
        return self.of_stages(candidates, ledger, now).effective

    def _full(self, candidates: Candidates, ledger: InFlightLedger) -> float:
        """Sums of whole numbers before the division: a mean of ratios may come out just below 1 when all is full."""
        limits, slots = self.limits, candidates.slots
        requests, tokens = ledger.requests[slots], ledger.tokens[slots]
        if limits.concurrency_mode == "requests":
            return int(requests.sum()) / (limits.max_concurrency * len(slots))
        if limits.concurrency_mode == "tokens":
            return int(tokens.sum()) / (limits.max_token_concurrency * len(slots))
        ratios = np.maximum(requests / limits.max_concurrency, tokens / limits.max_token_concurrency)
        return float(ratios.sum()) / len(slots)
