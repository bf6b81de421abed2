"""Watches one file, or the YAML and JSON files below a directory, by looking at them again and again.

Looking beats notifications here: it works on every file system and on the symlinks of a ConfigMap mount. A change
counts when two looks in a row agree on it, so that a file that is being written, or that is replaced by deleting and
writing it, is not taken for what it is in between. The first look takes everything as it is.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from epp.core.domain.errors import InvalidInput

SUFFIXES = (".yaml", ".yml", ".json")


class FileSignature(msgspec.Struct, frozen=True):
    """What tells one state of a file from another without reading it."""

    target: str
    """where the path leads when its symlinks are followed"""
    device: int
    inode: int
    mtime_ns: int
    size_bytes: int


class FileChanges(msgspec.Struct, frozen=True):
    """What one look found."""

    changed: dict[str, bytes]
    """content of new and changed files by path"""
    gone: tuple[str, ...]
    problems: tuple[InvalidInput, ...]
    """everything that cannot be read now, as long as it cannot; what was known of it stays"""
    root_exists: bool


class FileWatch:
    """Paths are spelled as `root` is and come in sorted order; hidden names are skipped within a directory."""

    def __init__(self, root: Path, *, most_bytes: int) -> None:
        """`most_bytes`: a longer file is a problem."""
        self._root = root
        self._most_bytes = most_bytes
        self._known: dict[str, FileSignature] = {}
        self._unsettled: dict[str, FileSignature | None] | None = None
        self._problems: list[InvalidInput] = []
        self._root_exists = False

    def look(self) -> FileChanges:
        """Lists the files, reads the changed ones; blocks for as long as that takes."""
        self._problems = []
        found = self._list()
        unsettled: dict[str, FileSignature | None] = {}
        changed: dict[str, bytes] = {}
        gone = []
        for path in sorted(found.keys() | self._known.keys()):
            signature = found.get(path)
            if signature == self._known.get(path):
                continue
            if not self._is_settled(path, signature):
                unsettled[path] = signature
            elif signature is None:
                del self._known[path]
                gone.append(path)
            else:
                content = self._read(path, signature)
                if content is None:
                    unsettled[path] = signature
                else:
                    changed[path] = content
                    self._known[path] = signature
        self._unsettled = unsettled
        return FileChanges(changed, tuple(gone), tuple(self._problems), self._root_exists)

    def _is_settled(self, path: str, signature: FileSignature | None) -> bool:
        before = self._unsettled
        return before is None or (path in before and before[path] == signature)

    def _read(self, path: str, signature: FileSignature) -> bytes | None:
        """The content, None when it cannot be had now."""
        if signature.size_bytes > self._most_bytes:
            self._problem(path, f"{signature.size_bytes} bytes long, at most {self._most_bytes} are read")
            return None
        try:
            with Path(path).open("rb") as file:
                content = file.read(self._most_bytes + 1)
                is_whole = _signature(signature.target, os.fstat(file.fileno())) == signature
        except OSError as error:
            self._problem(path, f"cannot be read: {error.strerror}")
            return None
        return content if is_whole else None

    def _list(self) -> dict[str, FileSignature]:
        """All files that are there now."""
        path = str(self._root)
        try:
            found = self._root.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._root_exists = False
            return {}
        except OSError as error:
            self._problem(path, f"cannot be read: {error.strerror}")
            return dict(self._known)
        self._root_exists = True
        target = os.path.realpath(path)
        if stat.S_ISDIR(found.st_mode):
            return dict(self._walk(path, target, frozenset()))
        if not stat.S_ISREG(found.st_mode):
            self._problem(path, "is neither a file nor a directory")
            return {}
        return {path: _signature(target, found)}

    def _walk(self, directory: str, target: str, ancestors: frozenset[str]) -> Iterator[tuple[str, FileSignature]]:
        """Files below `directory`, which really is `target`; symlinks are followed, loops are not."""
        try:
            with os.scandir(directory) as entries:
                visible = [entry for entry in entries if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        except OSError as error:
            yield from self._unreadable(directory, error)
            return
        for entry in visible:
            try:
                yield from self._entry(entry, target, ancestors)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield from self._unreadable(entry.path, error)

    def _entry(
        self, entry: os.DirEntry[str], target: str, ancestors: frozenset[str]
    ) -> Iterator[tuple[str, FileSignature]]:
        inner = os.path.realpath(entry.path) if entry.is_symlink() else f"{target}/{entry.name}"
        if entry.is_dir():
            if inner != target and inner not in ancestors:
                yield from self._walk(entry.path, inner, ancestors | {target})
        elif entry.name.endswith(SUFFIXES) and entry.is_file():
            yield entry.path, _signature(inner, entry.stat())

    def _unreadable(self, path: str, error: OSError) -> Iterator[tuple[str, FileSignature]]:
        """What was known of `path` and of what is below it stays known."""
        self._problem(path, f"cannot be read: {error.strerror}")
        for known, signature in self._known.items():
            if known == path or known.startswith(f"{path}/"):
                yield known, signature

    def _problem(self, path: str, problem: str) -> None:
        self._problems.append(InvalidInput(path, problem))


def _signature(target: str, found: os.stat_result) -> FileSignature:
    return FileSignature(target, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
