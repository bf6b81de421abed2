"""Chained block hashes of a prompt: equal hashes at block i mean equal data from the beginning to the end of block i.

Three ways, by how far the block is from the beginning. The first 64 blocks are a chain of xxh3 in a plain loop, which
is quickest for short prompts. Up to block 512 they are hashed at once, by a multilinear hash over their 32- or 64-bit
words: each word is mixed and multiplied by a factor that belongs to its place, and the chain is the running sum of
these, started from the 64th hash, at the end of every block. What follows is hashed in steps, 16 until the number of
blocks has doubled, again as a chain of xxh3. A block within a step has the hash at the step's beginning and its number:
there, prompts that part count as equal up to the end of the step, a 16th of their common beginning at most, and
hashing a long prompt takes little more than reading it. Hashes are 64 bits wide, and every process computes the same.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import xxhash
from numpy.typing import NDArray

BlockHash = int
Chain = Sequence[BlockHash] | NDArray[np.uint64]
LOOPED_BLOCKS: Final = 64
EXACT_BLOCKS: Final = 512
STEPS_PER_DOUBLING: Final = 16
MOST_SEEDS: Final = 1_000
LONGEST_REMEMBERED_SEED: Final = 2_000
"""characters"""
WORD_BYTES: Final = 8
HALF_WORD_BYTES: Final = 4

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)


def _odd_numbers(count: int) -> NDArray[np.uint64]:
    """Fixed pseudo-random odd numbers, one per word of a prompt (splitmix64; public domain, Sebastiano Vigna)."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * _MIX
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers | np.uint64(1)


class _Factors:
    """By place of the word; made for the widest blocks so far, 8 bytes a word."""

    def __init__(self) -> None:
        self._numbers = _odd_numbers(1 << 12)

    def first(self, count: int) -> NDArray[np.uint64]:
        """Those of the first `count` words."""
        if count > len(self._numbers):
            self._numbers = _odd_numbers(1 << (count - 1).bit_length())
        return self._numbers[:count]


def step_ends(most_blocks: int) -> list[int]:
    """After how many blocks a step ends, up to `most_blocks`; the first step begins after EXACT_BLOCKS."""
    ends: list[int] = []
    end = EXACT_BLOCKS
    while True:
        end += (1 << end.bit_length() - 1) // STEPS_PER_DOUBLING
        if end > most_blocks:
            return ends
        ends.append(end)


class _Steps:
    """By block after EXACT_BLOCKS; made for the longest prompt so far, 16 bytes a block."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self._step_of: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._number: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)

    def make(self, most_blocks: int) -> None:
        """For prompts of so many blocks, and for some longer ones."""
        if most_blocks <= EXACT_BLOCKS + len(self._step_of):
            return
        most_blocks = 1 << (most_blocks - 1).bit_length()
        self.ends = step_ends(most_blocks)
        blocks = np.arange(EXACT_BLOCKS + 1, most_blocks + 1)
        begins = np.array([EXACT_BLOCKS, *self.ends])
        self._step_of = np.searchsorted(begins, blocks, side="right") - 1
        self._number = (blocks - begins[self._step_of]).astype(np.uint64) * _MIX

    def spread(self, hashes: Chain, count: int) -> NDArray[np.uint64]:
        """One for each of `count` blocks: that of the last step which ended with it or before, and its number."""
        spread: NDArray[np.uint64] = np.array(hashes, dtype=np.uint64)[self._step_of[:count]]
        spread += self._number[:count]
        return spread


_FACTORS: Final = _Factors()
_STEPS: Final = _Steps()


def hash_blocks(data: memoryview | bytes, block_bytes: int, seed_text: str, most_blocks: int) -> Chain:
    """Hashes of the whole blocks at the beginning of `data`, at most `most_blocks`; a partial block is left out.

    `block_bytes` is a multiple of 4. `seed_text` holds what must not be mixed: model or adapter, salt, block size.
    """
    digest = xxhash.xxh3_64_intdigest
    previous = _seed(seed_text) if len(seed_text) <= LONGEST_REMEMBERED_SEED else _seed.__wrapped__(seed_text)
    view = memoryview(data)
    count = min(len(view) // block_bytes, most_blocks)
    head = bytes(view[: min(count, LOOPED_BLOCKS) * block_bytes])  # slices of bytes are made faster than of a view
    starts = range(0, len(head), block_bytes)
    looped = [previous := digest(head[start : start + block_bytes], previous) for start in starts]
    if count <= LOOPED_BLOCKS:
        return looped
    chain = np.empty(count, dtype=np.uint64)
    chain[:LOOPED_BLOCKS] = looped
    exact = min(count, EXACT_BLOCKS)
    at_once = view[LOOPED_BLOCKS * block_bytes : exact * block_bytes]
    chain[LOOPED_BLOCKS:exact] = _hash_at_once(at_once, block_bytes, previous)
    if count > exact:
        chain[exact:] = _hash_in_steps(view, block_bytes, count, int(chain[exact - 1]))
    return chain


def packed(chain: Chain) -> bytes:
    """A chain without what follows from the rest of it, 8 bytes a hash in this machine's order."""
    count = len(chain)
    if count <= LOOPED_BLOCKS:
        return array("Q", chain).tobytes()  # quicker than numpy is for so few
    hashes = np.asarray(chain, dtype=np.uint64)
    if count > EXACT_BLOCKS:
        _STEPS.make(count)
        ends = _STEPS.ends[: bisect_right(_STEPS.ends, count)]
        hashes = np.concatenate((hashes[:EXACT_BLOCKS], hashes[np.array(ends, dtype=np.intp) - 1]))
    return hashes.tobytes()


def unpacked(content: bytes, count: int) -> Chain:
    """The chain of `count` blocks that `packed` made this of."""
    if count <= LOOPED_BLOCKS:
        return array("Q", content).tolist()
    hashes = np.frombuffer(content, dtype=np.uint64)
    if count <= EXACT_BLOCKS:
        return hashes
    _STEPS.make(count)
    return np.concatenate((hashes[:EXACT_BLOCKS], _STEPS.spread(hashes[EXACT_BLOCKS - 1 :], count - EXACT_BLOCKS)))


@lru_cache(MOST_SEEDS)
def _seed(text: str) -> BlockHash:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def _hash_at_once(data: memoryview, block_bytes: int, start: BlockHash) -> NDArray[np.uint64]:
    """Chained hashes of all blocks of `data`."""
    if block_bytes % WORD_BYTES == 0:
        words, width = np.frombuffer(data, dtype="<u8"), block_bytes // WORD_BYTES
    else:
        words, width = np.frombuffer(data, dtype="<u4").astype(np.uint64), block_bytes // HALF_WORD_BYTES
    mixed = np.multiply(words, _MIX)
    mixed ^= mixed >> _HALF  # else words that differ in their highest bits alone would differ there alone in the sum
    mixed *= _FACTORS.first(len(mixed))
    mixed[:1] += np.uint64(start)
    return np.cumsum(mixed, dtype=np.uint64)[width - 1 :: width]


def _hash_in_steps(view: memoryview, block_bytes: int, count: int, previous: BlockHash) -> NDArray[np.uint64]:
    """Hashes of the blocks after EXACT_BLOCKS, of which `previous` is the last one's."""
    digest = xxhash.xxh3_64_intdigest
    _STEPS.make(count)
    hashes = [previous]
    begin = EXACT_BLOCKS
    for end in _STEPS.ends:
        if end > count:
            break
        previous = digest(view[begin * block_bytes : end * block_bytes], previous)
        hashes.append(previous)
        begin = end
    return _STEPS.spread(hashes, count - EXACT_BLOCKS)
