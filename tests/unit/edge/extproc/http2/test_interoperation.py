"""Clients that others wrote, over sockets: the gRPC library's and h2's; plaintext and TLS; both event loops."""

import asyncio
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import grpc
import pytest

from epp.edge.extproc.transport import PROCESS, GrpcStatus
from tests.support.eventually import eventually
from tests.support.h2_client import H2Client
from tests.unit.edge.extproc.http2.frames import GRPC, message
from tests.unit.edge.extproc.http2.served_echo import (
    HOST,
    WITHIN_S,
    Certificates,
    ServedEcho,
    on_every_loop,
    run_on,
    served_echo,
    with_and_without_tls,
)
from tests.unit.edge.extproc.scripted_handler import MIB, Handler

CONTENTS = [b"", b"a", random.Random(1).randbytes(70_000), random.Random(2).randbytes(3 * MIB), b"", b"z"]
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
Serving = AbstractAsyncContextManager[ServedEcho]
HEADERS = [(name, value) for name, value in GRPC if not name.startswith(":")]


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates()


class GrpcClient:
    """The gRPC library's, in threads of its own: it knows nothing of the server's event loop."""

    def __init__(self, echo: ServedEcho, roots: bytes | None) -> None:
        if roots is None:
            self._channel = grpc.insecure_channel(echo.address, options=OPTIONS)
        else:
            self._channel = grpc.secure_channel(echo.address, grpc.ssl_channel_credentials(roots), options=OPTIONS)

    def call(
        self, contents: list[bytes], *, compression: grpc.Compression | None = None, metadata: int = 0
    ) -> list[bytes]:
        """Says all of it, then hears all of it; raises grpc.RpcError."""
        fields = (("x-filler", "f" * metadata),) if metadata else None
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(PROCESS)
        return list(method(iter(contents), timeout=WITHIN_S, compression=compression, metadata=fields))

    def call_one(self, content: bytes) -> bytes:
        """As a client of a method with one request and one answer."""
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(PROCESS)
        return method(content, timeout=WITHIN_S)

    def call_unknown(self) -> None:
        """A method that nobody has."""
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary("/a/b")
        method(b"x", timeout=WITHIN_S)

    def cancelled(self) -> grpc.StatusCode:
        """Hears one answer and goes."""
        method: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(PROCESS)
        is_over = threading.Event()

        def says_one() -> Iterator[bytes]:
            yield b"x"
            is_over.wait(WITHIN_S)

        call = method(says_one(), timeout=WITHIN_S)
        next(call)
        call.cancel()
        is_over.set()
        return call.code()

    def close(self) -> None:
        self._channel.close()


def with_grpc(
    loop: str, roots: bytes | None, serve: Callable[[], Serving], work: Callable[[GrpcClient], object]
) -> ServedEcho:
    """Serves, and lets a client work in a thread."""

    async def main() -> ServedEcho:
        async with serve() as served:
            client = GrpcClient(served, roots)
            try:
                await asyncio.to_thread(work, client)
                await eventually(lambda: served.transport.open_streams == 0)
            finally:
                client.close()
        return served

    return run_on(loop, main)


@on_every_loop
@with_and_without_tls
def test_the_grpc_library(loop: str, tls: bool, certificates: Certificates) -> None:
    def work(client: GrpcClient) -> None:
        assert client.call(CONTENTS) == CONTENTS
        assert client.call([]) == []
        assert client.call_one(b"alone") == b"alone"
        assert client.call([b"x"], metadata=6_000) == [b"x"]
        for number in range(20):
            assert client.call([b"%d" % number]) == [b"%d" % number]

    context = certificates.server() if tls else None
    served = with_grpc(loop, certificates.roots if tls else None, lambda: served_echo(context), work)
    assert len(served.handlers) == 24


def ending(handler: Handler, content: bytes) -> None:
    if content == b"fail":
        handler.stream.fail(GrpcStatus.FAILED_PRECONDITION, "wär's möglich?\n100 %")
    elif content == b"finish":
        handler.stream.finish()
    else:
        handler.stream.send(content)


@on_every_loop
def test_ends_as_the_grpc_library_sees_them(loop: str) -> None:
    def work(client: GrpcClient) -> None:
        with pytest.raises(grpc.RpcError) as failed:
            client.call([b"a", b"fail"])
        assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert failed.value.details() == "wär's möglich?\n100 %"
        assert client.call([b"a", b"finish", b"b"]) == [b"a"]
        with pytest.raises(grpc.RpcError) as too_long:
            client.call([bytes(9 * MIB + 1)])
        assert too_long.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as compressed:
            client.call([b"a" * 1_000], compression=grpc.Compression.Gzip)
        assert compressed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert client.cancelled() is grpc.StatusCode.CANCELLED
        with pytest.raises(grpc.RpcError) as unknown:
            client.call_unknown()
        assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED

    with_grpc(loop, None, lambda: served_echo(behaviour=ending), work)


def calls_of_h2(client: H2Client, count: int) -> list[asyncio.Task[None]]:
    async def call(number: int) -> None:
        body = b"".join(message(content) for content in [b"%d" % number, bytes(40_000), b""])
        response = await client.request("POST", PROCESS, headers=HEADERS, body=body)
        assert (response.status, bytes(response.body)) == (200, body)
        assert response.trailers == {"grpc-status": "0"}

    return [asyncio.create_task(call(number)) for number in range(count)]


@on_every_loop
@with_and_without_tls
def test_h2(loop: str, tls: bool, certificates: Certificates) -> None:
    async def main() -> None:
        context = certificates.server() if tls else None
        async with served_echo(context) as served:
            port = served.transport.port
            async with H2Client(HOST, port, certificates.client("h2") if tls else None) as client:
                await asyncio.gather(*calls_of_h2(client, 30))
                refused = await client.request("GET", "/", headers=[("accept", "text/html")])
                assert refused.status == 415
                body = message(os.urandom(2 * MIB))
                response = await client.request("POST", PROCESS, headers=HEADERS, body=body)
                assert bytes(response.body) == body

    run_on(loop, main)


async def agreed_protocol(port: int, certificates: Certificates, *alpn: str) -> str | None:
    _, writer = await asyncio.open_connection(HOST, port, ssl=certificates.client(*alpn))
    agreed: str | None = writer.get_extra_info("ssl_object").selected_alpn_protocol()
    writer.transport.abort()
    return agreed


@on_every_loop
def test_what_is_agreed_on_in_the_handshake(loop: str, certificates: Certificates) -> None:
    async def main() -> None:
        async with served_echo(certificates.server()) as served:
            port = served.transport.port
            assert await agreed_protocol(port, certificates, "http/1.1", "h2") == "h2"
            assert await agreed_protocol(port, certificates, "http/1.1") is None
            async with H2Client(HOST, port, certificates.client()) as client:
                await asyncio.gather(*calls_of_h2(client, 1))

    run_on(loop, main)


@on_every_loop
@with_and_without_tls
def test_a_client_of_http_1_is_told_goodbye(loop: str, tls: bool, certificates: Certificates) -> None:
    async def main() -> bytes:
        async with served_echo(certificates.server() if tls else None) as served:
            context = certificates.client("http/1.1") if tls else None
            reader, writer = await asyncio.open_connection(HOST, served.transport.port, ssl=context)
            writer.write(b"GET / HTTP/1.1\r\nhost: picker\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert run_on(loop, main).endswith(b"not the preface of HTTP/2")
