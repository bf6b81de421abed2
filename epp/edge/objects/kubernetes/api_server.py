"""Requests to one API server: credentials that renew themselves, time-outs, and errors of our own.

Transport and credentials are the official client's (kubernetes.aio). Bodies come and go as they are.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException
from yarl import URL

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import Clock
from epp.edge.objects.kubernetes.access import Access
from epp.edge.objects.kubernetes.errors import Silent, StatusError, Unreachable, status_error
from epp.edge.objects.kubernetes.lines import lines

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
CONNECT_WITHIN_S = 10.0
ANSWER_WITHIN_S = 30.0
RENEW_EVERY_S = 5.0
"""credentials are read anew at most this often"""
DEAD_PEER_AFTER_MS = 20_000
"""a connection whose other end acknowledges nothing is given up"""
MOST_ERROR_BYTES = 64 * 1024

Query = Sequence[tuple[str, str]]


class ApiServer:
    """Every method raises ApiError; `url` names the server once it is known."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._client: _Client | None = None
        self._opening = asyncio.Lock()
        self._renewed_at = float("-inf")

    @property
    def url(self) -> str:
        """`https://host:port`, or words before the credentials were read."""
        return self._client.url if self._client else "the API server"

    async def open(self) -> None:
        """Reads the credentials, without asking the server anything; raises InvalidInput."""
        async with self._opening:
            if self._client is None:
                self._client = await self._open()

    async def request(
        self,
        method: str,
        path: str,
        query: Query = (),
        *,
        body: Any = None,
        content_type: str = JSON,
        timeout_s: float = ANSWER_WITHIN_S,
    ) -> bytes:
        """The body of a 2xx answer; `body` is what JSON is made of."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_WITHIN_S)
        async with self._answer(_Ask(method, path, query, timeout, body, content_type)) as response:
            return await response.read()

    @asynccontextmanager
    async def watch(self, path: str, query: Query, *, silence_s: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """Lines of a 2xx answer, as they come; entered when the server has agreed.

        Ends when the server ends it in order; a line that is cut off is left out. Raises Silent after `silence_s`
        without a byte.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_WITHIN_S, sock_read=silence_s)
        async with self._answer(_Ask("GET", path, query, timeout)) as response:
            try:
                yield lines(response.content.iter_any())
            except TimeoutError as error:
                raise Silent(f"{self.url}: GET {path}: nothing for {silence_s:g} s") from error

    async def close(self) -> None:
        """Ends every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.retire()

    @asynccontextmanager
    async def _answer(self, ask: "_Ask") -> AsyncIterator[aiohttp.ClientResponse]:
        client = await self._opened()
        try:
            response = await client.send(ask)
            if response.status == 401 and await self._renew(client):
                response.close()
                client = await self._opened()
                response = await client.send(ask)
            try:
                if response.status >= 300:
                    raise await _refused(response, ask)
                yield response
            finally:
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{client.url} cannot be asked: {_said(error)}") from error

    async def _opened(self) -> "_Client":
        async with self._opening:
            if self._client is None:
                self._client = await self._reopen()
            return self._client

    async def _reopen(self) -> "_Client":
        """A file that is broken now may be whole the next time."""
        try:
            return await self._open()
        except InvalidInput as error:
            raise Unreachable(str(error)) from error

    async def _open(self) -> "_Client":
        self._renewed_at = self._clock()
        configuration = await self._access()
        try:
            return _Client(configuration)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(
                filter(None, (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file))
            )
            raise InvalidInput(files or "credentials", f"no certificates that can be used: {error}") from error

    async def _renew(self, used: "_Client") -> bool:
        """Reads the credentials anew, unless that was done a moment ago; whether there are others now."""
        async with self._opening:
            if self._client is not used:
                return self._client is not None
            if self._clock() - self._renewed_at < RENEW_EVERY_S:
                return False
            self._client = await self._reopen()
        await used.retire()  # whoever still reads from it asks again, with the new ones
        return True


class _Ask(msgspec.Struct, frozen=True):
    """One request."""

    method: str
    path: str
    query: Query
    timeout: aiohttp.ClientTimeout
    body: Any = None
    content_type: str = JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class _Client:
    """Transport and credentials as they were read together."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.rest = _Transport(configuration)
        self.url: str = configuration.host
        self._sending = 0
        self._is_retired = False

    async def retire(self) -> None:
        """Closes the connections, those of requests that are being sent as soon as they have an answer.

        aiohttp has no error for a session that is closed under a request: it fails an assertion.
        """
        self._is_retired = True
        if not self._sending:
            await self.rest.close()

    async def send(self, ask: _Ask) -> aiohttp.ClientResponse:
        """The answer when its headers are there."""
        self._sending += 1
        try:
            return await self._send(ask)
        finally:
            self._sending -= 1
            if self._is_retired and not self._sending:
                await self.rest.close()

    async def _send(self, ask: _Ask) -> aiohttp.ClientResponse:
        query = f"?{urlencode(ask.query)}" if ask.query else ""
        url = URL(f"{self.url}{ask.path}{query}", encoded=True)
        headers = {"Accept": JSON, "Content-Type": ask.content_type, "User-Agent": "endpoint-picker"}
        request: Any = self.rest.request
        try:
            # A token that has a file is read again by the library when it is due.
            settings: Any = await self._configuration.auth_settings()
            headers.update((setting["key"], setting["value"]) for setting in settings.values())
            answer = await request(ask.method, url, headers=headers, body=ask.body, _request_timeout=ask.timeout)
        except (ApiException, ConfigException) as error:
            raise Unreachable(f"{self.url} cannot be asked: {error}") from error
        response: aiohttp.ClientResponse = answer.response
        return response


class _Transport(RESTClientObject):
    """The library's, with connections that notice when the other end has gone without a word."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=0, ssl=self.ssl_context, socket_factory=_watchful_socket)


def _watchful_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_AFTER_MS)
    return opened


async def _refused(response: aiohttp.ClientResponse, ask: _Ask) -> StatusError:
    body = await response.content.read(MOST_ERROR_BYTES)
    return status_error(response.status, str(ask), body, response.headers.get("Retry-After", ""))


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
