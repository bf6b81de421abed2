"""The approximate prefix index: which endpoint probably still caches which beginning of a prompt.

Prompts are chains of block hashes (`block_hashes`). They lie in a radix tree whose nodes are runs of blocks; a node
knows how many of its first blocks each slot holds, and when the slot was last sent a prompt through it. What a slot
forgets first is what an engine evicts first: the least recently used blocks, and of equally recent ones the tails. So
whatever a slot holds of a prompt is a beginning of it, and the index agrees with a plain LRU of blocks, at the cost of
a few nodes a prompt instead of a step per block.

Memory: 8 bytes per distinct block, some 500 bytes per node, and 300 for each slot more that holds it; at most
`capacity` blocks per slot.
"""

import heapq
from array import array
from collections.abc import Iterator
from typing import Final, TypeAlias

import numpy as np

from epp.core.state.block_hashes import BlockHash, Chain

Blocks: TypeAlias = "array[int]"
NOBODY: Final = -1


class _Node:
    """A run of blocks below `parent`, and who holds how many of them since when.

    Most nodes are held by one slot, which is written here; a table for it would be as large as all the rest.
    """

    __slots__ = ("blocks", "children", "depth", "first", "first_blocks", "first_stamp", "others", "parent")

    def __init__(self, parent: "_Node | None", depth: int, blocks: Blocks) -> None:
        self.parent = parent
        self.depth = depth
        """blocks before this node"""
        self.blocks = blocks
        self.children: dict[BlockHash, _Node] | None = None
        self.first = NOBODY
        """a slot that holds some of it; NOBODY when there is none at all"""
        self.first_blocks = 0
        self.first_stamp = 0
        self.others: dict[int, tuple[int, int]] | None = None
        """blocks and stamp by slot, of all but `first`"""

    def blocks_of(self, slot: int) -> int:
        """How many of its blocks the slot holds."""
        if self.first == slot:
            return self.first_blocks
        found = self.others.get(slot) if self.others is not None else None
        return found[0] if found is not None else 0

    def stamp_of(self, slot: int) -> int:
        """When the slot was last sent a prompt through it; raises KeyError when it holds nothing."""
        if self.first == slot:
            return self.first_stamp
        if self.others is None:
            raise KeyError(slot)
        return self.others[slot][1]

    def hold(self, slot: int, blocks: int, stamp: int) -> None:
        """The slot holds the first `blocks`, one at least."""
        if self.first in (slot, NOBODY):
            self.first, self.first_blocks, self.first_stamp = slot, blocks, stamp
        else:
            if self.others is None:
                self.others = {}
            self.others[slot] = (blocks, stamp)

    def drop(self, slot: int) -> None:
        """The slot, which held some, holds nothing; raises KeyError when it did not."""
        others = self.others
        if self.first != slot:
            if others is None:
                raise KeyError(slot)
            del others[slot]
        elif others is None:
            self.first, self.first_blocks = NOBODY, 0
        else:
            self.first, (self.first_blocks, self.first_stamp) = others.popitem()
        if not others:
            self.others = None

    def most_held(self) -> int:
        """How many of its blocks anybody holds."""
        most = self.first_blocks
        if self.others is not None:
            for blocks, _ in self.others.values():
                most = max(most, blocks)
        return most

    def child(self, block: BlockHash) -> "_Node | None":
        """The node below that begins with this block."""
        return self.children.get(block) if self.children is not None else None

    def adopt(self, node: "_Node") -> None:
        """The node is below this one."""
        if self.children is None:
            self.children = {}
        self.children[node.blocks[0]] = node
        node.parent = self

    def disown(self, block: BlockHash) -> None:
        """The node below that began with this block is no more."""
        if self.children is not None:
            del self.children[block]
            if not self.children:
                self.children = None


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
        self._root = _Node(None, 0, array("Q"))
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
            child = node.child(int(chain[at]))
            if child is None:
                break
            blocks = child.blocks
            common = len(blocks)
            upto = at + common
            if upto > end or blocks[common - 1] != int(chain[upto - 1]):
                common = _common(blocks, chain, at)
                upto = at + common
            held = child.first_blocks
            if held:
                matched[child.first] = upto if held >= common else at + held
            if child.others is not None:
                for slot, (held, _) in child.others.items():
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
            before = node.blocks_of(slot)
            blocks = len(node.blocks)
            node.hold(slot, blocks, clock)
            state.blocks += blocks - before
            if not before:
                self._push(state, clock, node)
        while state.blocks > capacity:
            self._evict(slot, state, state.blocks - capacity)

    def forget(self, slot: int) -> None:
        """The slot holds nothing any more."""
        state = self._slots.pop(slot, None)
        if state is None:
            return
        for node in sorted([entry[3] for entry in state.heap], key=lambda node: node.depth, reverse=True):
            node.drop(slot)
            _shrink(node)

    def _path(self, chain: Chain) -> list[_Node]:
        """The nodes that make up exactly `chain`, from the root on; made and split as needed."""
        path = []
        node, at, end = self._root, 0, len(chain)
        while at < end:
            child = node.child(int(chain[at]))
            if child is None:
                child = _Node(node, at, _packed(chain[at:]))
                node.adopt(child)
                common = end - at
            else:
                common = len(child.blocks)
                if at + common > end or child.blocks[common - 1] != int(chain[at + common - 1]):
                    common = _common(child.blocks, chain, at)
                    self._split(child, common)
            path.append(child)
            node, at = child, at + common
        return path

    def _split(self, node: _Node, at: int) -> None:
        """Cuts a node in two: it keeps its first `at` blocks, the rest becomes its only child."""
        rest = _Node(node, node.depth + at, node.blocks[at:])
        rest.children = node.children
        if rest.children is not None:
            for child in rest.children.values():
                child.parent = rest
        node.children = None
        node.blocks = node.blocks[:at]
        node.adopt(rest)
        holders = list(node.others.items()) if node.others is not None else []
        if node.first != NOBODY:
            holders.append((node.first, (node.first_blocks, node.first_stamp)))
        for slot, (blocks, stamp) in holders:
            if blocks > at:
                node.hold(slot, at, stamp)
                rest.hold(slot, blocks - at, stamp)
                self._push(self._slots[slot], stamp, rest)

    def _push(self, state: _Slot, stamp: int, node: _Node) -> None:
        self._entries += 1  # tells equal entries apart, so that nodes are never compared
        heapq.heappush(state.heap, (stamp, -node.depth, self._entries, node))

    def _evict(self, slot: int, state: _Slot, excess: int) -> None:
        """Takes up to `excess` blocks off the end of the slot's least recently used node, as soon as that is known."""
        stamp_here, depth, number, node = state.heap[0]
        stamp = node.stamp_of(slot)
        if stamp != stamp_here:
            heapq.heapreplace(state.heap, (stamp, depth, number, node))
            return
        blocks = node.blocks_of(slot)
        if blocks > excess:
            node.hold(slot, blocks - excess, stamp)
            state.blocks -= excess
        else:
            heapq.heappop(state.heap)
            node.drop(slot)
            state.blocks -= blocks
        _shrink(node)

    def _walk(self) -> Iterator[_Node]:
        todo = [self._root]
        while todo:
            children = todo.pop().children
            if children is not None:
                yield from children.values()
                todo.extend(children.values())


def _common(blocks: Blocks, chain: Chain, at: int) -> int:
    """How many blocks of a node agree with the chain from `at` on; the first one does, not all do.

    Hashes are chained: where one agrees, all before it do, so bisection finds the place.
    """
    last = len(blocks) - 1
    if at + last >= len(chain):
        last = len(chain) - at - 1
    if blocks[last] == int(chain[at + last]):
        return last + 1
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if blocks[middle] == int(chain[at + middle]):
            low = middle
        else:
            high = middle
    return high


def _packed(blocks: Chain) -> Blocks:
    """A copy, 8 bytes a block."""
    return array("Q", blocks.tobytes() if isinstance(blocks, np.ndarray) else blocks)


def _shrink(node: _Node) -> None:
    """Drops blocks that no slot holds; what lies below them is held by nobody either."""
    most = node.most_held()
    if most == len(node.blocks):
        return
    if most:
        node.blocks = node.blocks[:most]
    elif node.parent is not None:
        node.parent.disown(node.blocks[0])
