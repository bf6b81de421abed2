"""One fake pod inside a running asyncio loop. Many may live in one process, each on its own address."""

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.journal import ServedRequest
from epp.lab.fake_vllm.kv_publisher import KvEventPublisher
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies
from epp.lab.fake_vllm.server import PodServer
from epp.lab.fake_vllm.settings import PodSettings, check_settings
from epp.lab.fake_vllm.stats import EngineStats

_MAX_BODY_BYTES = 256 * 1024 * 1024
_STOP_GRACE_S = 0.05  # aiohttp takes 0 for "wait for ever"


class FakePod:
    """Start it, talk to `host`:`port`, drain it or stop it. Raises SettingsError when the settings cannot work."""

    def __init__(self, settings: PodSettings) -> None:
        check_settings(settings)
        self.settings = settings
        self.name = settings.name
        self.host = settings.host
        self.port = settings.port
        self._state: PodState | None = None
        self._runner: web.ServerRunner | None = None
        self._publisher: KvEventPublisher | None = None
        self.kv_events_port = settings.kv_events_port
        self.kv_events_replay_port = settings.kv_events_replay_port

    @property
    def address(self) -> str:
        """`ip:port`, IPv6 in brackets: the form of `x-served-by` and of the picker's destinations."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://ip:port`."""
        return f"http://{self.address}"

    @property
    def served(self) -> tuple[ServedRequest, ...]:
        """The last inference requests, oldest first."""
        return self._running().journal.all()

    @property
    def stats(self) -> EngineStats:
        """What the metrics page is made from: the state at the end of the engine's last step."""
        return self._running().engine.published

    async def until(self, true: Callable[[EngineStats], bool]) -> EngineStats:
        """Waits until the published state is as wanted, and returns it; the caller sets the time limit."""
        while not true(self.stats):
            await self._running().driver.next_publication()
        return self.stats

    def inject(self, faults: Faults) -> None:
        """Puts faults in force, in place of all earlier ones."""
        self._running().faults.replace(faults)

    async def start(self) -> None:
        """Listens. Raises OSError when the address cannot be bound; `port` is the real one from then on.

        A stopped pod may be started again: it comes back empty, on the same port.
        """
        if self._runner is not None:
            raise RuntimeError(f"pod {self.name} is running already")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=1024)
        self.port = listener.getsockname()[1]
        try:
            self._publisher = self._start_publisher()
        except OSError:
            listener.close()
            raise
        self._state = PodState(self.settings, asyncio.get_running_loop(), self._publisher)
        server = web.Server(
            PodServer(self._state, Replies(self.name, self.host, self.port)).handle,
            request_factory=_make_request,
            handler_cancellation=True,
            keepalive_timeout=self.settings.keepalive_timeout_s,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_GRACE_S)
        await self._runner.setup()
        await web.SockSite(self._runner, listener, backlog=1024).start()

    async def drain(self, grace_s: float) -> bool:
        """Answers /health with 503, refuses new requests, waits for those under way; False when the grace ran out."""
        state = self._running()
        state.draining = True
        try:
            async with asyncio.timeout(grace_s):
                await state.quiet()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Closes everything at once: requests under way are cut, like those of a killed process."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self._running().driver.close()
        if self._publisher is not None:
            await self._publisher.stop()

    def _start_publisher(self) -> KvEventPublisher | None:
        if self.kv_events_port is None:
            return None
        publisher = KvEventPublisher(
            self.host, self.kv_events_port, self.kv_events_replay_port, as_maps=self.settings.kv_events_as_maps
        )
        publisher.start()
        publisher.topic = f"kv@{self.address}@{self.settings.names[0]}"
        self.kv_events_port, self.kv_events_replay_port = publisher.port, publisher.replay_port
        return publisher

    def _running(self) -> PodState:
        if self._state is None:
            raise RuntimeError(f"pod {self.name} was not started")
        return self._state


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY_BYTES)
