"""A KvEventSink that keeps, per endpoint, the engine's names of the blocks that it holds, and whether that is all."""

from collections.abc import Sequence

from epp.core.domain.endpoint import Endpoint
from epp.core.kvevents import AllBlocksCleared, BlockRemoved, BlockStored, Event


class RecordedEvents:
    """See the module; `models` are what the topics said."""

    def __init__(self) -> None:
        self.blocks: dict[str, set[int]] = {}
        self.complete: set[str] = set()
        self.models: set[str] = set()
        self.lost = 0

    def events_arrived(self, endpoint: Endpoint, events: Sequence[Event], base_model: str) -> None:
        self.models.add(base_model)
        held = self.blocks.setdefault(endpoint.key, set())
        for event in events:
            match event:
                case BlockStored():
                    held |= set(event.block_hashes)
                case BlockRemoved():
                    held -= set(event.block_hashes)
                case AllBlocksCleared():
                    held.clear()

    def events_lost(self, endpoint: Endpoint) -> None:
        self.lost += 1
        self.blocks.pop(endpoint.key, None)
        self.complete.discard(endpoint.key)

    def events_complete(self, endpoint: Endpoint) -> None:
        self.complete.add(endpoint.key)

    def held_by(self, endpoint: Endpoint) -> set[int]:
        """Names of its blocks."""
        return self.blocks.get(endpoint.key, set())
