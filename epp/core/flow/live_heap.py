"""A priority queue whose members may change rank or leave at any time.

Members that left stay in the heap until they surface or outnumber the living, so that every operation is O(log n)
amortised and the memory is at most proportional to the living members (the usual lazy deletion of `heapq`).
"""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

Rank = tuple[float, int]
"""(what counts, serial): smallest first; the serial makes ranks of different members different"""

_SPARE = 32


class LiveHeap(Generic[T]):
    """Members by rank, smallest first."""

    def __init__(self) -> None:
        self._ranks: dict[T, Rank] = {}
        self._heap: list[tuple[Rank, T]] = []

    def __len__(self) -> int:
        return len(self._ranks)

    def __iter__(self) -> Iterator[T]:
        """All members, in no order."""
        return iter(self._ranks)

    def __contains__(self, member: T) -> bool:
        return member in self._ranks

    def put(self, member: T, rank: Rank) -> None:
        """Adds a member or changes its rank."""
        if self._ranks.get(member) == rank:
            return
        self._ranks[member] = rank
        heappush(self._heap, (rank, member))
        if len(self._heap) > 2 * len(self._ranks) + _SPARE:
            self._compact()

    def discard(self, member: T) -> None:
        """Takes a member out; without effect when it is none."""
        if self._ranks.pop(member, None) is not None and len(self._heap) > 2 * len(self._ranks) + _SPARE:
            self._compact()

    def first(self) -> tuple[T, Rank] | None:
        """The member of the smallest rank and its rank; None when there is nobody."""
        heap, ranks = self._heap, self._ranks
        while heap:
            rank, member = heap[0]
            if ranks.get(member) == rank:
                return member, rank
            heappop(heap)
        return None

    def _compact(self) -> None:
        self._heap = [(rank, member) for member, rank in self._ranks.items()]
        heapify(self._heap)
