"""Chained block hashes of a prompt: equal hashes at block i mean equal data from the beginning to the end of block i.

The first 64 blocks are a chain of xxh3 in a plain loop, which is quickest for short prompts. The rest is hashed at
once: each block by a mixed multilinear hash over its 32- or 64-bit words, the chain as a running sum of the block
hashes, each mixed with its position and all started from the 64th hash. Both are 64 bits wide; multipliers are fixed,
so that every process computes the same hashes.
"""

from collections.abc import Sequence

import numpy as np
import xxhash
from numpy.typing import NDArray

BlockHash = int
Chain = Sequence[BlockHash] | NDArray[np.uint64]
LOOPED_BLOCKS = 64
WORD_BYTES = 8
HALF_WORD_BYTES = 4

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


def _odd_numbers(count: int) -> NDArray[np.uint64]:
    """Fixed pseudo-random odd numbers, one per word of a block."""
    digest = xxhash.xxh3_64_intdigest
    return np.array([digest(number.to_bytes(4, "little")) | 1 for number in range(count)], dtype=np.uint64)


_WORD_FACTORS: dict[int, NDArray[np.uint64]] = {}


def hash_blocks(data: memoryview | bytes, block_bytes: int, seed_text: str, most_blocks: int) -> Chain:
    """Hashes of the whole blocks at the beginning of `data`, at most `most_blocks`; a partial block is left out.

    `block_bytes` is a multiple of 4. `seed_text` holds what must not be mixed: model or adapter, salt, block size.
    """
    digest = xxhash.xxh3_64_intdigest
    previous = digest(seed_text.encode("utf-8", "surrogatepass"))
    view = memoryview(data)
    count = min(len(view) // block_bytes, most_blocks)
    looped = []
    head = bytes(view[: min(count, LOOPED_BLOCKS) * block_bytes])  # slices of bytes are made faster than of a view
    for start in range(0, len(head), block_bytes):
        previous = digest(head[start : start + block_bytes], previous)
        looped.append(previous)
    if count <= LOOPED_BLOCKS:
        return looped
    chain = np.empty(count, dtype=np.uint64)
    chain[:LOOPED_BLOCKS] = looped
    rest = view[LOOPED_BLOCKS * block_bytes : count * block_bytes]
    chain[LOOPED_BLOCKS:] = _hash_at_once(rest, block_bytes, previous)
    return chain


def _hash_at_once(data: memoryview, block_bytes: int, start: BlockHash) -> NDArray[np.uint64]:
    """Chained hashes of all blocks of `data`."""
    if block_bytes % WORD_BYTES == 0:
        words = np.frombuffer(data, dtype="<u8").reshape(-1, block_bytes // WORD_BYTES)
    else:
        words = np.frombuffer(data, dtype="<u4").astype(np.uint64).reshape(-1, block_bytes // HALF_WORD_BYTES)
    width = words.shape[1]
    factors = _WORD_FACTORS.get(width)
    if factors is None:
        factors = _WORD_FACTORS[width] = _odd_numbers(width)[:, np.newaxis]
    mixed = np.multiply(words.T, _MULTIPLIER, order="C")  # word by word: numpy is slow over rows as short as a block
    mixed ^= mixed >> _SHIFT
    mixed *= factors
    mixed ^= mixed >> _SHIFT
    blocks = mixed.sum(axis=0, dtype=np.uint64)
    blocks += np.arange(1, len(blocks) + 1, dtype=np.uint64) * _MULTIPLIER
    blocks ^= blocks >> _SHIFT
    blocks *= _MIX
    blocks ^= blocks >> _SHIFT
    blocks[:1] += np.uint64(start)
    return np.cumsum(blocks, dtype=np.uint64)
