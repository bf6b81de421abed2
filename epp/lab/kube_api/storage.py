"""What is stored, the one rising counter, and the changes that are still remembered.

Every resource has a shelf: its objects by (namespace, name), and its last changes. From them the state at an earlier
version is told (pages of a list, exact reads), and watches are brought up to date. `compact` forgets them.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from epp.lab.kube_api.json_object import Json, metadata_of, with_metadata

Key = tuple[str, str]
"""namespace ("" for cluster-wide resources) and name"""
WINDOW_CHANGES = 20_000
"""changes remembered of each resource; a real server keeps five minutes of them"""
FIRST_REVISION = 1


class Stored(msgspec.Struct, frozen=True):
    """An object as it was written at `revision`, with its JSON."""

    value: Json
    revision: int
    raw: bytes


class Change(msgspec.Struct, frozen=True):
    """One write. `now` of a deletion is the last state, with the version of the deletion."""

    kind: Literal["created", "updated", "deleted"]
    revision: int
    key: Key
    now: Stored
    before: Stored | None


class TooOld(Exception):
    """A version from before the changes that are remembered."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")
        self.wanted = wanted
        self.oldest = oldest


class Shelf:
    """The objects of one resource."""

    def __init__(self, oldest: int, window_changes: int) -> None:
        self.objects: dict[Key, Stored] = {}
        self.oldest = oldest
        """the earliest version from which the changes are complete"""
        self._changes: deque[Change] = deque()
        self._window_changes = window_changes

    def remember(self, change: Change) -> None:
        """Adds a change; forgets the earliest one when there are too many."""
        self._changes.append(change)
        if len(self._changes) > self._window_changes:
            self.oldest = self._changes.popleft().revision

    def changes_after(self, revision: int) -> list[Change]:
        """Later changes, earliest first; raises TooOld."""
        if revision < self.oldest:
            raise TooOld(revision, self.oldest)
        later = []
        for change in reversed(self._changes):
            if change.revision <= revision:
                break
            later.append(change)
        return later[::-1]

    def at(self, revision: int) -> dict[Key, Stored]:
        """The objects as they were at a version; raises TooOld."""
        found = dict(self.objects)
        for change in reversed(self.changes_after(revision)):
            if change.before is None:
                found.pop(change.key, None)
            else:
                found[change.key] = change.before
        return found

    def compact(self, revision: int) -> None:
        """Forgets all changes."""
        self._changes.clear()
        self.oldest = revision


class Store:
    """All shelves and the counter."""

    def __init__(self, window_changes: int = WINDOW_CHANGES) -> None:
        self.revision = FIRST_REVISION
        self._window_changes = window_changes
        self._shelves: dict[str, Shelf] = {}
        self._listeners: list[Callable[[str, Change], None]] = []

    def listen(self, listener: Callable[[str, Change], None]) -> None:
        """Calls `listener(storage key, change)` after each write, in the same step."""
        self._listeners.append(listener)

    def shelf(self, storage_key: str) -> Shelf:
        """The shelf of a resource, made when it is first asked for."""
        found = self._shelves.get(storage_key)
        if found is None:
            found = self._shelves[storage_key] = Shelf(self.revision, self._window_changes)
        return found

    def shelves(self) -> Iterator[tuple[str, Shelf]]:
        """All shelves by storage key."""
        yield from list(self._shelves.items())

    def drop_shelf(self, storage_key: str) -> None:
        """Removes an empty resource altogether."""
        self._shelves.pop(storage_key, None)

    def get(self, storage_key: str, key: Key) -> Stored | None:
        """An object, None when it is not there."""
        return self.shelf(storage_key).objects.get(key)

    def put(self, storage_key: str, key: Key, value: Json) -> Stored:
        """Writes an object; its resourceVersion becomes the new version of the store."""
        shelf = self.shelf(storage_key)
        before = shelf.objects.get(key)
        stored = self._numbered(value)
        shelf.objects[key] = stored
        self._tell(storage_key, shelf, Change("updated" if before else "created", stored.revision, key, stored, before))
        return stored

    def remove(self, storage_key: str, key: Key) -> Stored:
        """Removes an object and returns its last state, with the version of the deletion; raises KeyError."""
        shelf = self.shelf(storage_key)
        before = shelf.objects.pop(key)
        stored = self._numbered(before.value)
        self._tell(storage_key, shelf, Change("deleted", stored.revision, key, stored, before))
        return stored

    def compact(self) -> None:
        """Forgets every change: watches and pages from earlier versions are too old from now on."""
        self.revision += 1
        for shelf in self._shelves.values():
            shelf.compact(self.revision)

    def _numbered(self, value: Json) -> Stored:
        self.revision += 1
        numbered = with_metadata(value, resourceVersion=str(self.revision))
        return Stored(numbered, self.revision, msgspec.json.encode(numbered))

    def _tell(self, storage_key: str, shelf: Shelf, change: Change) -> None:
        shelf.remember(change)
        for listener in self._listeners:
            listener(storage_key, change)

    def replay(self, storage_key: str, key: Key, revision: int, value: Json | None) -> None:
        """Repeats a write that was kept elsewhere; None removes the object."""
        self.revision = revision - 1
        if value is None:
            self.remove(storage_key, key)
        else:
            self.put(storage_key, key, value)

    def snapshot(self) -> bytes:
        """All objects and the counter as JSON, for `restore`; the remembered changes are not part of it."""
        shelves = {
            storage_key: [stored.value for stored in shelf.objects.values()]
            for storage_key, shelf in self._shelves.items()
        }
        return msgspec.json.encode({"revision": self.revision, "objects": shelves})

    def restore(self, raw: bytes) -> None:
        """Takes the state of a snapshot. As after a restart of a real server, earlier versions are too old."""
        saved = msgspec.json.decode(raw, type=_Snapshot)
        self.revision = saved.revision
        for storage_key, values in saved.objects.items():
            shelf = self._shelves[storage_key] = Shelf(saved.revision, self._window_changes)
            for value in values:
                metadata = metadata_of(value)
                key = (metadata.get("namespace", ""), metadata["name"])
                shelf.objects[key] = Stored(value, int(metadata["resourceVersion"]), msgspec.json.encode(value))


class _Snapshot(msgspec.Struct):
    revision: int
    objects: dict[str, list[Json]]
