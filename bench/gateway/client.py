"""One connection of the load generator: a request goes out, its answer is read as it comes and judged by its head."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from bench.gateway.answers import ANSWER_HEADER, DECISION_HEADER
from bench.gateway.bodies import PATH, BodyTemplate
from bench.gateway.http1 import HttpError, MessageReader, header, status_of


class Exchange(msgspec.Struct, gc=False):
    """One request and its answer; times are those of time.perf_counter()."""

    due_at: float
    """when it was to be sent; it may have waited for a connection since"""
    first_byte_at: float = 0.0
    ended_at: float = 0.0
    status: int = 0
    decision: str = ""
    """what the pod says of the picker's decision; empty when no pod answered"""
    body_bytes: int = 0


class RequestWriter:
    """Requests as bytes, from a ring of bodies."""

    def __init__(self, bodies: Sequence[BodyTemplate], is_streamed: bool) -> None:
        self._parts = [(self._head(body, is_streamed) + body.before, body) for body in bodies]

    @staticmethod
    def _head(body: BodyTemplate, is_streamed: bool) -> bytes:
        answer = b"%b: stream\r\n" % ANSWER_HEADER if is_streamed else b""
        return (
            b"POST %b HTTP/1.1\r\nhost: models.example\r\nuser-agent: bench\r\naccept: */*\r\n"
            b"content-type: application/json\r\n%bcontent-length: %d\r\n\r\n" % (PATH.encode(), answer, body.size_bytes)
        )

    def pieces(self, number: int) -> tuple[bytes, bytes, bytes]:
        """Head and body of a request; no two numbers give the same prompt."""
        head, body = self._parts[number % len(self._parts)]
        _, digits, after = body.pieces(number)
        return head, digits, after


class ClientConnection(asyncio.Protocol):
    """Carries one request at a time.

    `on_answer` is told of every whole answer, `on_lost` of the connection's end, with a reason if that cut an answer.
    """

    def __init__(
        self,
        on_answer: "Callable[[ClientConnection, Exchange], None]",
        on_lost: "Callable[[ClientConnection, str], None]",
    ) -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._reader = MessageReader(self._head_read, self._answer_read)
        self._exchange: Exchange | None = None
        self._is_abandoned = False

    @property
    def is_idle(self) -> bool:
        """Whether no answer is outstanding."""
        return self._exchange is None

    def send(self, pieces: Sequence[bytes], due_at: float) -> None:
        """Sends a request; the connection must be idle."""
        self._exchange = Exchange(due_at)
        self._transport.writelines(pieces)

    def abandon(self) -> None:
        """Ends the connection; nobody is told."""
        self._is_abandoned = True
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop do not inherit from it

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        exchange = self._exchange
        if exchange is None:
            self._break(f"an answer to nothing: {data[:40]!r}")
            return
        if not exchange.first_byte_at:
            exchange.first_byte_at = time.perf_counter()
        try:
            self._reader.feed(data)
        except HttpError as error:
            self._break(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._is_abandoned:
            return
        reason = ""
        if self._exchange is not None:
            seen = "cut within the answer" if self._exchange.first_byte_at else "cut before the answer"
            reason = f"{seen} ({exc})" if exc else seen
            self._exchange = None
        self._on_lost(self, reason)

    def _head_read(self, head: bytes) -> None:
        assert self._exchange is not None
        self._exchange.status = status_of(head)
        self._exchange.decision = header(head, DECISION_HEADER).decode()

    def _answer_read(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        exchange.ended_at = time.perf_counter()
        exchange.body_bytes = self._reader.body_bytes
        self._exchange = None
        self._on_answer(self, exchange)

    def _break(self, reason: str) -> None:
        self.abandon()
        self._exchange = None
        self._on_lost(self, reason)
