"""prefix-cache-scorer: prefers endpoints that already hold the beginning of the prompt.

score = w * min(1, matched tokens / scale)^2 + (1 - w) * matched blocks / total blocks, with w = matchLengthWeight
(default 0) and scale = matchLengthScaleTokens (default 8192); 0 when the prompt is shorter than one block.
Source: prefix-cache-scorer of the reference endpoint picker; the matches come from approx-prefix-cache-producer.
"""

import msgspec
import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import PrefixMatch
from epp.core.state.columns import FloatColumn


class PrefixCacheScorer:
    """Reads the PrefixMatch that the producer named `producer` left in the cycle."""

    def __init__(
        self, producer: str, *, match_length_weight: float = 0.0, match_length_scale_tokens: int = 8192
    ) -> None:
        self._producer = producer
        self._weight = match_length_weight
        self._scale_tokens = match_length_scale_tokens

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        match: PrefixMatch = cycle.products[self._producer]
        if not match.total_blocks:
            return np.zeros(len(candidates))
        blocks = match.matched_blocks(candidates.slots)
        ratio: FloatColumn = blocks / match.total_blocks
        if not self._weight:
            return ratio
        length = np.minimum(1.0, blocks * match.block_tokens / self._scale_tokens) ** 2
        scores: FloatColumn = self._weight * length + (1.0 - self._weight) * ratio
        return scores


class PrefixCacheParameters(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Every dialect's parameters.

    Those of v1.0 to v1.4 configure the index and are handed to the producer that is made for this scorer.
    """

    prefix_match_info_producer_name: str = ""
    match_length_weight: float = 0.0
    match_length_scale_tokens: int = 8192
    auto_tune: bool = True
    block_size_tokens: int = 0
    block_size: int = 0
    hash_block_size: int = 0
    max_prefix_tokens_to_match: int = 0
    max_prefix_blocks_to_match: int = 0
    lru_capacity_per_server: int = 0
