"""How many prompt tokens of our requests in flight lie in the KV cache of each slot, shared prefixes counted once.

A prompt's chain of block hashes is cut into pieces at fixed blocks (4, 8, 16, 32, 64, 96, ...). Hashes are chained, so
the hash at the end of a piece names the whole prompt up to there; each slot counts who holds which piece, and a piece
counts for its tokens once however many hold it. What follows the last cut counts for each request by itself, which is
the error: at most 32 blocks a request.

Memory: at most MOST_PIECES pieces per request in flight (some 150 bytes each), and none once it is over.
"""

import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.state.block_hashes import Chain
from epp.core.state.columns import FloatColumn

FIRST_CUTS = (4, 8, 16, 32)
"""in blocks; most prompts are short"""
STRIDE = 32
MOST_PIECES = 256
"""131,072 tokens of 16-token blocks; what comes after them is not shared"""


class _Held:
    __slots__ = ("block_tokens", "pieces", "slot", "tail_tokens")

    def __init__(self, slot: int, pieces: list[int], block_tokens: int, tail_tokens: float) -> None:
        self.slot = slot
        self.pieces = pieces
        self.block_tokens = block_tokens
        self.tail_tokens = tail_tokens


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
        held = _Held(slot, pieces, block_tokens, max(0.0, tokens - _blocks_of(len(pieces)) * block_tokens))
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

    def shared_tokens(self, slot: int, chain: Chain, block_tokens: int) -> float:
        """How many tokens at the beginning of the chain are held there by requests in flight."""
        counts = self._counts.get(slot)
        if not counts:
            return 0.0
        number = 0
        for piece in pieces_of(chain):
            if piece not in counts:
                break
            number += 1
        return _blocks_of(number) * block_tokens

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

    def _own_tokens(self, held: _Held, shared: int) -> float:
        """Tokens that nobody else there holds; the `shared` first pieces are others' too."""
        return held.tail_tokens + (_blocks_of(len(held.pieces)) - _blocks_of(shared)) * held.block_tokens


def pieces_of(chain: Chain) -> list[int]:
    """The hashes at the cuts."""
    blocks = len(chain)
    pieces = [int(chain[cut - 1]) for cut in FIRST_CUTS if cut <= blocks]
    if blocks >= 2 * STRIDE:
        rest = chain[2 * STRIDE - 1 :: STRIDE]
        pieces += (rest.tolist() if isinstance(rest, np.ndarray) else list(rest))[: MOST_PIECES - len(pieces)]
    return pieces


def _blocks_of(pieces: int) -> int:
    """Blocks in so many first pieces."""
    first = len(FIRST_CUTS)
    if pieces == 0:
        return 0
    return FIRST_CUTS[pieces - 1] if pieces <= first else STRIDE * (pieces - first + 1)
