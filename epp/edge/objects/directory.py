"""Objects from a directory or a file (`--objects PATH`), hot-reloaded.

A file with a mistake is reported and counts as it was when it was last good; the other files go on. A file that is
removed takes its objects with it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import ObjectSink, ObjectState
from epp.core.yaml import YamlLimits, load_documents
from epp.edge.objects.decode import ClusterObject, decode
from epp.edge.objects.file_watch import FileWatch
from epp.edge.objects.findings import Findings, Notice
from epp.edge.objects.object_store import ObjectStore, WantedPool

POLL_PERIOD_S = 0.25
LIMITS = YamlLimits(text_bytes=32 * 1024 * 1024)
"""room for some thousand pods as `kubectl get pods -o yaml` writes them"""
DEFAULT_NAMESPACE = "default"


class _FileObjects(msgspec.Struct, frozen=True):
    """What one file says; `objects` do not count when there are problems."""

    objects: tuple[ClusterObject, ...]
    problems: tuple[InvalidInput, ...]
    notices: tuple[Notice, ...]


class _Look(msgspec.Struct, frozen=True):
    read: dict[str, _FileObjects]
    gone: tuple[str, ...]
    unreadable: tuple[InvalidInput, ...]
    exists: bool


class ObjectDirectory:
    """Tells `sink` the state of the wanted pool whenever it changes."""

    def __init__(
        self,
        path: Path,
        sink: ObjectSink,
        *,
        wanted: WantedPool,
        on_problem: Callable[[InvalidInput], None],
        on_notice: Callable[[Notice], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._sink = sink
        self._namespace = wanted.namespace or DEFAULT_NAMESPACE
        self._sleep = sleep
        self._watch = FileWatch(path, most_bytes=LIMITS.text_bytes)
        self._store = ObjectStore(str(path), wanted)
        self._findings = Findings(on_problem, on_notice)
        self._state = ObjectState(None, ())
        self._existed: bool | None = None

    @property
    def problems(self) -> tuple[InvalidInput, ...]:
        """Everything that is wrong with the objects now."""
        return self._findings.problems

    def poll_once(self) -> None:
        """Looks at the files and applies what changed; blocks while it reads."""
        self._apply(self._look())

    async def run(self) -> None:
        """Polls until it is cancelled. Files are read and decoded in a thread: a large one takes seconds."""
        while True:
            self._apply(await asyncio.to_thread(self._look))
            await self._sleep(POLL_PERIOD_S)

    def _look(self) -> _Look:
        changes = self._watch.look()
        read = {path: _decoded(path, content, self._namespace) for path, content in changes.changed.items()}
        return _Look(read, changes.gone, changes.problems, changes.root_exists)

    def _apply(self, look: _Look) -> None:
        missing = () if look.exists else (Notice(str(self._path), "does not exist; the picker waits for it"),)
        self._findings.replace("", look.unreadable, missing)
        for path in look.gone:
            self._store.drop(path)
            self._findings.forget(f"file {path}")
        for path, found in look.read.items():
            if not found.problems:
                self._store.put(path, found.objects)
            self._findings.replace(f"file {path}", found.problems, found.notices)
        if look.read or look.gone or look.exists != self._existed:
            self._existed = look.exists
            self._publish()

    def _publish(self) -> None:
        assembly = self._store.assemble()
        self._findings.replace("assembly", assembly.problems, assembly.notices if self._existed else ())
        if assembly.state != self._state:
            self._state = assembly.state
            self._sink.objects_changed(assembly.state)


def _decoded(path: str, content: bytes, namespace: str) -> _FileObjects:
    """The objects of a file, and every document's first fault."""
    try:
        documents = load_documents(content, path, limits=LIMITS)
    except InvalidInput as error:
        return _FileObjects((), (error,), ())
    objects: list[ClusterObject] = []
    problems: list[InvalidInput] = []
    notices: list[Notice] = []
    for document in documents:
        try:
            decoded = decode(document, namespace)
        except InvalidInput as error:
            problems.append(error)
        else:
            objects.extend(decoded.objects)
            notices.extend(decoded.notices)
    return _FileObjects(tuple(objects), tuple(problems), tuple(notices))
