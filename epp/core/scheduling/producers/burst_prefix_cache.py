"""burst-prefix-cache-producer: requests that come together and begin alike go to few endpoints instead of all.

When many requests come with one new prompt, no endpoint has anything of it cached, the scorers of known caches have
nothing to say, the load is spread and every endpoint computes the same prompt. Routing therefore holds requests for
windowDurationMs (`epp.core.routing.bursts`) and places those of one window jointly (`burst_placement`). The product is
a PrefixMatch as of a prefix cache: the whole prompt on the endpoint that the request was placed on, nothing elsewhere,
and nothing at all for a request that was not placed. Scorers decide what that is worth.

In a pool with roles a request is placed twice, among those that decode and among those that only prefill.
Source: burst-prefix-cache-producer of the reference. Different here: an endpoint's load includes what it has in flight,
an incomplete block at the end of a prompt does not count, and who has nothing to share or no time does not wait.
"""

import math
from collections.abc import Sequence
from random import Random
from typing import Annotated, Literal

import msgspec

from epp.core.config.structure import Section
from epp.core.domain.request import InferenceRequest, Placement, PromptKind
from epp.core.scheduling.burst_placement import BurstPrompt, PlacementRules, place
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.producers.approx_prefix_cache import (
    BYTES_PER_TOKEN,
    NO_MATCH,
    PrefixMatch,
    prompt_chain,
)
from epp.core.state.block_hashes import Chain
from epp.core.state.ledger import InFlightLedger

MOST_BLOCKS = 2048
"""that are compared where maxPrefixTokensToMatch does not say"""
NO_LIMIT = -1

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
Limit = Annotated[int, msgspec.Meta(ge=NO_LIMIT)]


class BurstPrefixCacheParameters(Section, frozen=True):
    """Parameters of the reference."""

    window_duration_ms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    max_per_replica: Limit = NO_LIMIT
    """requests with the same prompt on one endpoint"""
    block_size_tokens: Positive = 64
    max_prefix_tokens_to_match: NotNegative = 0
    """0: 2048 blocks"""
    min_colocate_blocks: NotNegative = 0
    """0: only requests with the same blocks go together"""
    max_batch_size: Limit = 1000
    """requests in a window; it closes early when they are there"""
    balance_by: Literal["requests", "tokens"] = "requests"

    def __post_init__(self) -> None:
        for name, limit in (("maxPerReplica", self.max_per_replica), ("maxBatchSize", self.max_batch_size)):
            if limit == 0:
                raise ValueError(f"{name} is at least 1, or {NO_LIMIT} for no limit")
        if 0 < self.max_prefix_tokens_to_match < self.block_size_tokens:
            raise ValueError("maxPrefixTokensToMatch is 0 or at least blockSizeTokens: no prompt would have a block")


class BurstPrefixCacheProducer:
    """Places the requests of a window, and produces a PrefixMatch from the placement that a request carries."""

    def __init__(self, name: str, parameters: BurstPrefixCacheParameters) -> None:
        self._name = name
        self.window_s = parameters.window_duration_ms / 1000
        self.most_requests = math.inf if parameters.max_batch_size == NO_LIMIT else parameters.max_batch_size
        """in a window"""
        self._block_tokens = parameters.block_size_tokens
        self._most_blocks = parameters.max_prefix_tokens_to_match // self._block_tokens or MOST_BLOCKS
        self._rules = PlacementRules(
            block_tokens=self._block_tokens,
            most_per_endpoint=None if parameters.max_per_replica == NO_LIMIT else parameters.max_per_replica,
            least_shared_blocks=parameters.min_colocate_blocks,
            by_tokens=parameters.balance_by == "tokens",
        )

    def may_share(self, request: InferenceRequest) -> bool:
        """Whether the prompt has a whole block, so that it may have something in common with another one."""
        prompt = request.prompt
        return prompt.kind is not PromptKind.NONE and len(prompt.data) >= self._block_tokens * BYTES_PER_TOKEN

    def chain(self, request: InferenceRequest) -> Chain:
        """Hashes of the whole blocks of the prompt."""
        return prompt_chain(request, self._block_tokens, self._most_blocks)

    def place(
        self, prompts: Sequence[BurstPrompt], candidates: Candidates, ledger: InFlightLedger, rng: Random
    ) -> list[Placement | None]:
        """One for each prompt, with the chains of `chain`; None for those that are left to the scorers.

        `rng` chooses between equally loaded endpoints.
        """
        candidates = candidates.keep(rng.sample(range(len(candidates)), len(candidates)))
        column = ledger.tokens if self._rules.by_tokens else ledger.requests
        endpoints = place(prompts, column[candidates.slots].astype(float), self._rules)
        slots = candidates.slots.tolist()
        return [
            None
            if endpoint is None
            else Placement(self._name, slots[endpoint], ledger.generation(slots[endpoint]), len(prompt.chain))
            for prompt, endpoint in zip(prompts, endpoints, strict=True)
        ]

    def produce(self, cycle: Cycle, candidates: Candidates) -> PrefixMatch:  # noqa: ARG002  protocol's shape
        """See the module; a placement on a slot that has another owner by now is void."""
        by_slot = {
            placement.slot: placement.blocks
            for placement in cycle.request.placements
            if placement.producer == self._name and cycle.ledger.generation(placement.slot) == placement.generation
        }
        if not by_slot:
            return NO_MATCH
        return PrefixMatch([], self._block_tokens, by_slot, max(by_slot.values()))
