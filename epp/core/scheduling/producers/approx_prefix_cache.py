"""approx-prefix-cache-producer: how much of the prompt each endpoint probably has cached.

The picker remembers which prompts it sent where; no engine is asked. Blocks are the engine's own (scraped block size,
4 bytes a token for text, exact for token ids), the match is contiguous per endpoint, and with `autoTune` an endpoint
is believed to keep as many blocks as its engine has. Model or adapter and cache_salt are part of every hash.
Source: prefix cache proposal 0602 and approx-prefix-cache-producer of the reference, with its three faults mended:
matches with holes, a block size of at least 64 tokens whatever the engine's, a capacity in another unit.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import numpy as np

from epp.core.domain.decision import Reservation
from epp.core.domain.request import InferenceRequest, PromptKind
from epp.core.scheduling.cycle import FEW, Candidates, Cycle, Positions
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.state.block_hashes import Chain, hash_blocks
from epp.core.state.columns import FloatColumn
from epp.core.state.prefix_index import PrefixIndex

BYTES_PER_TOKEN: Final = 4
DEFAULT_BLOCK_TOKENS: Final = 16
DEFAULT_CAPACITY_BLOCKS: Final = 31250
DEFAULT_MOST_TOKENS: Final = 131072
MOST_SEEDS: Final = 1_000
"""remembered: most requests are for one of few models"""
LONGEST_REMEMBERED_SALT: Final = 200
"""characters"""


class PrefixMatch:
    """Result for one request: matched blocks by slot; fractions where a block counts less than others."""

    __slots__ = ("approximate", "block_tokens", "by_slot", "chain", "is_precise", "total_blocks")

    def __init__(
        self,
        chain: Chain,
        block_tokens: int,
        by_slot: Mapping[int, float],
        total_blocks: int | None = None,
        *,
        is_precise: bool = False,
        approximate: "PrefixMatch | None" = None,
    ) -> None:
        """`total_blocks` when it is not the length of the chain, of a producer that has no use for one.

        `is_precise` of what the engines have told; `approximate` is then what was guessed beside it, if anything was.
        """
        self.is_precise = is_precise
        self.approximate = approximate
        self.chain = chain
        self.block_tokens = block_tokens
        self.by_slot = by_slot
        self.total_blocks = len(chain) if total_blocks is None else total_blocks

    def matched_blocks(self, slots: Positions) -> FloatColumn:
        """Shape (candidates,)."""
        if not self.by_slot:
            return np.zeros(len(slots))
        if len(slots) <= FEW:
            blocks = self.by_slot.get
            return np.array([blocks(slot, 0) for slot in slots.tolist()], dtype=np.float64)
        matched = np.fromiter(self.by_slot.keys(), np.intp, len(self.by_slot))
        by_slot = np.zeros(max(int(slots.max()), int(matched.max())) + 1)
        by_slot[matched] = np.fromiter(self.by_slot.values(), np.float64, len(self.by_slot))
        return by_slot[slots]


NO_MATCH: Final = PrefixMatch([], DEFAULT_BLOCK_TOKENS, {})
"""what consumers see when the producer has failed: nobody is known to have anything of the prompt"""


def prefix_match(cycle: Cycle, producer: str) -> PrefixMatch:
    """The product of the producer of that name."""
    match: PrefixMatch = cycle.products.get(producer, NO_MATCH)
    return match


class ApproxPrefixCacheProducer:
    """Produces a PrefixMatch and learns where each prompt went."""

    def __init__(self, name: str, parameters: ApproxPrefixCacheParameters) -> None:
        self._name = name
        characters = parameters.block_size or parameters.hash_block_size
        self._auto_tune = parameters.auto_tune
        self._block_tokens = parameters.block_size_tokens or -(-characters // BYTES_PER_TOKEN) or DEFAULT_BLOCK_TOKENS
        self._most_tokens = parameters.max_prefix_tokens_to_match
        self._most_blocks = parameters.max_prefix_blocks_to_match
        self._capacity = parameters.lru_capacity_per_server or DEFAULT_CAPACITY_BLOCKS
        self._index = PrefixIndex()
        self.inserted: Callable[[int, Chain, int], None] | None = None
        """told what `remember` puts into the index (slot, chain, capacity), where other pickers are to know it"""

    @property
    def index_blocks(self) -> int:
        """Size of the index in (endpoint, block) pairs."""
        return self._index.block_count

    def produce(self, cycle: Cycle, candidates: Candidates) -> PrefixMatch:
        """Hashes the prompt and looks every candidate up."""
        block_tokens = self._engine_block_tokens(cycle, candidates) or self._block_tokens
        chain = self._chain(cycle.request, block_tokens)
        return PrefixMatch(chain, block_tokens, self._index.match(chain))

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        """The prompt went to the slot of `reservation`."""
        self.remember(cycle, reservation, cycle.products[self._name])

    def remember(self, cycle: Cycle, reservation: Reservation, match: PrefixMatch) -> None:
        """As `learn`, with what `produce` found, wherever that is kept."""
        kv_blocks = int(cycle.snapshot.load.kv_blocks.item(reservation.slot))
        capacity = kv_blocks if self._auto_tune and kv_blocks else self._capacity
        self._index.insert(reservation.slot, match.chain, capacity)
        if self.inserted is not None:
            self.inserted(reservation.slot, match.chain, capacity)

    def insert(self, slot: int, chain: Chain, capacity: int) -> None:
        """Another picker has sent a prompt there."""
        self._index.insert(slot, chain, capacity)

    def forget_slot(self, slot: int) -> None:
        """The slot has a new owner with an empty cache."""
        self._index.forget(slot)

    def _engine_block_tokens(self, cycle: Cycle, candidates: Candidates) -> int:
        """Of the first candidate whose engine told the size of its cache; 0 when none did or none is asked."""
        if not self._auto_tune:
            return 0
        load = cycle.snapshot.load
        first = candidates.slots.item(0)
        if load.kv_blocks.item(first) > 0.0:
            return int(load.kv_block_tokens.item(first))
        known = candidates.slots[load.kv_blocks[candidates.slots] > 0.0]
        return int(load.kv_block_tokens[known[0]]) if len(known) else 0

    def _chain(self, request: InferenceRequest, block_tokens: int) -> Chain:
        if self._most_tokens or not self._most_blocks:
            most_blocks = (self._most_tokens or DEFAULT_MOST_TOKENS) // block_tokens
        else:
            most_blocks = self._most_blocks
        return prompt_chain(request, block_tokens, most_blocks)


def prompt_chain(request: InferenceRequest, block_tokens: int, most_blocks: int) -> Chain:
    """Hashes of the whole blocks of the prompt, at most `most_blocks`, apart for model or adapter and cache_salt."""
    prompt = request.prompt
    if prompt.kind is PromptKind.NONE:
        return []
    salt = request.cache_salt
    text_of = _seed_text if len(salt) <= LONGEST_REMEMBERED_SALT else _seed_text.__wrapped__
    seed = text_of(request.target_model, salt, block_tokens, prompt.kind is PromptKind.TEXT)
    return hash_blocks(prompt.data, block_tokens * BYTES_PER_TOKEN, seed, most_blocks)


@lru_cache(MOST_SEEDS)
def _seed_text(model: str, cache_salt: str, block_tokens: int, is_text: bool) -> str:
    kind = PromptKind.TEXT if is_text else PromptKind.TOKEN_IDS
    return f"{model}\0{cache_salt}\0{block_tokens}\0{kind.value}"
