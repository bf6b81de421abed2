"""The ext_proc service on an HTTP/2 server of our own."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Mapping

import msgspec

from epp.edge.extproc.http2.grpc_stream import Fault, GrpcService, GrpcStream
from epp.edge.extproc.http2.limits import DEFAULT_LIMITS, Http2Limits
from epp.edge.extproc.http2.protocol import Ended, Http2Protocol
from epp.edge.extproc.transport import PROCESS, HandlerFactory

MESSAGE_OVERHEAD_BYTES = 1 << 20
"""headers and metadata around a body of the largest size"""
ABORT_AFTER_S = 5.0
"""connections that are not closed when everything was said end this much later"""
BACKLOG = 1_024
TOO_MANY = "too_many"


class NativeSettings(msgspec.Struct, frozen=True):
    """Where to listen and how large a message may be."""

    address: str
    """IP address"""
    port: int
    """0 picks a free one"""
    max_message_bytes: int
    tls: ssl.SSLContext | None = None
    """None: plaintext; else with `h2` among its ALPN protocols"""
    limits: Http2Limits = DEFAULT_LIMITS
    most_connections: int = 10_000
    """at once; a further one is closed as soon as it is there"""


class _Adopted(msgspec.Struct, frozen=True):
    is_guest: bool
    closed: Callable[[], None]


class NativeTransport:
    """Serves streams until it is drained; see Transport."""

    def __init__(
        self,
        settings: NativeSettings,
        methods: Mapping[str, HandlerFactory],
        on_fault: Fault,
        on_ended: Ended,
    ) -> None:
        """`methods` by path; streams of PROCESS are counted."""
        self._settings = settings
        self._methods = methods
        self._on_fault = on_fault
        self._on_ended = on_ended
        self._server: asyncio.Server | None = None
        self._ending = 0
        self._connections: set[Http2Protocol] = set()
        self._adopted: dict[Http2Protocol, _Adopted] = {}
        self._all_closed = asyncio.Event()
        self._is_draining = False
        self.port = settings.port

    @property
    def open_streams(self) -> int:
        """ext_proc streams that are being served, and those whose handlers are about to hear of their end."""
        return sum(1 for stream in self._streams() if stream.path == PROCESS) + self._ending

    async def start(self) -> None:
        """Binds and serves; `port` is the bound one. Raises RuntimeError when the address cannot be bound."""
        settings = self._settings
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol_factory(),
                settings.address,
                settings.port,
                backlog=BACKLOG,
                ssl=settings.tls,
                ssl_handshake_timeout=settings.limits.handshake_within_s if settings.tls else None,
                reuse_address=True,
            )
        except OSError as error:
            raise RuntimeError(str(error)) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def adopt(self, connection: socket.socket, *, is_guest: bool, closed: Callable[[], None]) -> None:
        """Serves a connection that another process has accepted, with or without `start`.

        `is_guest`: see `send_guests_home`. `closed` is called once, when the connection is gone.
        """
        connection.setblocking(False)
        settings = self._settings
        protocol = self._protocol_factory()()
        self._adopted[protocol] = _Adopted(is_guest, closed)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=settings.tls,
                ssl_handshake_timeout=settings.limits.handshake_within_s if settings.tls else None,
            )
        except OSError:  # the proxy went away, or does not speak TLS as we do, which TLS itself has told it
            connection.close()
            self._forget(protocol)

    def send_guests_home(self) -> None:
        """Asks proxies whose connections were meant for another picker to make new ones; streams are served on."""
        for protocol, adopted in self._adopted.items():
            if adopted.is_guest:
                protocol.connection.leave()
                protocol.flush()

    async def drain(self, grace_s: float) -> None:
        """Takes no new connection, tells everybody to come to an end, and ends what is left after `grace_s` with OK.

        A stream that begins before its proxy has heard that we leave is served.
        """
        self._is_draining = True
        if self._server is not None:
            self._server.close()
            self._server = None
        for protocol in self._connections:
            protocol.connection.leave()
        for stream in self._streams():
            stream.drain()
        await self._wait_until_closed(grace_s)
        for stream in self._streams():
            stream.finish()
        for protocol in list(self._connections):
            protocol.connection.refuse_further()
            protocol.flush()
        await self._wait_until_closed(ABORT_AFTER_S)
        for protocol in list(self._connections):
            protocol.abort()
        await self._wait_until_closed(ABORT_AFTER_S)

    def _protocol_factory(self) -> Callable[[], Http2Protocol]:
        loop = asyncio.get_running_loop()
        service = GrpcService(
            methods=self._methods,
            most_message_bytes=self._settings.max_message_bytes + MESSAGE_OVERHEAD_BYTES,
            on_fault=self._on_fault,
            later=self._later,
        )
        return lambda: Http2Protocol(
            self._settings.limits,
            service.accept,
            time.monotonic,
            loop,
            on_made=self._made,
            on_lost=self._lost,
            on_ended=self._on_ended,
        )

    def _streams(self) -> list[GrpcStream]:
        return [
            stream.receiver
            for protocol in self._connections
            for stream in protocol.connection.streams.values()
            if isinstance(stream.receiver, GrpcStream)
        ]

    def _later(self, end: Callable[[], None]) -> None:
        self._ending += 1
        asyncio.get_running_loop().call_soon(self._end, end)

    def _end(self, end: Callable[[], None]) -> None:
        self._ending -= 1
        end()

    def _made(self, protocol: Http2Protocol) -> None:
        most = self._settings.most_connections
        if len(self._connections) >= most:
            protocol.abort_because(TOO_MANY, f"{most} connections are open, and no more are taken")
            return
        self._connections.add(protocol)
        self._all_closed.clear()
        if self._is_draining:
            protocol.connection.refuse_further()  # it was in its handshake when the server was drained

    def _lost(self, protocol: Http2Protocol) -> None:
        self._connections.discard(protocol)
        self._forget(protocol)
        if not self._connections:
            self._all_closed.set()

    def _forget(self, protocol: Http2Protocol) -> None:
        adopted = self._adopted.pop(protocol, None)
        if adopted is not None:
            adopted.closed()

    async def _wait_until_closed(self, within_s: float) -> None:
        if self._connections and within_s > 0.0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), within_s)
