"""An API server that follows a script, in virtual time: what each request is answered with, and what was asked.

api = ScriptedApi(page(pod("a"), version="5"), watch(added(pod("b", "6")), END), watch(error(410)), page(...))

Lists and watches take the next step of the script, whoever asks; when it is at its end, watches wait for ever.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.errors import ApiError, status_error

Step = object


class Watch(msgspec.Struct, frozen=True):
    """Lines in order; an error among them is raised, and after the last one the server ends the watch."""

    lines: tuple[bytes | ApiError, ...]
    waits: bool = False
    """goes on for ever after the last line instead"""


class ScriptedApi:
    """Stands for ApiServer."""

    url = "https://api.test"

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.asked: list[tuple[str, dict[str, str]]] = []
        """path and query of every list and watch"""
        self.silences_s: list[float] = []
        self.idle = asyncio.Event()
        """set when the script is at its end and a watch waits"""

    async def request(self, method: str, path: str, query: Sequence[tuple[str, str]] = (), **_: object) -> bytes:
        assert method == "GET"
        self.asked.append((path, dict(query)))
        step = self._next()
        if isinstance(step, ApiError):
            raise step
        assert isinstance(step, bytes), f"a list was asked for, but the script says {step}"
        return step

    @asynccontextmanager
    async def watch(
        self, path: str, query: Sequence[tuple[str, str]], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append((path, dict(query)))
        self.silences_s.append(silence_s)
        step = self._next() if self._steps else Watch((), waits=True)
        if isinstance(step, ApiError):
            raise step
        assert isinstance(step, Watch), f"a watch was asked for, but the script says {step!r}"
        yield self._lines(step)

    def as_server(self) -> ApiServer:
        """For the constructors."""
        return cast("ApiServer", self)

    async def _lines(self, step: Watch) -> AsyncIterator[bytes]:
        for line in step.lines:
            await asyncio.sleep(0)
            if isinstance(line, ApiError):
                raise line
            yield line
        if step.waits:
            self.idle.set()
            await asyncio.Event().wait()

    def _next(self) -> Step:
        assert self._steps, f"the script is at its end, but {self.asked[-1]} was asked"
        return self._steps.pop(0)


class VirtualTime:
    """A clock that only sleeping moves; `sleeps` has every wait in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def page(*objects: dict[str, Any], version: str = "1", following: str = "") -> bytes:
    """A page of a list; `following` is the token of the next one."""
    meta = {"resourceVersion": version, **({"continue": following} if following else {})}
    return msgspec.json.encode({"kind": "List", "metadata": meta, "items": list(objects)})


def watch(*lines: bytes | ApiError, waits: bool = False) -> Watch:
    return Watch(lines, waits)


def event(kind: str, found: dict[str, Any]) -> bytes:
    """A line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
    return msgspec.json.encode({"type": kind, "object": found})


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def gone_event() -> bytes:
    status = {"kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"}
    return event("ERROR", status)


def refused(status: int, message: str = "") -> ApiError:
    """What ApiServer raises for an answer with this status."""
    return status_error(status, "GET /path", msgspec.json.encode({"kind": "Status", "message": message}))


def named(name: str, version: str = "1", **fields: object) -> dict[str, Any]:
    """An object with metadata only, and `fields` beside it."""
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": version}
    return {"metadata": meta, **fields}
