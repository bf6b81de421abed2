"""The file in which a server's objects survive its process: the state at its start, then a line for every write.

A write is in the file before it is answered, so that a killed server loses nothing that it has said it had. A last line
that is cut off was never answered and is left out.
"""

from pathlib import Path
from typing import BinaryIO

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.machinery import SavedState
from epp.lab.kube_api.storage import Change, Key, Store


class _Line(msgspec.Struct, frozen=True, array_like=True):
    storage_key: str
    key: Key
    revision: int
    value: Json | None


class _Written(msgspec.Struct, frozen=True, array_like=True):
    storage_key: str
    key: Key
    revision: int
    value: msgspec.Raw


class Journal:
    """One file. `read` first, then `begin`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def read(self) -> SavedState | None:
        """What an earlier process left, None when there was none; raises msgspec.DecodeError, OSError."""
        if not self._path.exists():
            return None
        first, *lines = self._path.read_bytes().split(b"\n")
        state = msgspec.json.decode(first, type=SavedState)
        store = Store()
        store.restore(state.store)
        for raw in lines[:-1]:  # behind the last line break there is nothing, or half a line
            line = msgspec.json.decode(raw, type=_Line)
            store.replay(line.storage_key, line.key, line.revision, line.value)
        return msgspec.structs.replace(state, store=store.snapshot())

    def begin(self, state: SavedState, store: Store) -> None:
        """Replaces the file by this state and follows the store from now on."""
        self.close()
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.touch(mode=0o600)
        partial.write_bytes(msgspec.json.encode(state) + b"\n")
        partial.replace(self._path)
        self._file = self._path.open("ab", buffering=0)
        store.listen(self._changed)

    def close(self) -> None:
        """Ends it; the file stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _changed(self, storage_key: str, change: Change) -> None:
        if self._file is not None:
            value = msgspec.Raw(b"null" if change.kind == "deleted" else change.now.raw)
            line = _Written(storage_key, change.key, change.revision, value)
            self._file.write(msgspec.json.encode(line) + b"\n")
