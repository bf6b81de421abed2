"""How many prompt tokens of our requests in flight lie in the KV cache of each slot, shared prefixes counted once.

A prompt's chain of block hashes is cut into pieces at fixed blocks: 4, 8, 16, 32, 64, then every 32, from 512 on where
the steps of the hashes end (16 until the number is doubled). Hashes are chained, so the hash at the end of a piece
names the whole prompt up to there; each slot has a tree of who holds which pieces, and a piece counts for its tokens
once however many hold it. What follows the last cut counts for each request by itself, which is the error: at most 32
blocks a request, or a 16th of it.

Memory: at most MOST_PIECES pieces per request in flight (some 50 bytes each), and none once it is over.
"""

from bisect import bisect_right
from typing import Final

import numpy as np

from epp.core.scheduling.cost.piece_tree import PieceTree, Run
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
        self.run: Run | None = None
        """where its pieces end in the slot's tree"""


class KvOccupancy:
    """`tokens` is read by slot."""

    def __init__(self, slots: int = 16) -> None:
        self.tokens: FloatColumn = np.zeros(slots)
        self._trees: dict[int, PieceTree] = {}
        """by slot; none where no piece is held"""
        self._held: dict[int, _Held] = {}
        """by serial"""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def piece_count(self) -> int:
        """Distinct pieces over all slots."""
        return sum(tree.piece_count for tree in self._trees.values())

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
        tree = self._trees.get(slot)
        return BLOCKS_OF[tree.shared(pieces_of(chain))] * block_tokens if tree is not None else 0

    def _add(self, held: _Held) -> None:
        shared = 0
        if held.pieces:
            tree = self._trees.get(held.slot)
            if tree is None:
                tree = self._trees[held.slot] = PieceTree()
            held.run, shared = tree.take(held.pieces)
        self.tokens[held.slot] += self._own_tokens(held, shared)

    def _subtract(self, held: _Held) -> None:
        shared = 0
        if held.run is not None:
            tree = self._trees[held.slot]
            shared = tree.give_back(held.run)
            if not tree:
                del self._trees[held.slot]
        self.tokens[held.slot] -= self._own_tokens(held, shared)

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
