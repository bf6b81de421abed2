"""A transport on loopback whose handlers do as the test tells them, and a client for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from epp.edge.extproc.transport import PROCESS, Message, ServerStream
from tests.support.ext_proc_client import ExtProcClient
from tests.support.ext_proc_stream import PATIENCE_S, ExtProcStream
from tests.support.lost_errors import no_lost_errors
from tests.support.transports import USUAL, make_transport

MIB = 1 << 20
Behaviour = Callable[["Handler", bytes], None]


class Handler:
    """StreamHandler that does what the test says with each message."""

    def __init__(self, stream: ServerStream, behaviour: Behaviour) -> None:
        self.stream = stream
        self.received: list[bytes] = []
        self.announced: list[int] = []
        self.closed_times = 0
        self.was_drained = False
        self._behaviour = behaviour

    def message_announced(self, message_bytes: int) -> None:
        self.announced.append(message_bytes)

    def message_received(self, message: Message) -> None:
        self.received.append(bytes(message))
        self._behaviour(self, self.received[-1])

    def half_closed(self) -> None:
        self.stream.finish()

    def drain(self) -> None:
        self.was_drained = True

    def closed(self) -> None:
        self.closed_times += 1


class ScriptedTransport:
    """A transport whose handlers can be looked at."""

    def __init__(self, behaviour: Behaviour, kind: str = USUAL, port: int = 0) -> None:
        self.handlers: list[Handler] = []
        self._behaviour = behaviour
        self.served = make_transport(kind, {PROCESS: self._handler}, port=port, max_message_bytes=MIB)

    @property
    def port(self) -> int:
        return self.served.port

    @property
    def open_streams(self) -> int:
        return self.served.open_streams

    async def start(self) -> None:
        await self.served.start()

    async def drain(self, grace_s: float) -> None:
        await self.served.drain(grace_s)

    def _handler(self, stream: ServerStream) -> Handler:
        self.handlers.append(Handler(stream, self._behaviour))
        return self.handlers[-1]


@asynccontextmanager
async def serving(behaviour: Behaviour, kind: str = USUAL) -> AsyncIterator[tuple[ScriptedTransport, ExtProcClient]]:
    """A transport and a client; in the end every handler was closed exactly once and no error was lost."""
    transport = ScriptedTransport(behaviour, kind)
    await transport.start()
    with no_lost_errors():
        try:
            async with ExtProcClient(transport.port) as client:
                yield transport, client
        finally:
            await transport.drain(0.0)
        assert transport.open_streams == 0
        assert [handler.closed_times for handler in transport.handlers] == [1] * len(transport.handlers)
        transport.handlers.clear()  # and with them their streams and tasks, whose errors come to light


async def read(stream: ExtProcStream, count: int) -> list[bytes]:
    """So many messages, raw."""
    async with asyncio.timeout(PATIENCE_S):
        return [await stream.receive_bytes() for _ in range(count)]


def echo(handler: Handler, message: bytes) -> None:
    handler.stream.send(message)
