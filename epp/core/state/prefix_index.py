"""The approximate prefix index: which endpoint probably still caches which beginning of a prompt.

A prompt is a chain of block hashes, each seeded by the one before. Per block the index keeps one integer whose bits
are the slots that hold it; per slot an LRU order bounds the memory. A chain is inserted last block first, so a block
is always more recent than the ones that follow it: eviction takes tails first, as the engine does, and what a slot
holds of a chain is always a beginning of it. Hence the match of every slot is found by bisection on the bits.

Memory: about 250 bytes per (slot, block); at most `capacity` blocks per slot.
"""

from collections import OrderedDict
from collections.abc import Sequence

import xxhash

BlockHash = int


def hash_blocks(data: memoryview | bytes, block_bytes: int, seed_text: str, most_blocks: int) -> list[BlockHash]:
    """Chained xxh3 hashes of the whole blocks at the beginning of `data`; a trailing partial block is left out.

    `seed_text` holds what must not be mixed: model or adapter, cache salt, block size.
    """
    digest = xxhash.xxh3_64_intdigest
    previous = digest(seed_text.encode("utf-8", "surrogatepass"))
    view = memoryview(data)
    hashes = []
    for start in range(0, min(len(view) // block_bytes, most_blocks) * block_bytes, block_bytes):
        previous = digest(view[start : start + block_bytes], seed=previous)
        hashes.append(previous)
    return hashes


class PrefixIndex:
    """Slots per block, blocks per slot."""

    def __init__(self) -> None:
        self._holders: dict[BlockHash, int] = {}
        self._held: dict[int, OrderedDict[BlockHash, None]] = {}

    @property
    def block_count(self) -> int:
        """Number of (slot, block) pairs."""
        return sum(len(blocks) for blocks in self._held.values())

    def held_by(self, slot: int) -> int:
        """Number of blocks that the slot is believed to hold."""
        return len(self._held.get(slot, ()))

    def match(self, chain: Sequence[BlockHash]) -> dict[int, int]:
        """Blocks matched from the beginning of `chain`, for every slot that matches at least one."""
        holders = self._holders.get
        matched: dict[int, int] = {}

        def settle(bits: int, blocks: int) -> None:
            while bits:
                lowest = bits & -bits
                matched[lowest.bit_length() - 1] = blocks
                bits ^= lowest

        def split(low: int, low_bits: int, high: int, high_bits: int) -> None:
            """The holders of block `low` are `low_bits`, those of `high` are `high_bits`; finds where they leave."""
            while high - low > 1 and low_bits != high_bits:
                middle = (low + high) // 2
                bits = holders(chain[middle], 0)
                split(middle, bits, high, high_bits)
                high, high_bits = middle, bits
            settle(low_bits & ~high_bits, low + 1)

        if chain and (first := holders(chain[0], 0)):
            last = len(chain) - 1
            last_bits = holders(chain[last], 0)
            settle(last_bits, len(chain))
            if last:
                split(0, first, last, last_bits)
        return matched

    def insert(self, slot: int, chain: Sequence[BlockHash], capacity: int) -> None:
        """The slot has just been given this chain; its least recent blocks beyond `capacity` are dropped."""
        held = self._held.setdefault(slot, OrderedDict())
        bit = 1 << slot
        holders = self._holders
        for block in reversed(chain[:capacity]):
            if block in held:
                held.move_to_end(block)
            else:
                held[block] = None
                holders[block] = holders.get(block, 0) | bit
        while len(held) > capacity:
            self._drop(held.popitem(last=False)[0], bit)

    def forget(self, slot: int) -> None:
        """The slot holds nothing any more."""
        bit = 1 << slot
        for block in self._held.pop(slot, ()):
            self._drop(block, bit)

    def _drop(self, block: BlockHash, bit: int) -> None:
        left = self._holders[block] & ~bit
        if left:
            self._holders[block] = left
        else:
            del self._holders[block]
