"""The approximate prefix index: which endpoint probably still caches which beginning of a prompt.

Prompts are chains of block hashes (`block_hashes`). They lie in a radix tree whose nodes are runs of blocks; a node
knows how many of its first blocks each slot holds, and when the slot was last sent a prompt through it. What a slot
forgets first is what an engine evicts first: the least recently used blocks, and of equally recent ones the tails. So
whatever a slot holds of a prompt is a beginning of it, and the index agrees with a plain LRU of blocks, at the cost of
a few nodes a prompt instead of a step per block.

Memory: 8 bytes per distinct block (40 in prompts of up to 64 blocks), about 1 KB per node and 150 bytes per node and
slot; at most `capacity` blocks per slot.
"""

import heapq
from collections.abc import Iterator

import numpy as np

from epp.core.state.block_hashes import BlockHash, Chain


class _Node:
    """A run of blocks below `parent`; `held` is blocks and stamp by slot."""

    __slots__ = ("blocks", "children", "depth", "held", "parent")

    def __init__(self, parent: "_Node | None", depth: int, blocks: Chain) -> None:
        self.parent = parent
        self.depth = depth
        """blocks before this node"""
        self.blocks = blocks
        self.children: dict[BlockHash, _Node] = {}
        self.held: dict[int, tuple[int, int]] = {}


class _Slot:
    """What one slot holds: a heap of (stamp, -depth, number, node), one for each node.

    Stamps in the heap may be older than those of the nodes, which are brought up to date when they come to the top.
    """

    __slots__ = ("blocks", "clock", "heap")

    def __init__(self) -> None:
        self.blocks = 0
        self.clock = 0
        self.heap: list[tuple[int, int, int, _Node]] = []


class PrefixIndex:
    """Blocks by slot; see the module."""

    def __init__(self) -> None:
        self._root = _Node(None, 0, ())
        self._slots: dict[int, _Slot] = {}
        self._entries = 0

    @property
    def block_count(self) -> int:
        """Number of (slot, block) pairs."""
        return sum(slot.blocks for slot in self._slots.values())

    @property
    def node_count(self) -> int:
        """Number of nodes in the tree."""
        return sum(1 for _ in self._walk())

    def held_by(self, slot: int) -> int:
        """Number of blocks that the slot is believed to hold."""
        found = self._slots.get(slot)
        return found.blocks if found else 0

    def match(self, chain: Chain) -> dict[int, int]:
        """Blocks matched from the beginning of `chain`, for every slot that matches at least one."""
        matched: dict[int, int] = {}
        node, at, end = self._root, 0, len(chain)
        while at < end:
            child = node.children.get(chain[at])
            if child is None:
                break
            blocks = child.blocks
            common = len(blocks)
            upto = at + common
            if upto > end or blocks[common - 1] != chain[upto - 1]:
                common = _common(blocks, chain, at)
                upto = at + common
            for slot, (held, _) in child.held.items():
                matched[slot] = upto if held >= common else at + held
            if common < len(blocks):
                break
            node, at = child, upto
        return matched

    def insert(self, slot: int, chain: Chain, capacity: int) -> None:
        """The slot has just been given this chain; its least recent blocks beyond `capacity` are dropped."""
        state = self._slots.get(slot)
        if state is None:
            state = self._slots[slot] = _Slot()
        clock = state.clock = state.clock + 1
        for node in self._path(chain if len(chain) <= capacity else chain[:capacity]):
            before = node.held.get(slot)
            blocks = len(node.blocks)
            node.held[slot] = (blocks, clock)
            if before is None:
                state.blocks += blocks
                self._push(state, clock, node)
            else:
                state.blocks += blocks - before[0]
        while state.blocks > capacity:
            self._evict(slot, state, state.blocks - capacity)

    def forget(self, slot: int) -> None:
        """The slot holds nothing any more."""
        state = self._slots.pop(slot, None)
        if state is None:
            return
        for node in sorted([entry[3] for entry in state.heap], key=lambda node: node.depth, reverse=True):
            del node.held[slot]
            _shrink(node)

    def _path(self, chain: Chain) -> list[_Node]:
        """The nodes that make up exactly `chain`, from the root on; made and split as needed."""
        path = []
        node, at, end = self._root, 0, len(chain)
        while at < end:
            child = node.children.get(chain[at])
            if child is None:
                child = node.children[int(chain[at])] = _Node(node, at, _owned(chain[at:]))
                common = end - at
            else:
                common = len(child.blocks)
                if at + common > end or child.blocks[common - 1] != chain[at + common - 1]:
                    common = _common(child.blocks, chain, at)
                    self._split(child, common)
            path.append(child)
            node, at = child, at + common
        return path

    def _split(self, node: _Node, at: int) -> None:
        """Cuts a node in two: it keeps its first `at` blocks, the rest becomes its only child."""
        rest = _Node(node, node.depth + at, _owned(node.blocks[at:]))
        rest.children = node.children
        for child in rest.children.values():
            child.parent = rest
        node.children = {int(rest.blocks[0]): rest}
        node.blocks = _owned(node.blocks[:at])
        for slot, (blocks, stamp) in node.held.items():
            if blocks > at:
                node.held[slot] = (at, stamp)
                rest.held[slot] = (blocks - at, stamp)
                self._push(self._slots[slot], stamp, rest)

    def _push(self, state: _Slot, stamp: int, node: _Node) -> None:
        self._entries += 1  # tells equal entries apart, so that nodes are never compared
        heapq.heappush(state.heap, (stamp, -node.depth, self._entries, node))

    def _evict(self, slot: int, state: _Slot, excess: int) -> None:
        """Takes up to `excess` blocks off the end of the slot's least recently used node, as soon as that is known."""
        stamp_here, depth, number, node = state.heap[0]
        blocks, stamp = node.held[slot]
        if stamp != stamp_here:
            heapq.heapreplace(state.heap, (stamp, depth, number, node))
            return
        if blocks > excess:
            node.held[slot] = (blocks - excess, stamp)
            state.blocks -= excess
        else:
            heapq.heappop(state.heap)
            del node.held[slot]
            state.blocks -= blocks
        _shrink(node)

    def _walk(self) -> Iterator[_Node]:
        todo = list(self._root.children.values())
        while todo:
            node = todo.pop()
            yield node
            todo.extend(node.children.values())


def _common(blocks: Chain, chain: Chain, at: int) -> int:
    """How many blocks of a node agree with the chain from `at` on; the first one does, not all do.

    Hashes are chained: where one agrees, all before it do, so bisection finds the place.
    """
    last = len(blocks) - 1
    if at + last >= len(chain):
        last = len(chain) - at - 1
    if blocks[last] == chain[at + last]:
        return last + 1
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if blocks[middle] == chain[at + middle]:
            low = middle
        else:
            high = middle
    return high


def _owned(blocks: Chain) -> Chain:
    """A copy, so that a node never keeps a longer array alive than it shows."""
    return blocks.copy() if isinstance(blocks, np.ndarray) else list(blocks)


def _shrink(node: _Node) -> None:
    """Drops blocks that no slot holds; what lies below them is held by nobody either."""
    most = max((blocks for blocks, _ in node.held.values()), default=0)
    if most == len(node.blocks):
        return
    if most:
        node.blocks = _owned(node.blocks[:most])
        return
    if node.parent is not None:
        del node.parent.children[int(node.blocks[0])]
