"""prefix-cache-scorer: prefers endpoints that already hold the beginning of the prompt.

score = w * min(1, matched tokens / scale)^2 + (1 - w) * matched blocks / total blocks, with w = matchLengthWeight
(default 0) and scale = matchLengthScaleTokens (default 8192); 0 when the prompt is shorter than one block.
Source: prefix-cache-scorer of the reference endpoint picker; the matches come from approx-prefix-cache-producer.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.state.columns import FloatColumn

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class PrefixCacheParameters(ApproxPrefixCacheParameters, frozen=True):
    """Every dialect's parameters.

    Those of v1.0 to v1.4 configure the index and are handed to the producer that is made for this scorer.
    """

    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""
    match_length_weight: Share = 0.0
    match_length_scale_tokens: Annotated[int, msgspec.Meta(ge=1)] = 8192

    @property
    def index_parameters(self) -> ApproxPrefixCacheParameters:
        """Those for a producer of the scorer's own."""
        return ApproxPrefixCacheParameters(
            **{name: getattr(self, name) for name in ApproxPrefixCacheParameters.__struct_fields__}
        )


class PrefixCacheScorer:
    """Reads the PrefixMatch that the named producer left in the cycle."""

    def __init__(self, parameters: PrefixCacheParameters) -> None:
        self._producer = parameters.prefix_match_info_producer_name
        self._weight = parameters.match_length_weight
        self._scale_tokens = parameters.match_length_scale_tokens

    def score(self, cycle: Cycle, candidates: Candidates) -> FloatColumn:
        """See the module."""
        match = prefix_match(cycle, self._producer)
        if not match.total_blocks:
            return np.zeros(len(candidates))
        blocks = match.matched_blocks(candidates.slots)
        ratio: FloatColumn = blocks / match.total_blocks
        if not self._weight:
            return ratio
        length = np.minimum(1.0, blocks * match.block_tokens / self._scale_tokens) ** 2
        scores: FloatColumn = self._weight * length + (1.0 - self._weight) * ratio
        return scores
