"""What was asked: an entry for each request, and counts by verb and resource."""

from collections import Counter, deque
from collections.abc import Iterator

import msgspec

MOST_ENTRIES = 20_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `status` is 0 while it runs and when its connection was cut."""

    verb: str
    method: str
    path: str
    query: str
    resource: str
    """`pods`, `pods/status`, `leases.coordination.k8s.io`; "" for other paths"""
    namespace: str
    name: str
    user: str
    user_agent: str
    status: int


class AuditLog:
    """The last requests, oldest first; a watch is entered when it begins."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)

    def add(self, entry: Entry) -> None:
        """Enters a request."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forgets all entries: what follows is counted from 0."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def count(self, verb: str, resource: str = "", *, user: str = "") -> int:
        """How many requests there were with this verb, of this resource and user where given."""
        return sum(
            entry.verb == verb and resource in ("", entry.resource) and user in ("", entry.user)
            for entry in self._entries
        )

    def counts(self) -> Counter[tuple[str, str]]:
        """Requests by (verb, resource)."""
        return Counter((entry.verb, entry.resource) for entry in self._entries)
