"""A metrics server on loopback that answers as a test wants it, byte for byte, and the page that reads from it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.edge.scrape.metrics_page import MetricsPage, PageError, PageOptions
from tests.support.eventually import eventually

PAGE = b"vllm:num_requests_waiting 5\n"
PATIENT = PageOptions(timeout_s=10.0)
SOON = PageOptions(timeout_s=0.2)
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def response(body: bytes = PAGE, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Server:
    """Gives the same answer to every request and keeps count."""

    def __init__(self) -> None:
        self.answer: Answer = sends(response())
        self.port = 0
        self.connections = 0
        self.open_connections = 0
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while not writer.is_closing():
                    self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                    await self.answer(writer)
        finally:
            self.open_connections -= 1
            writer.close()


def sends(*parts: bytes, then: str = "") -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        if then == "close":
            writer.close()
        elif then == "reset":
            writer.transport.abort()

    return answer


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await eventually(lambda: server.open_connections == 0, what="all connections are closed")


@asynccontextmanager
async def page_at(
    port: int, options: PageOptions = PATIENT, tls: ssl.SSLContext | None = None
) -> AsyncIterator[MetricsPage]:
    page = MetricsPage(endpoint(port), options, tls)
    try:
        yield page
    finally:
        page.close()


def endpoint(port: int, metrics_address: str = "", metrics_port: int = 0, address: str = "127.0.0.1") -> Endpoint:
    return Endpoint.create(
        namespace="default",
        pod=f"pod-{port}",
        rank=0,
        address=address,
        port=port,
        metrics_address=metrics_address,
        metrics_port=metrics_port,
    )


async def read(page: MetricsPage) -> bytes:
    """The page; raises PageError."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def tell(result: bytes | PageError) -> None:
        if isinstance(result, PageError):
            told.set_exception(result)
        else:
            told.set_result(result)

    page.read(tell)
    return await told


async def failure(page: MetricsPage) -> PageError:
    with pytest.raises(PageError) as caught:
        await read(page)
    return caught.value
