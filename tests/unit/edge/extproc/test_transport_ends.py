"""However a stream ends, its handler is closed exactly once and what was queued is sent."""

import asyncio

import grpc
import pytest

from epp.edge.extproc import grpc_transport, native_transport
from epp.edge.extproc.transport import GrpcStatus
from tests.support.eventually import eventually
from tests.support.ext_proc_stream import PATIENCE_S
from tests.support.transports import KINDS
from tests.unit.edge.extproc.scripted_handler import MIB, Behaviour, Handler, echo, read, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("kind", KINDS)]


async def test_a_stream_may_be_failed(kind: str) -> None:
    def fail(handler: Handler, _: bytes) -> None:
        handler.stream.send(b"before")
        handler.stream.fail(GrpcStatus.INVALID_ARGUMENT, "what is this")
        handler.stream.send(b"after")

    async with serving(fail, kind) as (_, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        assert await read(stream, 1) == [b"before"]
        assert await stream.status() is grpc.StatusCode.INVALID_ARGUMENT
        assert await stream.details() == "what is this"


async def test_a_stream_may_be_finished_from_outside_while_it_waits_for_a_message(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        transport.handlers[0].stream.finish()
        transport.handlers[0].stream.finish()
        assert await stream.status() is grpc.StatusCode.OK
        await eventually(lambda: transport.open_streams == 0)


async def test_a_stream_that_is_finished_while_it_writes_writes_to_the_end(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        server_side = transport.handlers[0].stream
        for number in range(100):
            server_side.send(b"%d " % number + bytes(60_000))
        asyncio.get_running_loop().call_later(0.001, server_side.finish)
        assert len(await read(stream, 100)) == 100
        assert await stream.status() is grpc.StatusCode.OK


def burst(handler: Handler, _message: bytes) -> None:
    for _ in range(200):
        handler.stream.send(bytes(60_000))


def burst_out_of_the_blue(handler: Handler, message: bytes) -> None:
    asyncio.get_running_loop().call_soon(burst, handler, message)


def burst_and_finish(handler: Handler, message: bytes) -> None:
    burst(handler, message)
    handler.stream.finish()


def burst_and_fail(handler: Handler, message: bytes) -> None:
    burst(handler, message)
    handler.stream.fail(GrpcStatus.INTERNAL, "a fault")


@pytest.mark.parametrize("behaviour", [burst, burst_out_of_the_blue, burst_and_finish, burst_and_fail])
async def test_a_peer_that_goes_while_it_is_written_to_is_nothing_special(behaviour: Behaviour, kind: str) -> None:
    async with serving(behaviour, kind) as (transport, client):
        for _ in range(3):
            stream = client.stream()
            await stream.send_bytes(b"go")
            assert len((await read(stream, 1))[0]) == 60_000
            stream.reset()
        await eventually(lambda: transport.open_streams == 0)


@pytest.mark.parametrize("end", ["reset", "finish", "half-close then resume"])
async def test_a_paused_stream_can_end(end: str, kind: str) -> None:
    def pause(handler: Handler, _: bytes) -> None:
        handler.stream.pause_reading()

    async with serving(pause, kind) as (transport, client):
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


async def test_drain_tells_the_handlers_then_ends_with_ok(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        await transport.drain(0.05)
        assert transport.handlers[0].was_drained
        assert await stream.status() is grpc.StatusCode.OK
        await transport.drain(0.05)


async def test_drain_does_not_wait_for_streams_that_are_over(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await read(stream, 1)
        await stream.half_close()
        assert await stream.status() is grpc.StatusCode.OK
        async with asyncio.timeout(PATIENCE_S):
            await transport.drain(1000.0)


async def test_drain_ends_even_when_a_peer_does_not_read(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    for transport_module in (grpc_transport, native_transport):
        monkeypatch.setattr(transport_module, "ABORT_AFTER_S", 0.1)

    chunk = bytes(MIB)

    def flood(handler: Handler, _message: bytes) -> None:
        for _ in range(500):
            handler.stream.send(chunk)

    async with serving(flood, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"x")
        await eventually(lambda: transport.handlers and transport.handlers[0].received)
        async with asyncio.timeout(PATIENCE_S):
            await transport.drain(0.0)
        assert transport.open_streams == 0
