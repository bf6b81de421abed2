"""A NativeTransport on loopback that echoes: on either event loop, in plaintext or with TLS; and what clients need."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trustme
import uvloop

from epp.edge.extproc.http2.limits import DEFAULT_LIMITS, Http2Limits
from epp.edge.extproc.native_transport import NativeSettings, NativeTransport
from epp.edge.extproc.transport import PROCESS, ServerStream
from tests.support.lost_errors import no_lost_errors
from tests.support.transports import no_fault
from tests.unit.edge.extproc.scripted_handler import MIB, Behaviour, Handler, echo

HOST = "127.0.0.1"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
WITHIN_S = 15.0
T = TypeVar("T")
on_every_loop = pytest.mark.parametrize("loop", LOOPS)
with_and_without_tls = pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])


def run_on(loop: str, main: Callable[[], Awaitable[T]]) -> T:
    """Runs it on a loop of this kind, with a bound."""

    async def bounded() -> T:
        async with asyncio.timeout(WITHIN_S):
            return await main()

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(bounded())


class Certificates:
    """An authority, a server's certificate for 127.0.0.1, and what goes with it."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._issued = self._ca.issue_cert(HOST)

    @property
    def roots(self) -> bytes:
        """PEM."""
        return self._ca.cert_pem.bytes()

    def server(self) -> ssl.SSLContext:
        """As the picker makes it: h2 or nothing."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["h2"])
        self._issued.configure_cert(context)
        return context

    def client(self, *alpn: str) -> ssl.SSLContext:
        """That offers these protocols."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context


class ServedEcho:
    """The transport and its handlers."""

    def __init__(self, transport: NativeTransport, handlers: list[Handler], ended: list[tuple[str, str, str]]) -> None:
        self.transport = transport
        self.handlers = handlers
        self.ended = ended
        """connections that were ended because of their peers: address, reason, detail"""

    @property
    def address(self) -> str:
        return f"{HOST}:{self.transport.port}"


@asynccontextmanager
async def served_echo(
    tls: ssl.SSLContext | None = None,
    *,
    behaviour: Behaviour = echo,
    limits: Http2Limits = DEFAULT_LIMITS,
    most_connections: int = 100,
) -> AsyncIterator[ServedEcho]:
    """Serves until the end; then every handler was closed exactly once and no error was lost."""
    handlers: list[Handler] = []
    ended: list[tuple[str, str, str]] = []

    def handler(stream: ServerStream) -> Handler:
        handlers.append(Handler(stream, behaviour))
        return handlers[-1]

    settings = NativeSettings(HOST, 0, 8 * MIB, tls, limits, most_connections)
    transport = NativeTransport(settings, {PROCESS: handler}, no_fault, lambda *ending: ended.append(ending))
    await transport.start()
    with no_lost_errors():
        try:
            yield ServedEcho(transport, handlers, ended)
        finally:
            await transport.drain(0.0)
        assert transport.open_streams == 0
        assert [handler.closed_times for handler in handlers] == [1] * len(handlers)
