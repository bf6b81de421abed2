"""p2p-source-producer: names a peer from which the picked endpoint may fetch the beginning of the prompt.

The request gets the header `x-kv-cache-source-host-port` when a candidate is believed to have at least
minCachedTokenDelta more tokens of the prompt than the endpoint that computes it, which is the pick of
prefillProfileName, or the endpoint that answers if that profile did not run. Among the candidates within one block of
the best, one is drawn with the weight 1 / (1 + waiting requests), so that a popular prefix is fetched from many.
Source: p2p-source-producer of the reference endpoint picker; the matches come from approx-prefix-cache-producer.
"""

from typing import Annotated

import msgspec
import numpy as np

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match

KV_CACHE_SOURCE = "x-kv-cache-source-host-port"


class P2pSourceParameters(Section, frozen=True):
    """Parameters of the reference."""

    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""
    min_cached_token_delta: Annotated[int, msgspec.Meta(ge=1)] = 1
    prefill_profile_name: Text = "prefill"


class P2pSourceProducer:
    """`name` is the plugin's own; under it the cycle keeps the candidates until the picks are known."""

    def __init__(self, name: str, parameters: P2pSourceParameters) -> None:
        self._name = name
        self._matches = parameters.prefix_match_info_producer_name
        self._least_delta = parameters.min_cached_token_delta
        self._prefill = parameters.prefill_profile_name

    def produce(self, cycle: Cycle, candidates: Candidates) -> Candidates:  # noqa: ARG002  protocol's shape
        """The candidates: who may be a source is who may be picked."""
        return candidates

    def request_headers(self, cycle: Cycle) -> tuple[tuple[str, str], ...]:
        """See the module."""
        match = prefix_match(cycle, self._matches)
        result = cycle.results.get(self._prefill) or cycle.results.get(cycle.primary)
        if not match.by_slot or result is None:
            return ()
        candidates: Candidates = cycle.products[self._name]
        blocks = match.matched_blocks(candidates.slots)
        best = blocks.max()
        own = match.by_slot.get(result.slot, 0)
        if (best - own) * match.block_tokens < self._least_delta:
            return ()
        sources = candidates.keep((blocks >= best - 1) & (blocks > own) & (candidates.slots != result.slot))
        weights = np.cumsum(1.0 / (1.0 + np.maximum(cycle.scraped("waiting", sources), 0.0)))
        chosen = int(np.searchsorted(weights, cycle.rng.random() * weights[-1], side="right"))
        return ((KV_CACHE_SOURCE, sources.endpoint(min(chosen, len(sources) - 1)).destination),)
