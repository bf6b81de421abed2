"""How many prompt tokens of our requests in flight lie in the KV cache of each slot, shared prefixes counted once.

A prompt's chain of block hashes is cut into pieces at fixed blocks: 4, 8, 16, 32, 64, then every 32, from 512 on where
the steps of the hashes end (16 until the number is doubled). Hashes are chained, so the hash at the end of a piece
names the whole prompt up to there; each slot counts who holds which piece, and a piece counts for its tokens once
however many hold it. What follows the last cut counts for each request by itself, which is the error: at most 32 blocks
a request, or a 16th of it.

Memory: at most MOST_PIECES pieces per request in flight (some 150 bytes each), and none once it is over.
"""

from bisect import bisect_right
from collections import deque
from itertools import repeat
from typing import Final

import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.state.block_hashes import EXACT_BLOCKS, Chain, step_ends
from epp.core.state.columns import FloatColumn

STRIDE: Final = 32
MOST_BLOCKS: Final = 1 << 17
"""some two million tokens of 16-token blocks; what comes after them is not shared"""
CUTS: Final[list[int]] = [4, 8, 16, *range(STRIDE, EXACT_BLOCKS + 1, STRIDE), *step_ends(MOST_BLOCKS)]
"""in blocks; most prompts are short, and long ones are hashed in steps"""
MOST_PIECES: Final = len(CUTS)
BLOCKS_OF: Final = (0, *CUTS)
"""blocks in so many first pieces"""
_LAST_BLOCKS: Final = np.array(CUTS) - 1


class _Held:
    """What one request holds."""

    def __init__(self, slot: int, pieces: list[int], block_tokens: int, tail_tokens: int) -> None:
        self.slot = slot
        self.pieces = pieces
        self.block_tokens = block_tokens
        self.tail_tokens = tail_tokens


class KvOccupancy:
    """`tokens` is read by slot."""

    def __init__(self, slots: int = 16) -> None:
        self.tokens: FloatColumn = np.zeros(slots)
        self._counts: dict[int, dict[int, int]] = {}
        """by slot: how many requests hold a piece; whoever holds one holds all before it"""
        self._held: dict[int, _Held] = {}
        """by serial"""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def piece_count(self) -> int:
        """Distinct pieces over all slots."""
        return sum(map(len, self._counts.values()))

    def reserve_slots(self, slots: int) -> None:
        """Makes room for slots 0..slots-1."""
        self.tokens = grown(self.tokens, slots)

    def take(self, slot: int, serial: int, chain: Chain, block_tokens: int, tokens: int) -> None:
        """A request of `tokens` prompt tokens with these blocks went to the slot."""
        pieces = pieces_of(chain)
        held = _Held(slot, pieces, block_tokens, max(0, tokens - BLOCKS_OF[len(pieces)] * block_tokens))
        self._held[serial] = held
        self._add(held)

    def give_back(self, serial: int) -> None:
        """The request is over; without effect when it is not known."""
        held = self._held.pop(serial, None)
        if held is not None:
            self._subtract(held)

    def move(self, serial: int, slot: int) -> None:
        """The request is served by another slot."""
        held = self._held.get(serial)
        if held is not None and held.slot != slot:
            self._subtract(held)
            held.slot = slot
            self._add(held)

    def shared_tokens(self, slot: int, chain: Chain, block_tokens: int) -> int:
        """How many tokens at the beginning of the chain are held there by requests in flight."""
        counts = self._counts.get(slot)
        if not counts:
            return 0
        number = 0
        for piece in pieces_of(chain):
            if piece not in counts:
                break
            number += 1
        return BLOCKS_OF[number] * block_tokens

    def _add(self, held: _Held) -> None:
        slot, pieces = held.slot, held.pieces
        known = 0
        if pieces:
            counts = self._counts.get(slot)
            if counts is None:
                counts = self._counts[slot] = {}
            for piece in pieces:
                if piece not in counts:  # nor is any that follows
                    counts.update(dict.fromkeys(pieces[known:], 1))
                    break
                counts[piece] += 1
                known += 1
        self.tokens[slot] += self._own_tokens(held, known)

    def _subtract(self, held: _Held) -> None:
        slot, pieces = held.slot, held.pieces
        left = 0
        if pieces:
            counts = self._counts[slot]
            for piece in pieces:
                count = counts.get(piece, 1)  # missing, if at all, where prompts were made so that hashes collide
                if count == 1:  # as each that follows
                    deque(map(counts.pop, pieces[left:], repeat(None)), maxlen=0)
                    break
                counts[piece] = count - 1
                left += 1
            if not counts:
                del self._counts[slot]
        self.tokens[slot] -= self._own_tokens(held, left)

    def _own_tokens(self, held: _Held, shared: int) -> int:
        """Tokens that nobody else there holds; the `shared` first pieces are others' too."""
        return held.tail_tokens + (BLOCKS_OF[len(held.pieces)] - BLOCKS_OF[shared]) * held.block_tokens


def pieces_of(chain: Chain) -> list[int]:
    """The hashes at the cuts."""
    pieces = bisect_right(CUTS, len(chain))
    if isinstance(chain, np.ndarray):
        found: list[int] = chain[_LAST_BLOCKS[:pieces]].tolist()
        return found
    return [chain[cut - 1] for cut in CUTS[:pieces]]
