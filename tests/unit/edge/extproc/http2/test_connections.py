"""Connections on real sockets: handshakes that never end, too many of them, what a drain leaves behind."""

import asyncio

import pytest

from epp.edge.extproc.http2.limits import Http2Limits
from tests.support.eventually import eventually
from tests.unit.edge.extproc.http2.frames import PREFACE, data, headers, message, settings
from tests.unit.edge.extproc.http2.served_echo import (
    HOST,
    Certificates,
    ServedEcho,
    on_every_loop,
    run_on,
    served_echo,
    with_and_without_tls,
)

GOAWAY = b"\0\0\x08\x07\0\0\0\0\0"
"""head of the frame, without a text"""


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


async def until_end(reader: asyncio.StreamReader) -> bytes:
    """All that comes; a reset is an end, too."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@on_every_loop
@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["nothing", "a few bytes"])
def test_a_handshake_that_never_ends(loop: str, said: bytes, certificates: Certificates) -> None:
    async def main() -> None:
        async with served_echo(certificates.server(), limits=Http2Limits(handshake_within_s=0.05)) as served:
            reader, writer = await asyncio.open_connection(HOST, served.transport.port)
            writer.write(said)
            assert await until_end(reader) == b""
            writer.close()
            assert served.transport._connections == set()

    run_on(loop, main)


@on_every_loop
def test_plaintext_on_a_port_with_tls(loop: str, certificates: Certificates) -> None:
    async def main() -> None:
        async with served_echo(certificates.server()) as served:
            reader, writer = await asyncio.open_connection(HOST, served.transport.port)
            writer.write(PREFACE + settings())
            await until_end(reader)
            writer.close()
            assert served.handlers == []

    run_on(loop, main)


async def greeted(served: ServedEcho) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, served.transport.port)
    writer.write(PREFACE + settings())
    await reader.readexactly(9)
    return reader, writer


@on_every_loop
def test_more_connections_than_allowed_are_closed_as_they_come(loop: str) -> None:
    async def main() -> None:
        async with served_echo(most_connections=2) as served:
            (_, first), (second_reader, second) = [await greeted(served) for _ in range(2)]
            reader, third = await asyncio.open_connection(HOST, served.transport.port)
            assert await until_end(reader) == b""
            name = third.get_extra_info("sockname")
            detail = "2 connections are open, and no more are taken"
            assert served.ended == [(f"{name[0]}:{name[1]}", "too_many", detail)]
            third.close()
            second.write(headers(1) + data(1, message(b"x")))
            await second_reader.readuntil(message(b"x"))
            first.close()
            await eventually(lambda: len(served.transport._connections) == 1)
            _, fourth = await greeted(served)
            fourth.close()
            second.close()

    run_on(loop, main)


@on_every_loop
@with_and_without_tls
def test_a_connection_that_was_in_its_handshake_when_the_server_was_drained_is_sent_away(
    loop: str, tls: bool, certificates: Certificates
) -> None:
    async def main() -> bytes:
        async with served_echo(certificates.server() if tls else None) as served:
            reader, writer = await asyncio.open_connection(HOST, served.transport.port)
            if tls:
                context = certificates.client("h2")
                _, second = await asyncio.open_connection(HOST, served.transport.port, ssl=context)
                second.transport.abort()  # once a later one was taken, the first one was, too
                await served.transport.drain(0.0)
                await writer.start_tls(certificates.client("h2"), server_hostname=HOST)
            else:
                await eventually(lambda: served.transport._connections)
                await served.transport.drain(0.0)
            answer = await until_end(reader)
            writer.close()
            await eventually(lambda: not served.transport._connections)
            return answer

    assert GOAWAY in run_on(loop, main)


@on_every_loop
def test_a_client_that_goes_without_a_word(loop: str) -> None:
    async def main() -> None:
        async with served_echo() as served:
            reader, writer = await greeted(served)
            writer.write(headers(1) + data(1, message(b"x")))
            await reader.readuntil(message(b"x"))
            assert served.transport.open_streams == 1
            writer.transport.abort()
            await eventually(lambda: not served.transport._connections)
            assert served.handlers[0].closed_times == 1

    run_on(loop, main)
