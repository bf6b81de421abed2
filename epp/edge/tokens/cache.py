"""Answers that were had before, the least recently used ones dropped; bounded in bytes."""

from collections import OrderedDict

from epp.edge.tokens.questions import Told

ENTRY_BYTES = 300
"""what an entry takes beside its token ids; a multimodal item counts as much"""


class TokenCache:
    """Token ids by digest of the question."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: OrderedDict[bytes, Told] = OrderedDict()
        self.held_bytes = 0

    def get(self, key: bytes) -> Told | None:
        """The answer, which is now the most recently used one."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, told: Told) -> None:
        """Keeps an answer, if it fits at all."""
        size = _size(told)
        if size > self._most_bytes or key in self._entries:
            return
        self._entries[key] = told
        self.held_bytes += size
        while self.held_bytes > self._most_bytes:
            _, dropped = self._entries.popitem(last=False)
            self.held_bytes -= _size(dropped)


def _size(told: Told) -> int:
    return len(told.token_ids) + ENTRY_BYTES * (1 + len(told.multimodal))
