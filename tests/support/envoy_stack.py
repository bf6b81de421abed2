"""Tiny model servers, a scripted ext_proc server and a real Envoy between them, for the tests of Envoy's configuration.

    async with running_stack(tmp_path) as stack:
        stack.picker.script = picking(stack.backends[1].address)
        answer = await stack.post(b"{}")
        assert answer.served_by == stack.backends[1].address

After each test `stack.check_faults()` compares Envoy's counters of failed conversations with what the test announced
through `stack.expect("failure_mode_allowed")`; by default none may have moved.
"""

import asyncio
import io
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import aiohttp
import grpc
import msgspec
from aiohttp import web

from epp.edge.gateway.eds import EdsFile
from epp.lab.envoy_config import EnvoyOptions, SocketAddress, envoy_config
from epp.lab.envoy_parts import Config
from epp.lab.envoy_process import EnvoyProcess
from tests.support.scripted_ext_proc import ScriptedExtProc, picking

FAULTS = (
    "failure_mode_allowed",
    "message_timeouts",
    "rejected_header_mutations",
    "spurious_msgs_received",
    "streams_failed",
)
_PREFIX = "http.models.ext_proc."
_ANY_PORT = SocketAddress("127.0.0.1", 0)


class Backend:
    """One model server on its own loopback address. What it does depends on the path:

    /echo    the request's body                 /stream  headers and a first chunk at once, the rest after `release`
    /hang    the answer after `release`         /abort   headers and a first chunk, then the connection is cut
    /fail    503                                others   who served it and what arrived (see Answer)
    """

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self.address = ""
        self.requests: list[str] = []
        self.waiting = 0
        self.release = asyncio.Event()
        self.transports: set[asyncio.BaseTransport] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; closes idle connections after 5 s, as vLLM's server does."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, keepalive_timeout=5.0, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.ip, 0, backlog=2048)
        await site.start()
        self.address = f"{self.ip}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening and cut what runs."""
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def until_waiting(self, requests: int) -> None:
        """Return once so many requests stand in /stream or /hang."""
        while True:
            if self.waiting >= requests:
                return
            await asyncio.sleep(0.01)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self.transports.add(request.transport)
        self.requests.append(request.path)
        body = await request.read()
        if request.path == "/echo":
            return web.Response(body=body, content_type="application/octet-stream")
        if request.path == "/fail":
            return web.Response(status=503, text="the model server is overloaded")
        if request.path == "/hang":
            await self._wait_for_release()
        if request.path in {"/stream", "/abort"}:
            return await self._stream(request)
        return web.json_response(
            {
                "served_by": self.address,
                "path": request.path,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "body_bytes": len(body),
                "body": body[:1000].decode(errors="replace"),
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "x-served-by": self.address})
        await response.prepare(request)
        await response.write(b"data: first\n\n")
        if request.path == "/abort":
            assert request.transport is not None
            request.transport.abort()
            return response
        await self._wait_for_release()
        await response.write(b"data: last\n\n")
        await response.write_eof()
        return response

    async def _wait_for_release(self) -> None:
        self.waiting += 1
        try:
            await self.release.wait()
        finally:
            self.waiting -= 1


class Answer(msgspec.Struct, frozen=True):
    """What the client got. The last five fields come from the model server's JSON, if it answered with it."""

    status: int
    response_headers: dict[str, str]
    content: bytes
    served_by: str = ""
    path: str = ""
    headers: dict[str, str] = {}
    body_bytes: int = 0
    body: str = ""


class EnvoyStack:
    """Everything that runs; see running_stack()."""

    def __init__(self, envoy: EnvoyProcess, pickers: list[ScriptedExtProc], backends: list[Backend], eds: EdsFile):
        self.envoy = envoy
        self.pickers = pickers
        self.backends = backends
        self.eds = eds
        self.session: aiohttp.ClientSession
        self._expected: set[str] = set()
        self._faults_before: dict[str, int | float] = {}

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await self.begin_test()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    @property
    def picker(self) -> ScriptedExtProc:
        """The first ext_proc server."""
        return self.pickers[0]

    @property
    def url(self) -> str:
        """Envoy's listener for clients."""
        return f"http://127.0.0.1:{self.envoy.listener_port}"

    async def post(self, body: bytes = b"{}", path: str = "/v1/completions", **headers: str) -> Answer:
        """One HTTP/1.1 request; `x_name="value"` sends the header x-name."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(self.url + path, data=io.BytesIO(body), headers=sent) as response:
            content = await response.read()
            seen = msgspec.json.decode(content) if path not in _RAW_PATHS and response.ok else {}
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, content, **seen)

    def address_of(self, index: int) -> str:
        """ "IP:port" of a model server."""
        return self.backends[index].address

    async def set_endpoints(self, *addresses: str) -> None:
        """Write the endpoint file and wait until Envoy has read it."""
        before = await self.stat("cluster.pool.update_success")
        pairs = [address.rsplit(":", 1) for address in addresses]
        content = self.eds.path.read_bytes()
        self.eds.write((ip, int(port)) for ip, port in pairs)
        if self.eds.path.read_bytes() != content:
            await self.until(lambda value: value > before, "cluster.pool.update_success")

    async def stat(self, name: str) -> int | float:
        """One counter or gauge of Envoy."""
        return (await self.envoy.stats(f"^{name}$"))[name]

    async def until(self, condition: Callable[[int | float], bool], name: str) -> int | float:
        """Wait until this counter or gauge fulfils the condition; the test's time limit bounds it."""
        while True:
            value = await self.stat(name)
            if condition(value):
                return value
            await asyncio.sleep(0.02)

    async def begin_test(self) -> None:
        """Forget what happened before: scripts, conversations, counters; everyone lives and is an endpoint again."""
        self._expected = set()
        for picker in self.pickers:
            await picker.start()
            picker.script = picking(self.address_of(0))
            picker.conversations.clear()
        for backend in self.backends:
            backend.release = asyncio.Event()
            backend.requests.clear()
        await self.set_endpoints(*(backend.address for backend in self.backends))
        self._faults_before = await self._faults()

    def expect(self, *faults: str) -> None:
        """This test makes these counters of FAULTS move; check_faults() then insists that each did."""
        unknown = set(faults) - set(FAULTS)
        assert not unknown, f"no such counters: {unknown}"
        self._expected |= set(faults)

    async def check_faults(self) -> None:
        """Exactly the expected fault counters moved since begin_test()."""
        after = await self._faults()
        moved = {name: after[name] - before for name, before in self._faults_before.items() if after[name] != before}
        assert set(moved) == self._expected, f"ext_proc counters that moved: {moved}; expected: {self._expected}"

    async def _faults(self) -> dict[str, int | float]:
        stats = await self.envoy.stats(f"^{_PREFIX}")
        return {name: stats[_PREFIX + name] for name in FAULTS}


_RAW_PATHS = {"/echo", "/fail", "/stream", "/abort"}


@asynccontextmanager
async def running_stack(
    directory: Path,
    *,
    backends: int = 2,
    pickers: int = 1,
    options: EnvoyOptions | None = None,
    transform: Callable[[Config], Config] | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[EnvoyStack]:
    """Start model servers on 127.0.0.2, .3, ..., ext_proc servers and an Envoy; end all of them afterwards.

    `options` keep their own addresses out: ports are chosen by the system. `transform` changes the configuration last.
    """
    async with AsyncExitStack() as running:
        servers = [Backend(f"127.0.0.{2 + index}") for index in range(backends)]
        for server in servers:
            await server.start()
            running.push_async_callback(server.stop)
        eds = EdsFile(directory / "endpoints" / "eds.yaml")
        eds.path.parent.mkdir()
        eds.write((server.ip, int(server.address.rpartition(":")[2])) for server in servers)
        scripted = [ScriptedExtProc(picking(servers[0].address), credentials) for _ in range(pickers)]
        for picker in scripted:
            await picker.start()
            running.push_async_callback(picker.close)
        config = envoy_config(
            msgspec.structs.replace(
                options or EnvoyOptions(),
                listener=_ANY_PORT,
                admin=_ANY_PORT,
                probes="off",
                pickers=tuple(SocketAddress("127.0.0.1", picker.port) for picker in scripted),
                eds_path=str(eds.path),
            )
        )
        envoy = EnvoyProcess(transform(config) if transform else config)
        await running.enter_async_context(envoy)
        yield await running.enter_async_context(EnvoyStack(envoy, scripted, servers, eds))


@asynccontextmanager
async def checked(stack: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    """For one test on a shared stack: a clean start, and at the end the counters are checked."""
    await stack.begin_test()
    yield stack
    await stack.check_faults()


@asynccontextmanager
async def dead_address(ip: str = "127.0.0.99") -> AsyncIterator[str]:
    """An address at which connections are refused, held so that nobody else gets it meanwhile."""
    with socket.socket() as bound:
        bound.bind((ip, 0))
        yield f"{ip}:{bound.getsockname()[1]}"
