"""The gRPC transport with handlers that do as they are told: order, ends, pauses, exactly one `closed`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest

from epp.edge.extproc import grpc_transport
from epp.edge.extproc.grpc_transport import GrpcSettings, GrpcTransport
from epp.edge.extproc.transport import ServerStream
from tests.support.eventually import eventually
from tests.support.ext_proc_client import PATIENCE_S, ExtProcClient, ExtProcStream
from tests.support.lost_errors import no_lost_errors

MIB = 1 << 20
Behaviour = Callable[["Handler", bytes], None]


class Handler:
    """StreamHandler that does what the test says with each message."""

    def __init__(self, stream: ServerStream, behaviour: Behaviour) -> None:
        self.stream = stream
        self.received: list[bytes] = []
        self.closed_times = 0
        self.was_drained = False
        self._behaviour = behaviour

    def message_received(self, message: bytes) -> None:
        self.received.append(message)
        self._behaviour(self, message)

    def drain(self) -> None:
        self.was_drained = True

    def closed(self) -> None:
        self.closed_times += 1


class Transport(GrpcTransport):
    """A transport whose handlers can be looked at."""

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.handlers: list[Handler] = []
        super().__init__(GrpcSettings("127.0.0.1", port, MIB), self._handler)
        self._behaviour = behaviour

    def _handler(self, stream: ServerStream) -> Handler:
        self.handlers.append(Handler(stream, self._behaviour))
        return self.handlers[-1]


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[tuple[Transport, ExtProcClient]]:
    """A transport and a client; in the end every handler was closed exactly once and no error was lost."""
    transport = Transport(behaviour)
    await transport.start()
    with no_lost_errors():
        try:
            async with ExtProcClient(transport.port) as client:
                yield transport, client
        finally:
            await transport.drain(0.0)
    assert transport.open_streams == 0
    assert [handler.closed_times for handler in transport.handlers] == [1] * len(transport.handlers)


async def read(stream: ExtProcStream, count: int) -> list[bytes]:
    """So many messages, raw."""
    async with asyncio.timeout(PATIENCE_S):
        return [await stream.receive_bytes() for _ in range(count)]


def echo(handler: Handler, message: bytes) -> None:
    handler.stream.send(message)


async def test_messages_come_back_in_order() -> None:
    async with serving(echo) as (_, client):
        stream = client.stream()
        sent = [b"%d" % number for number in range(50)]
        for message in sent:
            await stream.send_bytes(message)
        assert await read(stream, 50) == sent
        await stream.half_close()
        assert await stream.status() is grpc.StatusCode.OK


async def test_answers_of_one_message_leave_together_and_before_the_end() -> None:
    def burst_and_end(handler: Handler, _: bytes) -> None:
        for number in range(20):
            handler.stream.send(b"%d" % number)
        handler.stream.finish()
        handler.stream.send(b"too late")

    async with serving(burst_and_end) as (_, client):
        stream = client.stream()
        await stream.send_bytes(b"go")
        assert await read(stream, 20) == [b"%d" % number for number in range(20)]
        assert await stream.status() is grpc.StatusCode.OK


async def test_answers_that_come_while_others_are_written_keep_their_order() -> None:
    """gRPC refuses a second write while one is under way."""

    def burst_then_more(handler: Handler, _: bytes) -> None:
        for number in range(100):
            handler.stream.send(b"%d " % number + bytes(60_000))
        loop = asyncio.get_running_loop()
        for number in range(100, 200):
            loop.call_later((number - 100) * 0.0005, handler.stream.send, b"%d " % number)

    async with serving(burst_then_more) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"go")
        await eventually(lambda: transport.handlers)
        messages = await read(stream, 200)
        assert [int(message.split(b" ")[0]) for message in messages] == list(range(200))


async def test_answers_out_of_the_blue_are_sent_without_waiting_for_a_message() -> None:
    async with serving(echo) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"first")
        await read(stream, 1)
        for message in (b"a", b"b"):
            transport.handlers[0].stream.send(message)
        assert await read(stream, 2) == [b"a", b"b"]


async def test_a_stream_may_be_failed() -> None:
    def fail(handler: Handler, _: bytes) -> None:
        handler.stream.send(b"before")
        handler.stream.fail(grpc.StatusCode.INVALID_ARGUMENT, "what is this")
        handler.stream.send(b"after")

    async with serving(fail) as (_, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        assert await read(stream, 1) == [b"before"]
        assert await stream.status() is grpc.StatusCode.INVALID_ARGUMENT
        assert await stream.details() == "what is this"


async def test_a_stream_may_be_finished_from_outside_while_it_waits_for_a_message() -> None:
    async with serving(echo) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        transport.handlers[0].stream.finish()
        transport.handlers[0].stream.finish()
        assert await stream.status() is grpc.StatusCode.OK
        await eventually(lambda: transport.open_streams == 0)


async def test_a_stream_that_is_finished_while_it_writes_writes_to_the_end() -> None:
    async with serving(echo) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        server_side = transport.handlers[0].stream
        for number in range(100):
            server_side.send(b"%d " % number + bytes(60_000))
        asyncio.get_running_loop().call_later(0.001, server_side.finish)
        assert len(await read(stream, 100)) == 100
        assert await stream.status() is grpc.StatusCode.OK


@pytest.mark.parametrize("later", [False, True], ids=["while handling", "out of the blue"])
async def test_a_peer_that_goes_while_it_is_written_to_is_nothing_special(later: bool) -> None:
    def burst(handler: Handler, _message: bytes) -> None:
        for _ in range(200):
            handler.stream.send(bytes(60_000))

    def burst_later(handler: Handler, message: bytes) -> None:
        asyncio.get_running_loop().call_soon(burst, handler, message)

    async with serving(burst_later if later else burst) as (transport, client):
        for _ in range(3):
            stream = client.stream()
            await stream.send_bytes(b"go")
            assert len((await read(stream, 1))[0]) == 60_000
            stream.reset()
        await eventually(lambda: transport.open_streams == 0)


async def test_a_paused_stream_is_not_read() -> None:
    def pause(handler: Handler, message: bytes) -> None:
        handler.stream.send(message)
        if message == b"pause":
            handler.stream.pause_reading()

    async with serving(pause) as (transport, client):
        stream = client.stream()
        for message in (b"a", b"pause", b"b", b"c"):
            await stream.send_bytes(message)
        assert await read(stream, 2) == [b"a", b"pause"]
        other = client.stream()
        await other.send_bytes(b"x")
        assert await read(other, 1) == [b"x"]
        [handler, _] = transport.handlers
        assert handler.received == [b"a", b"pause"]
        handler.stream.resume_reading()
        assert await read(stream, 2) == [b"b", b"c"]


@pytest.mark.parametrize("end", ["reset", "finish", "half-close then resume"])
async def test_a_paused_stream_can_end(end: str) -> None:
    def pause(handler: Handler, _: bytes) -> None:
        handler.stream.pause_reading()

    async with serving(pause) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await eventually(lambda: transport.handlers and transport.handlers[0].received)
        if end == "reset":
            stream.reset()
        elif end == "finish":
            transport.handlers[0].stream.finish()
        else:
            await stream.half_close()
            transport.handlers[0].stream.resume_reading()
        await eventually(lambda: transport.open_streams == 0)


async def test_drain_tells_the_handlers_then_ends_with_ok() -> None:
    async with serving(echo) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        await transport.drain(0.05)
        assert transport.handlers[0].was_drained
        assert await stream.status() is grpc.StatusCode.OK
        await transport.drain(0.05)


async def test_drain_does_not_wait_for_streams_that_are_over() -> None:
    async with serving(echo) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        await stream.half_close()
        assert await stream.status() is grpc.StatusCode.OK
        async with asyncio.timeout(PATIENCE_S):
            await transport.drain(1000.0)


async def test_drain_ends_even_when_a_peer_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_transport, "ABORT_AFTER_S", 0.1)

    def flood(handler: Handler, _message: bytes) -> None:
        for _ in range(500):
            handler.stream.send(bytes(MIB))

    async with serving(flood) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await eventually(lambda: transport.handlers and transport.handlers[0].received)
        async with asyncio.timeout(PATIENCE_S):
            await transport.drain(0.0)
        assert transport.open_streams == 0


async def test_a_port_in_use_is_an_error() -> None:
    async with serving(echo) as (transport, _):
        with pytest.raises(RuntimeError, match="address"):
            await Transport(echo, transport.port).start()


async def test_a_transport_that_was_never_started_can_be_drained() -> None:
    await Transport(echo).drain(1.0)


async def test_a_message_above_the_limit_ends_its_stream_and_no_other() -> None:
    async with serving(echo) as (_, client):
        stream, other = client.stream(), client.stream()
        await other.send_bytes(b"x")
        await stream.send_bytes(bytes(MIB + grpc_transport.MESSAGE_OVERHEAD_BYTES + 1))
        assert await stream.status() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await read(other, 1) == [b"x"]
