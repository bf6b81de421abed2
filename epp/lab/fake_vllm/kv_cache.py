"""KV cache blocks: reference counts, prefix cache by block hash, LRU eviction of free blocks.

As in vLLM, a freed block keeps its contents until it is needed for something else, and counts as free meanwhile.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence


class BlockPool:
    """A fixed number of KV blocks, identified by small integers that are handed out as they are first needed."""

    def __init__(self, num_blocks: int, on_evicted: Callable[[int], None] | None = None) -> None:
        """`on_evicted` is told the hash of every block that can be found no more."""
        self.num_blocks = num_blocks
        self._on_evicted = on_evicted
        self._refs: list[int] = []
        self._hash_of: list[int | None] = []
        self._blank: list[int] = []
        self._evictable: OrderedDict[int, None] = OrderedDict()
        self._by_hash: dict[int, int] = {}

    @property
    def free_blocks(self) -> int:
        """Blocks that nobody refers to, cached or not."""
        return self.num_blocks - len(self._refs) + len(self._blank) + len(self._evictable)

    @property
    def usage(self) -> float:
        """Share of blocks referred to by running requests, 0 to 1."""
        return (self.num_blocks - self.free_blocks) / self.num_blocks

    @property
    def cached_blocks(self) -> int:
        """Blocks that a prefix can hit, in use or free."""
        return len(self._by_hash)

    def match(self, hashes: Sequence[int]) -> list[int]:
        """Blocks of the longest cached prefix of `hashes`. Nothing is taken."""
        blocks = []
        for block_hash in hashes:
            block = self._by_hash.get(block_hash)
            if block is None:
                break
            blocks.append(block)
        return blocks

    def take(self, fresh: int, shared: Sequence[int] = ()) -> list[int] | None:
        """Takes the `shared` blocks of a match and `fresh` empty ones; all in order, or None when there are too few."""
        revived = sum(1 for block in shared if self._refs[block] == 0)
        if fresh + revived > self.free_blocks:
            return None
        for block in shared:
            if self._refs[block] == 0:
                del self._evictable[block]
            self._refs[block] += 1
        return [*shared, *(self._take_empty() for _ in range(fresh))]

    def register(self, block: int, block_hash: int) -> bool:
        """Makes a computed block findable. When the same contents are cached already, the older block stays the one,
        and the answer is False."""
        if block_hash in self._by_hash or self._hash_of[block] is not None:
            return False
        self._by_hash[block_hash] = block
        self._hash_of[block] = block_hash
        return True

    def reset(self) -> bool:
        """Forgets all cached contents; False, and nothing happens, while a block is in use."""
        if self.free_blocks < self.num_blocks:
            return False
        self._by_hash.clear()
        for block in self._evictable:
            self._hash_of[block] = None
            self._blank.append(block)
        self._evictable.clear()
        return True

    def release(self, blocks: Sequence[int]) -> None:
        """Gives back a request's blocks, last block first, so that the tail of a prompt is evicted before its head."""
        for block in reversed(blocks):
            self._refs[block] -= 1
            if self._refs[block] == 0:
                if self._hash_of[block] is None:
                    self._blank.append(block)
                else:
                    self._evictable[block] = None

    def _take_empty(self) -> int:
        if len(self._refs) < self.num_blocks:
            self._refs.append(1)
            self._hash_of.append(None)
            return len(self._refs) - 1
        if self._blank:
            block = self._blank.pop()
        else:
            block, _ = self._evictable.popitem(last=False)
            evicted = self._hash_of[block]
            if evicted is not None:
                del self._by_hash[evicted]
                if self._on_evicted is not None:
                    self._on_evicted(evicted)
            self._hash_of[block] = None
        self._refs[block] = 1
        return block
