"""Keeps up with one resource: lists it in pages, then watches it from there, for ever.

- A watch goes on from the last version seen, also over lost connections; bookmarks keep that version fresh.
- Only when the server has forgotten the version (410) everything is listed again.
- A watch that says nothing for longer than bookmarks allow is begun anew: the connection may be dead.
- While the server is away what was read last stays, and `condition` says so.
- A resource that does not exist (no CRD) has no objects; it is asked for again, and so is one that RBAC forbids.

Source: Kubernetes API concepts (efficient detection of changes; bookmarks; 410 Gone; limit and continue).
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from epp.core.domain.ports import Clock
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.backoff import Backoff
from epp.edge.objects.kubernetes.errors import ApiError, Forbidden, Gone, NotFound, Silent, Unreachable, status_error
from epp.edge.objects.kubernetes.messages import ListPage, ObjectHead, ObjectMeta, Status, WatchEvent
from epp.edge.objects.kubernetes.resources import Resource

T = TypeVar("T")
PAGE_OBJECTS = 500
WATCH_S = 300
"""the server ends a watch after this long, up to twice that: not all at once"""
SILENCE_S = 90.0
"""servers send bookmarks about once a minute"""
MISSING_RETRY_S = 5.0
FORBIDDEN_RETRY_S = 10.0
SHORT_WATCH_S = 1.0
"""a watch that ends earlier, without a word, did not work"""


class Sync(Enum):
    """How far the picture can be trusted."""

    WAITING = "waiting"
    """not read yet"""
    SYNCED = "synced"
    STALE = "stale"
    """as it was read last"""
    MISSING = "missing"
    """the server has no such resource"""
    FORBIDDEN = "forbidden"
    """not read, or not any more, because RBAC gives no right to it"""


class Condition(msgspec.Struct, frozen=True):
    """`problem` is empty when all is well; a missing resource is no problem."""

    sync: Sync
    problem: str = ""
    is_unreachable: bool = False
    """the problem is that the server does not answer, which is the same one for every resource"""


class Named(msgspec.Struct, frozen=True):
    """An object as it was sent."""

    meta: ObjectMeta
    raw: msgspec.Raw


class Follower(Protocol):
    """Hears of everything in order."""

    def listed(self, resource: Resource, objects: Sequence[Named]) -> None:
        """These are all objects now."""

    def stored(self, resource: Resource, found: Named) -> None:
        """One is new or another one than before."""

    def removed(self, resource: Resource, name: str) -> None:
        """One has gone, or its labels do not match any more."""

    def condition_changed(self, resource: Resource, condition: Condition) -> None:
        """How far the picture can be trusted from now on."""


class Reflector:
    """`run` until cancelled; `lists` counts full lists."""

    def __init__(
        self,
        api: ApiServer,
        resource: Resource,
        follower: Follower,
        *,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        silence_s: float = SILENCE_S,
    ) -> None:
        """`random` gives numbers from 0 to 1."""
        self._api = api
        self.resource = resource
        self._follower = follower
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._silence_s = silence_s
        self._backoff = Backoff(random)
        self._relists = Backoff(random)
        """between lists that nothing came of but that their version is forgotten, too"""
        self._version = ""
        self._opened_at: float | None = None
        """when the server agreed to the watch that is under way"""
        self._has_worked = False
        """whether that has told anything"""
        self.condition = Condition(Sync.WAITING)
        self.lists = 0

    async def run(self) -> None:
        """Lists and watches until it is cancelled."""
        while True:
            try:
                await self._list()
                await self._follow()
            except ApiError as error:
                await self._after(error)

    async def _after(self, error: ApiError) -> None:
        """Says what is wrong and waits as long as it deserves."""
        match error:
            case NotFound():
                self._follower.listed(self.resource, ())
                self._set(Sync.MISSING)
                await self._sleep(MISSING_RETRY_S * (0.75 + self._random() / 2.0))
            case Forbidden():
                self._set(Sync.FORBIDDEN, self._not_allowed(error))
                await self._sleep(FORBIDDEN_RETRY_S * (0.75 + self._random() / 2.0))
            case Gone():
                self._backoff.reset()  # the server answers: what it was waited for before does not count any more
                await self._sleep(self._relists.next_s())
            case _:
                known = self.condition.sync in (Sync.SYNCED, Sync.STALE)
                self._set(Sync.STALE if known else self.condition.sync, str(error), isinstance(error, Unreachable))
                await self._sleep(self._backoff.next_s(error.retry_after_s))

    def _not_allowed(self, error: Forbidden) -> str:
        verb = "watch" if self.condition.sync is Sync.SYNCED else "list"
        resource = self.resource
        where = f"in namespace {resource.namespace}"
        return f"RBAC gives no right to {verb} {resource.title} {where}; add it to the picker's Role ({error.message})"

    async def _list(self) -> None:
        """All pages. A continue token that has become too old costs the pages, and then one list without pages."""
        self.lists += 1
        try:
            found, version = await self._pages(PAGE_OBJECTS)
        except Gone:
            found, version = await self._pages(0)
        self._version = version
        self._follower.listed(self.resource, found)
        self._set(Sync.SYNCED)

    async def _pages(self, limit: int) -> tuple[list[Named], str]:
        found: list[Named] = []
        query = [*self.resource.query, *([("limit", str(limit))] if limit else [])]
        token = ""
        while True:
            page_query = [*query, ("continue", token)] if token else query
            body = await self._api.request("GET", self.resource.path, page_query)
            page = _decoded(body, ListPage, self.resource)
            found.extend(self._named(raw) for raw in page.items or ())
            token = page.metadata.continue_
            if not token:
                return found, page.metadata.resource_version

    async def _follow(self) -> None:
        """Watches until an error that only a list can mend, or that has to be reported.

        A watch that has worked and breaks off is no trouble by itself: only one that cannot be begun anew is.
        """
        while True:
            self._opened_at, self._has_worked = None, False
            try:
                await self._watch()
            except Silent:
                continue
            except (Gone, NotFound, Forbidden):
                raise
            except ApiError as error:
                if not (isinstance(error, Unreachable) and self._did_work):
                    await self._after(error)
                    continue
            if not self._did_work:
                await self._sleep(self._backoff.next_s())

    @property
    def _did_work(self) -> bool:
        """Whether the last watch was good for anything."""
        opened_at = self._opened_at
        return self._has_worked or (opened_at is not None and self._clock() - opened_at >= SHORT_WATCH_S)

    async def _watch(self) -> None:
        """One watch, until the server ends it."""
        query = [
            *self.resource.query,
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(round(WATCH_S * (1.0 + self._random())))),
        ]
        async with self._api.watch(self.resource.path, query, silence_s=self._silence_s) as lines:
            self._opened_at = self._clock()
            self._set(Sync.SYNCED)
            async for line in lines:
                self._take(_decoded(line, WatchEvent, self.resource))
                if not self._has_worked:
                    self._has_worked = True
                    self._backoff.reset()
                    self._relists.reset()

    def _take(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            status = _decoded(event.object, Status, self.resource)
            raise status_error(status.code, f"watch {self.resource.title}", bytes(event.object))
        found = self._named(event.object)
        if event.type in ("ADDED", "MODIFIED"):
            self._follower.stored(self.resource, found)
        elif event.type == "DELETED":
            self._follower.removed(self.resource, found.meta.name)
        self._version = found.meta.resource_version or self._version

    def _named(self, raw: msgspec.Raw) -> Named:
        return Named(_decoded(raw, ObjectHead, self.resource).metadata, raw)

    def _set(self, sync: Sync, problem: str = "", is_unreachable: bool = False) -> None:
        condition = Condition(sync, problem, is_unreachable)
        if condition != self.condition:
            self.condition = condition
            self._follower.condition_changed(self.resource, condition)


def _decoded(raw: bytes | msgspec.Raw, type_: type[T], resource: Resource) -> T:
    """Raises Unreachable for what no API server sends: something else may answer in its place."""
    try:
        return msgspec.json.decode(raw, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(f"the answer for {resource.title} is not that of an API server: {error}") from error
