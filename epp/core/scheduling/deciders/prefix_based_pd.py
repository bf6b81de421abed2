"""prefix-based-pd-decider: prefill elsewhere what the decode endpoint would have to compute itself, if it is much.

With prompt = tokens of the prompt and cached = matched blocks * block size at the decode endpoint, yes when
prompt - cached >= nonCachedTokens and prompt >= promptTokens. nonCachedTokens 0 (default) means never.
Source: prefix-based-pd-decider of the reference endpoint picker; matches come from approx-prefix-cache-producer.
"""

from typing import Annotated

import msgspec

from epp.core.config.structure import Section
from epp.core.scheduling.cycle import Cycle, ProfileResult
from epp.core.scheduling.producers.approx_prefix_cache import prefix_match

_Tokens = Annotated[int, msgspec.Meta(ge=0)]


class PrefixBasedPdParameters(Section, frozen=True):
    """Thresholds in tokens."""

    non_cached_tokens: _Tokens = 0
    prompt_tokens: _Tokens = 0
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""


class PrefixBasedPdDecider:
    """See the module."""

    def __init__(self, parameters: PrefixBasedPdParameters) -> None:
        self._least_new = parameters.non_cached_tokens
        self._least = max(parameters.prompt_tokens, parameters.non_cached_tokens)
        self._producer = parameters.prefix_match_info_producer_name

    def wants_stage(self, cycle: Cycle, decode: ProfileResult) -> bool:
        """See the module."""
        prompt_tokens = cycle.tokens
        if not self._least_new or prompt_tokens < self._least:
            return False
        match = prefix_match(cycle, self._producer)
        cached_tokens = match.by_slot.get(decode.slot, 0) * match.block_tokens
        return prompt_tokens - cached_tokens >= self._least_new
