"""Watches: the changes of one resource, as each client selected them, in order.

An object that stops matching a selector is told as DELETED, one that starts as ADDED. A watch that nobody reads for a
long time is ended, as a real server does, instead of being kept in memory.
"""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from epp.lab.kube_api.json_object import Json, with_metadata
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.selectors import Condition
from epp.lab.kube_api.status import expired
from epp.lab.kube_api.storage import Change, Store, Stored, TooOld

MOST_WAITING = 20_000
"""lines that wait for a client before its watch is ended"""
Render = Callable[[Stored], bytes]
"""an object as the JSON that this client asked for"""


class Watch:
    """One client's watch. `lines` yields JSON lines, None at its end."""

    def __init__(self, resource: Resource, namespace: str, condition: Condition | None, render: Render) -> None:
        self.resource = resource
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.revision = 0
        """the version up to which this client knows everything"""
        self.bookmarks = False
        self.silent = False
        self.cut = False
        """whether the connection shall be cut at the end, in the middle of a line"""
        self._namespace = namespace
        self._condition = condition
        self._render = render

    def offer(self, change: Change) -> None:
        """Tells the client of a change, if it is one of its objects."""
        self.revision = change.revision
        if self._namespace not in ("", change.key[0]):
            return
        matched = change.before is not None and self._fits(change.before)
        matches = change.kind != "deleted" and self._fits(change.now)
        if matches:
            self._put("MODIFIED" if matched else "ADDED", change.now)
        elif matched and change.before is not None:
            gone = change.now if change.kind == "deleted" else _renumbered(change.before, change.revision)
            self._put("DELETED", gone)

    def begin_with(self, objects: Iterable[Stored]) -> None:
        """ADDED for what is there already."""
        for stored in objects:
            if self._fits(stored):
                self._put("ADDED", stored)

    def bookmark(self, *, initial_events_end: bool = False) -> None:
        """Tells the version up to which there is nothing more."""
        metadata: Json = {"resourceVersion": str(self.revision), "creationTimestamp": None}
        if initial_events_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        value = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        self._put("BOOKMARK", Stored(value, self.revision, msgspec.json.encode(value)))

    def fail(self, status: Json) -> None:
        """An ERROR event, and the end."""
        self.lines.put_nowait(msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n")
        self.end()

    def end(self) -> None:
        """Ends the watch as if its time were over."""
        self.lines.put_nowait(None)

    def _fits(self, stored: Stored) -> bool:
        return self._condition is None or self._condition(stored.value)

    def _put(self, kind: str, stored: Stored) -> None:
        if self.silent:
            return
        if self.lines.qsize() >= MOST_WAITING:
            self.end()
            return
        self.lines.put_nowait(b'{"type":"%b","object":%b}\n' % (kind.encode(), self._render(stored)))


def _renumbered(before: Stored, revision: int) -> Stored:
    """The last state that matched, with the version at which it ceased to."""
    value = with_metadata(before.value, resourceVersion=str(revision))
    return Stored(value, revision, msgspec.json.encode(value))


class WatchHub:
    """All watches that are open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[str, set[Watch]] = {}
        store.listen(self._changed)

    def open(self, watch: Watch, revision: int | None, *, namespace: str, initial_events: bool | None) -> None:
        """Adds a watch that begins after `revision`. None and 0 begin with the state of now.

        A version that is too old gives an ERROR event with status 410, as it does on a real server.
        """
        shelf = self._store.shelf(watch.resource.storage_key)
        self._open.setdefault(watch.resource.storage_key, set()).add(watch)
        from_state = initial_events if initial_events is not None else not revision
        if from_state:
            watch.revision = self._store.revision
            watch.begin_with(shelf.objects[key] for key in sorted(shelf.objects) if namespace in ("", key[0]))
            if initial_events and watch.bookmarks:
                watch.bookmark(initial_events_end=True)
            return
        watch.revision = revision or self._store.revision
        try:
            later = shelf.changes_after(watch.revision)
        except TooOld as error:
            watch.fail(expired(str(error)).status())
            return
        for change in later:
            watch.offer(change)

    def close(self, watch: Watch) -> None:
        """Forgets a watch whose client is gone."""
        self._open.get(watch.resource.storage_key, set()).discard(watch)

    def watches(self, plural: str = "") -> list[Watch]:
        """Open watches, of one resource where it is named."""
        return [watch for watches in self._open.values() for watch in watches if plural in ("", watch.resource.plural)]

    def bookmark_all(self) -> None:
        """A bookmark to all who asked for them."""
        for watch in self.watches():
            if watch.bookmarks:
                watch.revision = self._store.revision
                watch.bookmark()

    def end_all(self, storage_key: str | None = None) -> None:
        """Ends all watches, or those of one resource."""
        for watch in self.watches():
            if storage_key in (None, watch.resource.storage_key):
                watch.end()

    def silence(self, plural: str = "") -> int:
        """Open watches say nothing more, with their connections open; returns how many."""
        watches = self.watches(plural)
        for watch in watches:
            watch.silent = True
        return len(watches)

    def expire(self, plural: str = "") -> int:
        """Open watches get an ERROR event with status 410 and end; returns how many."""
        watches = self.watches(plural)
        for watch in watches:
            watch.fail(expired(f"too old resource version: {watch.revision} ({self._store.revision})").status())
        return len(watches)

    def cut(self, plural: str = "") -> int:
        """The connections of open watches are cut in the middle of a line; returns how many."""
        watches = self.watches(plural)
        for watch in watches:
            watch.cut = True
            watch.end()
        return len(watches)

    def _changed(self, storage_key: str, change: Change) -> None:
        for watch in list(self._open.get(storage_key, ())):
            watch.offer(change)
