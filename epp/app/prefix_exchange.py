"""What the approximate prefix indexes of several pickers tell each other: prompts and where they went, in batches."""

from collections import deque
from collections.abc import Callable, Sequence

from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheProducer
from epp.core.scheduling.scheduler import Policy
from epp.core.state.block_hashes import Chain, packed, unpacked
from epp.core.state.ledger import InFlightCounts
from epp.edge.peers.messages import PrefixNote

EVERY_S = 0.02
MOST_NOTES = 4_000
MOST_CHAIN_BYTES = 8 << 20
"""waiting to be told; beyond either, the oldest are dropped"""


class PrefixExchange:
    """`wake` is called when there is something to tell, and again only after `taken`."""

    def __init__(self, counts: InFlightCounts, wake: Callable[[], None]) -> None:
        self._counts = counts
        self._wake = wake
        self._notes: deque[PrefixNote] = deque()
        self._bytes = 0
        self._indexes: dict[str, ApproxPrefixCacheProducer] = {}
        self.dropped = 0
        """notes that were never told"""

    def follow(self, policy: Policy) -> None:
        """From now on the indexes of this policy are those that tell and are told."""
        for former in self._indexes.values():
            former.inserted = None
        self._indexes = {}
        for named in policy.producers:
            plugin = named.plugin
            index = plugin.approximate if isinstance(plugin, PrecisePrefixCacheProducer) else plugin
            if isinstance(index, ApproxPrefixCacheProducer):
                self._indexes[named.name] = index
                index.inserted = self._teller(named.name)

    def taken(self) -> list[PrefixNote]:
        """What is to be told, which is forgotten here."""
        notes = list(self._notes)
        self._notes.clear()
        self._bytes = 0
        return notes

    def heard(self, notes: Sequence[PrefixNote]) -> None:
        """Another picker tells; what is about a former owner of a slot, or another policy, is dropped."""
        counts = self._counts
        for note in notes:
            index = self._indexes.get(note.producer)
            known = note.slot < len(counts.requests) and counts.generation(note.slot) == note.generation
            if index is not None and known:
                index.insert(note.slot, unpacked(note.chain, note.blocks), note.capacity)

    def _teller(self, producer: str) -> Callable[[int, Chain, int], None]:
        def tell(slot: int, chain: Chain, capacity: int) -> None:
            if not len(chain):
                return
            kept = chain[:capacity]
            content = packed(kept)
            if not self._notes:
                self._wake()
            self._notes.append(PrefixNote(producer, slot, self._counts.generation(slot), capacity, content, len(kept)))
            self._bytes += len(content)
            while len(self._notes) > MOST_NOTES or (self._bytes > MOST_CHAIN_BYTES and len(self._notes) > 1):
                self._bytes -= len(self._notes.popleft().chain)
                self.dropped += 1

        return tell
