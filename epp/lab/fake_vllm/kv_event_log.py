"""What an engine did to its prefix cache since somebody last looked, in vLLM's terms.

Blocks that become findable one after the other in a sequence are one event, as vLLM reports them per step.
"""

from typing import Any

import msgspec

from epp.lab.fake_vllm.sequence import Sequence
from epp.lab.fake_vllm.tokens import TOKEN_BYTES

GPU = "GPU"


class Stored(msgspec.Struct, frozen=True):
    """Blocks `first` to `last` of a sequence became findable."""

    sequence: Sequence
    first: int
    last: int


class Removed(msgspec.Struct, frozen=True):
    """A block was evicted."""

    block_hash: int


class Cleared(msgspec.Struct, frozen=True):
    """The whole prefix cache was reset."""


class KvEventLog:
    """Collects; `take` hands over and forgets."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._events: list[Stored | Removed | Cleared] = []

    def stored(self, sequence: Sequence, index: int) -> None:
        """Block number `index` of the sequence is findable now."""
        last = self._events[-1] if self._events else None
        if isinstance(last, Stored) and last.sequence is sequence and last.last == index - 1:
            self._events[-1] = Stored(sequence, last.first, index)
        else:
            self._events.append(Stored(sequence, index, index))

    def removed(self, block_hash: int) -> None:
        """The block is findable no more."""
        self._events.append(Removed(block_hash))

    def cleared(self) -> None:
        """No block is findable any more."""
        self._events.append(Cleared())

    def take(self) -> list[dict[str, Any]]:
        """The events since the last call, each with vLLM's fields in vLLM's order and its type under `type`."""
        events, self._events = self._events, []
        return [self._fields(event) for event in events]

    def _fields(self, event: Stored | Removed | Cleared) -> dict[str, Any]:
        match event:
            case Stored():
                return self._stored(event)
            case Removed():
                return {"type": "BlockRemoved", "block_hashes": [event.block_hash], "medium": GPU}
            case Cleared():
                return {"type": "AllBlocksCleared"}

    def _stored(self, event: Stored) -> dict[str, Any]:
        sequence, size = event.sequence, self._block_size
        adapter = sequence.request.adapter
        tokens = sequence.tokens[event.first * size * TOKEN_BYTES : (event.last + 1) * size * TOKEN_BYTES]
        return {
            "type": "BlockStored",
            "block_hashes": sequence.hashes[event.first : event.last + 1],
            "parent_block_hash": sequence.hashes[event.first - 1] if event.first else None,
            "token_ids": memoryview(bytes(tokens)).cast("I").tolist(),
            "block_size": size,
            "lora_id": adapter.id if adapter else None,
            "medium": GPU,
            "lora_name": adapter.name if adapter else None,
            "extra_keys": [_extra_keys(sequence, index) for index in range(event.first, event.last + 1)],
        }


def _extra_keys(sequence: Sequence, index: int) -> list[str] | None:
    """What is hashed beside the tokens: the adapter, and in the first block the salt."""
    request = sequence.request
    keys = [request.adapter.name] if request.adapter else []
    if index == 0 and request.cache_salt:
        keys.append(request.cache_salt)
    return keys or None
