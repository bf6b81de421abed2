"""A transport carries messages: in order, one write at a time, paused when told so."""

import asyncio

import grpc
import pytest

from epp.edge.extproc.native_transport import MESSAGE_OVERHEAD_BYTES
from tests.support.eventually import eventually
from tests.support.transports import KINDS
from tests.unit.edge.extproc.scripted_handler import MIB, Handler, ScriptedTransport, echo, read, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("kind", KINDS)]


async def test_messages_come_back_in_order(kind: str) -> None:
    async with serving(echo, kind) as (_, client):
        stream = client.stream()
        sent = [b"%d" % number for number in range(50)]
        for message in sent:
            await stream.send_bytes(message)
        assert await read(stream, 50) == sent
        await stream.half_close()
        assert await stream.status() is grpc.StatusCode.OK


async def test_answers_of_one_message_leave_together_and_before_the_end(kind: str) -> None:
    def burst_and_end(handler: Handler, _: bytes) -> None:
        for number in range(20):
            handler.stream.send(b"%d" % number)
        handler.stream.finish()
        handler.stream.send(b"too late")

    async with serving(burst_and_end, kind) as (_, client):
        stream = client.stream()
        await stream.send_bytes(b"go")
        assert await read(stream, 20) == [b"%d" % number for number in range(20)]
        assert await stream.status() is grpc.StatusCode.OK


async def test_answers_that_come_while_others_are_written_keep_their_order(kind: str) -> None:
    """gRPC refuses a second write while one is under way."""

    def burst_then_more(handler: Handler, _: bytes) -> None:
        for number in range(100):
            handler.stream.send(b"%d " % number + bytes(60_000))
        loop = asyncio.get_running_loop()
        for number in range(100, 200):
            loop.call_later((number - 100) * 0.0005, handler.stream.send, b"%d " % number)

    async with serving(burst_then_more, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"go")
        await eventually(lambda: transport.handlers)
        messages = await read(stream, 200)
        assert [int(message.split(b" ")[0]) for message in messages] == list(range(200))


async def test_answers_to_messages_do_not_interrupt_others_that_are_being_written(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"first")
        await read(stream, 1)
        for number in range(100):
            transport.handlers[0].stream.send(b"%d " % number + bytes(60_000))
        for _ in range(20):
            await stream.send_bytes(b"echo")
        messages = await read(stream, 120)
        blue = [int(message.split(b" ")[0]) for message in messages if message != b"echo"]
        assert blue == list(range(100))
        assert messages.count(b"echo") == 20


async def test_answers_out_of_the_blue_are_sent_without_waiting_for_a_message(kind: str) -> None:
    async with serving(echo, kind) as (transport, client):
        stream = client.stream()
        await stream.send_bytes(b"first")
        await read(stream, 1)
        for message in (b"a", b"b"):
            transport.handlers[0].stream.send(message)
        assert await read(stream, 2) == [b"a", b"b"]


async def test_a_paused_stream_is_not_read(kind: str) -> None:
    def pause(handler: Handler, message: bytes) -> None:
        handler.stream.send(message)
        if message == b"pause":
            handler.stream.pause_reading()

    async with serving(pause, kind) as (transport, client):
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


async def test_a_port_in_use_is_an_error(kind: str) -> None:
    async with serving(echo, kind) as (transport, _):
        with pytest.raises(RuntimeError, match="address"):
            await ScriptedTransport(echo, kind, transport.port).start()


async def test_a_transport_that_was_never_started_can_be_drained(kind: str) -> None:
    await ScriptedTransport(echo, kind).drain(1.0)


async def test_a_message_above_the_limit_ends_its_stream_and_no_other(kind: str) -> None:
    async with serving(echo, kind) as (_, client):
        stream, other = client.stream(), client.stream()
        await other.send_bytes(b"x")
        await stream.send_bytes(bytes(MIB + MESSAGE_OVERHEAD_BYTES + 1))
        assert await stream.status() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await read(other, 1) == [b"x"]
