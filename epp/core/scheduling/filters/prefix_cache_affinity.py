"""prefix-cache-affinity-filter: only the endpoints that hold most of the prompt, unless they are too busy.

Sticky endpoints are those with matched blocks / total blocks >= affinityThreshold (default 0.8). Only they stay,
except that everybody stays when nobody is sticky, by chance with explorationProbability (default 0), and when waiting
costs more than the cache saves: best TTFT of the sticky - best TTFT of the others > maxTTFTPenaltyMs (default 18000;
0 = never), with TTFT = in-flight prompt tokens / peakPrefillThroughput * 1000 ms (default 15928 tokens/s).
Source: prefix-cache-affinity-filter of the reference endpoint picker, with its ttftSource prefillThroughput.
"""

from typing import Annotated, Literal

import msgspec

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class PrefixCacheAffinityParameters(Section, frozen=True):
    """Parameters of the reference; TTFT from a latency predictor is not offered."""

    affinity_threshold: Share = 0.8
    exploration_probability: Share = 0.0
    max_ttft_penalty_ms: Annotated[float, msgspec.Meta(ge=0.0)] = msgspec.field(
        default=18000.0, name="maxTTFTPenaltyMs"
    )
    ttft_source: Literal["prefillThroughput"] = "prefillThroughput"
    peak_prefill_throughput: Annotated[float, msgspec.Meta(gt=0.0)] = 15928.0
    """tokens per second"""
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""
    in_flight_load_producer_name: str = ""


class PrefixCacheAffinityFilter:
    """Reads the in-flight ledger and the PrefixMatch that the named producer left in the cycle."""

    def __init__(self, parameters: PrefixCacheAffinityParameters) -> None:
        self._producer = parameters.prefix_match_info_producer_name
        self._threshold = parameters.affinity_threshold
        self._exploration = parameters.exploration_probability
        self._most_tokens_ahead = parameters.max_ttft_penalty_ms / 1000.0 * parameters.peak_prefill_throughput

    def filter(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        """See the module."""
        match = prefix_match(cycle, self._producer)
        if not match.total_blocks:
            return candidates
        sticky = match.matched_blocks(candidates.slots) / match.total_blocks >= self._threshold
        if not sticky.any() or sticky.all():
            return candidates
        if self._exploration and cycle.rng.random() < self._exploration:
            return candidates
        if self._most_tokens_ahead:
            tokens = cycle.ledger.tokens[candidates.slots]
            if tokens[sticky].min() - tokens[~sticky].min() > self._most_tokens_ahead:
                return candidates
        return candidates.keep(sticky)
