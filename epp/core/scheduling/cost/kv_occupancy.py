"""How many prompt tokens of our requests in flight lie in the KV cache of each slot, shared prefixes counted once.

A prompt's chain of block hashes is cut into pieces at fixed blocks (4, 8, 16, 32, 64, 96, ...). Hashes are chained, so
the hash at the end of a piece names the whole prompt up to there; each slot counts who holds which piece, and a piece
counts for its tokens once however many hold it. What follows the last cut counts for each request by itself, which is
the error: at most 32 blocks a request.

Memory: at most MOST_PIECES pieces per request in flight (some 150 bytes each), and none once it is over.
"""

import msgspec
import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.state.block_hashes import Chain
from epp.core.state.columns import FloatColumn

FIRST_CUTS = (4, 8, 16, 32)
"""in blocks; most prompts are short"""
STRIDE = 32
MOST_PIECES = 256
"""some 130,000 tokens of 16-token blocks; what comes after them is not shared"""
BLOCKS_OF: tuple[int, ...] = (0, *FIRST_CUTS, *range(2 * STRIDE, STRIDE * (MOST_PIECES - len(FIRST_CUTS) + 2), STRIDE))
"""blocks in so many first pieces"""


class _Held(msgspec.Struct, gc=False):
    slot: int
    pieces: list[int]
    block_tokens: int
    tail_tokens: int


class KvOccupancy:
    """`tokens` is read by slot."""

    def __init__(self, slots: int = 16) -> None:
        self.tokens: FloatColumn = np.zeros(slots)
        self._counts: dict[int, dict[int, int]] = {}
        """by slot: how many requests hold a piece"""
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
        counts = self._counts.setdefault(held.slot, {}) if held.pieces else {}
        known = 0
        for piece in held.pieces:
            count = counts.get(piece, 0)
            counts[piece] = count + 1
            known += count > 0
        self.tokens[held.slot] += self._own_tokens(held, known)

    def _subtract(self, held: _Held) -> None:
        counts = self._counts[held.slot] if held.pieces else {}
        left = 0
        for piece in held.pieces:
            count = counts[piece] - 1
            if count:
                counts[piece] = count
                left += 1
            else:
                del counts[piece]
        self.tokens[held.slot] -= self._own_tokens(held, left)
        if held.pieces and not counts:
            del self._counts[held.slot]

    def _own_tokens(self, held: _Held, shared: int) -> int:
        """Tokens that nobody else there holds; the `shared` first pieces are others' too."""
        return held.tail_tokens + (BLOCKS_OF[len(held.pieces)] - BLOCKS_OF[shared]) * held.block_tokens


def pieces_of(chain: Chain) -> list[int]:
    """The hashes at the cuts."""
    blocks = len(chain)
    pieces = [int(chain[cut - 1]) for cut in FIRST_CUTS if cut <= blocks]
    if blocks >= 2 * STRIDE:
        rest = chain[2 * STRIDE - 1 :: STRIDE]
        pieces += (rest.tolist() if isinstance(rest, np.ndarray) else list(rest))[: MOST_PIECES - len(pieces)]
    return pieces
