"""One connection to a metrics server: asks one question at a time, and tells what became of it."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import cast

import msgspec

from epp.edge.scrape.response_reader import Response, ResponseError, ResponseReader


class Failure(msgspec.Struct, frozen=True):
    """Why there is no answer."""

    problem: str
    has_head: bool = False
    """somebody who speaks HTTP was there"""
    is_silent: bool = False
    """the connection ended before the first byte of an answer"""
    is_tls: bool = False

    @classmethod
    def of(
        cls, what: str, error: OSError | UnicodeError, *, has_head: bool = False, is_silent: bool = False
    ) -> "Failure":
        """`what` happened, because of the error (a UnicodeError is of a name that no host can have)."""
        if isinstance(error, ssl.SSLError):
            return cls(f"TLS: {error}", has_head=has_head, is_silent=is_silent, is_tls=True)
        if isinstance(error, UnicodeError | socket.gaierror) or error.errno is None:
            reason = str(error) or type(error).__name__
        else:
            reason = os.strerror(error.errno)
        return cls(f"{what}: {reason}", has_head=has_head, is_silent=is_silent)


class PageConnection(asyncio.Protocol):
    """For asyncio.create_connection. Usable as long as `is_open`."""

    def __init__(self, told: Callable[[Response | Failure], None]) -> None:
        """`told` is called once for each `ask`, except after `close`; never from within one of them."""
        self.is_open = False
        self.is_waiting = False
        """for an answer"""
        self._told = told
        self._reader = ResponseReader()
        self._transport: asyncio.Transport

    @property
    def has_head(self) -> bool:
        """Whether somebody who speaks HTTP has answered."""
        return self._reader.has_head

    def ask(self, request: bytes) -> None:
        """Sends a request, while the connection is open and waits for nothing."""
        self._reader.begin()
        self.is_waiting = True
        self._transport.write(request)

    def close(self) -> None:
        """At once; nothing is told any more."""
        self.is_waiting = False
        if self.is_open:
            self.is_open = False
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop do not inherit from it
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if not self.is_waiting:  # what nobody asked for must not pass for the next answer
            self.close()
            return
        try:
            response = self._reader.feed(data)
        except ResponseError as error:
            self.close()
            self._told(Failure(str(error), has_head=self.has_head))
            return
        if response is not None:
            self.is_waiting = False
            if not response.keeps_connection:
                self.close()
            self._told(response)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.is_open = False
        if not self.is_waiting:
            return
        self.is_waiting = False
        self._told(self._last_word(exc))

    def _last_word(self, cause: Exception | None) -> Response | Failure:
        reader = self._reader
        is_silent = not reader.wire_bytes
        if isinstance(cause, OSError):
            return Failure.of("the connection broke", cause, has_head=reader.has_head, is_silent=is_silent)
        try:
            return reader.end()
        except ResponseError as error:
            return Failure(str(error), has_head=reader.has_head, is_silent=is_silent)
