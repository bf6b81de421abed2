"""token-load-scorer: prefers endpoints with few prompt tokens to compute.

score = 1 - min(t + u, T) / T, with t the prompt tokens of our own unfinished requests there, u the tokens of this
request that the endpoint has not cached (prompt tokens - matched blocks * block tokens, at least 0), and
T = queueThresholdTokens (default 4194304). 0..1; it needs no scraping.
Source: token-load-scorer of the reference endpoint picker; the matches come from approx-prefix-cache-producer.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match
from epp.core.state.columns import FloatColumn


class TokenLoadParameters(Section, frozen=True):
    """`queueThresholdTokens` and where the numbers come from."""

    queue_threshold_tokens: Annotated[int, msgspec.Meta(ge=1)] = 4194304
    in_flight_load_producer_name: str = ""
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""


class TokenLoadScorer:
    """Reads the in-flight ledger and the PrefixMatch that the named producer left in the cycle."""

    def __init__(self, parameters: TokenLoadParameters) -> None:
        self._threshold = parameters.queue_threshold_tokens
        self._producer = parameters.prefix_match_info_producer_name

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        match = prefix_match(cycle, self._producer)
        cached = match.matched_blocks(candidates.slots) * match.block_tokens
        uncached = np.maximum(cycle.tokens - cached, 0.0)
        load = cycle.ledger.tokens[candidates.slots] + uncached
        scores: FloatColumn = 1.0 - np.minimum(load, self._threshold) / self._threshold
        return scores
