"""The server as an object: start it, use it, break it, stop it, start it again on the same port.

async with KubeApi() as api:
    api.create({"apiVersion": "v1", "kind": "Pod", ...})
    client = connect(api.url, api.ca_pem, api.token("reader"))
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from aiohttp import web

from epp.lab.kube_api.audit import AuditLog
from epp.lab.kube_api.faults import Faults
from epp.lab.kube_api.http_requests import HttpRequests
from epp.lab.kube_api.journal import Journal
from epp.lab.kube_api.kubeconfig import kubeconfig, write_kubeconfig
from epp.lab.kube_api.local_client import LocalClient
from epp.lab.kube_api.machinery import Machinery, SavedState
from epp.lab.kube_api.schema import SchemaSource
from epp.lab.kube_api.storage import WINDOW_CHANGES
from epp.lab.kube_api.users import User
from epp.lab.kube_api.watching import WatchHub

_STOP_GRACE_S = 0.05  # aiohttp takes 0 for "wait for ever"


class KubeApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server behaves.

    port               0 for any, which is kept over restarts
    state              file in which the objects survive the process, also when it is killed
    bookmark_period_s  seconds between bookmarks; about a minute on a real server
    clock_offset_s     seconds by which the server's clock is ahead
    window_changes     changes remembered for watches, of each resource
    """

    host: str = "127.0.0.1"
    port: int = 0
    state: Path | None = None
    bookmark_period_s: float = 60.0
    clock_offset_s: float = 0.0
    window_changes: int = WINDOW_CHANGES
    seed: int | None = None


class KubeApi:
    """One server. `clock() -> unix seconds`; without `schemas` built-in kinds are hardly checked."""

    def __init__(
        self,
        settings: KubeApiSettings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        schemas: SchemaSource | None = None,
    ) -> None:
        self._schemas = schemas
        self.settings = settings or KubeApiSettings()
        self.port = self.settings.port
        self.clock_offset_s = self.settings.clock_offset_s
        self._clock = lambda: clock() + self.clock_offset_s
        self._journal = Journal(self.settings.state) if self.settings.state else None
        self._machinery = self._made(self._journal.read() if self._journal else None)
        self._runner: web.ServerRunner | None = None
        self._server: web.Server | None = None
        self._door: _Door | None = None
        self._timer: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """`https://host:port`; with port 0, known once it has started."""
        return f"https://{self.settings.host}:{self.port}"

    @property
    def ca_pem(self) -> str:
        """The certification authority that clients shall trust."""
        return self._machinery.certificates.ca_pem

    @property
    def admin_token(self) -> str:
        """A token that may do everything."""
        return self._machinery.admin_token

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""
        return self._machinery.faults

    @property
    def audit(self) -> AuditLog:
        """What was asked."""
        return self._machinery.audit

    @property
    def watches(self) -> WatchHub:
        """The open watches, to silence, cut or expire."""
        return self._machinery.hub

    @property
    def objects(self) -> LocalClient:
        """The same operations without HTTP, as an administrator."""
        return LocalClient(self._machinery)

    def compact(self) -> None:
        """Forgets all earlier versions: watches and lists from them get 410."""
        self._machinery.store.compact()

    def token(self, user: str, groups: Sequence[str] = ()) -> str:
        """A new token of a user, good until the server object is gone."""
        token = secrets.token_urlsafe(24)
        self._machinery.tokens.add_static(token, User(user, tuple(groups)))
        return token

    def account_token(self, namespace: str, name: str, *, lifetime_s: int = 3600) -> str:
        """A token of a service account that exists; raises KeyError."""
        stored = self._machinery.store.get("/serviceaccounts", (namespace, name))
        if stored is None:
            raise KeyError(f"serviceaccounts {namespace}/{name}")
        return self._machinery.tokens.issue(stored.value, (), lifetime_s, None)

    def revoke(self, token: str) -> None:
        """Ends a token that `token` gave."""
        self._machinery.tokens.remove_static(token)

    def kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = "default") -> Path:
        """Writes a kubeconfig for this server, as the administrator unless a token is given."""
        text = kubeconfig(self.url, self.ca_pem, token or self.admin_token, namespace=namespace)
        write_kubeconfig(path, text)
        return path

    async def start(self) -> None:
        """Listens; raises OSError."""
        self._door = _Door(HttpRequests(self._machinery, self._clock).handle)
        self._server = web.Server(self._door.handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=_STOP_GRACE_S)
        await self._runner.setup()
        context = self._machinery.certificates.server_context()
        site = web.TCPSite(
            self._runner,
            self.settings.host,
            self.port,
            ssl_context=context,
            reuse_address=True,
        )
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        self._timer = asyncio.create_task(self._keep(), name="kube-api-timer")

    async def stop(self) -> None:
        """Ends watches, then connections. The objects stay: `start` goes on with them."""
        await self._end_timer()
        self._machinery.hub.end_all()
        await self._close()

    async def kill(self) -> None:
        """Resets every connection at once, as a crash does."""
        await self._end_timer()
        if self._server is not None:
            for connection in self._server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
        await self._close()

    async def restart(self) -> None:
        """As a new process would begin with the same objects: earlier versions are forgotten."""
        await self.stop()
        faults, audit = self._machinery.faults, self._machinery.audit
        static = self._machinery.tokens.static()
        self._machinery = self._made(self._machinery.saved())
        self._machinery.faults, self._machinery.audit = faults, audit
        for token, user in static.items():
            self._machinery.tokens.add_static(token, user)
        await self.start()

    async def __aenter__(self) -> Self:
        """Starts it."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops it."""
        await self.stop()

    def _made(self, saved: SavedState | None) -> Machinery:
        settings = self.settings
        machinery = Machinery(
            settings.host,
            self._clock,
            saved=saved,
            seed=settings.seed,
            window_changes=settings.window_changes,
            schemas=self._schemas,
        )
        if self._journal is not None:
            self._journal.begin(machinery.saved(), machinery.store)
        return machinery

    async def _keep(self) -> None:
        """Bookmarks, and the state file, in their time."""
        while True:
            await asyncio.sleep(self.settings.bookmark_period_s)
            self._machinery.hub.bookmark_all()

    async def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
            self._timer = None

    async def _close(self) -> None:
        if self._door is not None:
            self._door.is_shut = True
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._server = None


class _Door:
    """Lets requests in until it is shut.

    A connection that is in its handshake while the server stops outlives it; a process that ends has no such guests.
    """

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handle = handle
        self.is_shut = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers, or cuts the connection."""
        if self.is_shut:
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError
        return await self._handle(request)
