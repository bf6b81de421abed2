"""Which blocks an endpoint is about to have: those of the prompts that were sent there a moment ago.

An engine publishes a block when it has computed it. Until then a burst of equal prompts finds it nowhere, so for a
short while a prompt counts as cached where it was sent. Kept as two generations of a prefix index, each for `ttl_s`;
the older one is dropped as a whole, so a prompt counts for one to two times `ttl_s`.

Memory: that of two PrefixIndex, each with at most `MOST_BLOCKS` blocks per slot.
"""

from epp.core.state.block_hashes import Chain
from epp.core.state.prefix_index import PrefixIndex

MOST_BLOCKS = 31_250


class SpeculativeBlocks:
    """Blocks by slot for a short while. `now` in seconds, never going backwards."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._recent = PrefixIndex()
        self._older = PrefixIndex()
        self._turn_at: float | None = None

    def insert(self, slot: int, chain: Chain, now: float) -> None:
        """A prompt of these blocks was sent to the slot."""
        self._turn(now)
        self._recent.insert(slot, chain, MOST_BLOCKS)

    def match(self, chain: Chain, now: float) -> dict[int, int]:
        """Blocks from the beginning of `chain` by slot, for the slots that have any."""
        self._turn(now)
        matched = self._older.match(chain)
        for slot, blocks in self._recent.match(chain).items():
            matched[slot] = max(blocks, matched.get(slot, 0))
        return matched

    def forget(self, slot: int) -> None:
        """The slot has a new owner."""
        self._recent.forget(slot)
        self._older.forget(slot)

    def _turn(self, now: float) -> None:
        if self._turn_at is None:
            self._turn_at = now + self._ttl_s
        elif now >= self._turn_at:
            self._older = self._recent if now < self._turn_at + self._ttl_s else PrefixIndex()
            self._recent = PrefixIndex()
            self._turn_at = now + self._ttl_s
