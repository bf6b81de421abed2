"""The metrics page of one endpoint over HTTP, on one connection that is kept open.

Every page has an aiohttp session of its own, because a session is the smallest thing whose idle connection aiohttp
lets one close: when a pod leaves, its connection goes at once.
"""

import ssl
from typing import Literal

import aiohttp
import msgspec
from yarl import URL

from epp.core.domain.endpoint import Endpoint, destination
from epp.core.domain.errors import PickerError

MOST_PAGE_BYTES = 4 * 1024 * 1024
_KEEP_ALIVE_S = 30.0
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity", "User-Agent": "endpoint-picker"}


class PageOptions(msgspec.Struct, frozen=True):
    """Where metrics pages are and how to get them (--model-server-metrics-* and metrics-data-source)."""

    scheme: Literal["http", "https"] = "http"
    path: str = "/metrics"
    port: int = 0
    """0: the endpoint's own metrics port, else its serving port"""
    verify_certificate: bool = False
    """the reference's default: pods rarely have certificates that anybody could verify"""
    timeout_s: float = 1.0


class PageError(PickerError):
    """A page could not be read.

    `local_origin` when the endpoint itself could not be reached: no HTTP answer came from the address that also serves
    the requests. A metrics port of its own says nothing about the serving port.
    """

    def __init__(self, problem: str, *, local_origin: bool) -> None:
        super().__init__(problem)
        self.problem = problem
        self.local_origin = local_origin


class MetricsPage:
    """One endpoint's page; to be used within one event loop."""

    def __init__(self, endpoint: Endpoint, options: PageOptions, tls: ssl.SSLContext | None = None) -> None:
        """`tls` replaces the default context of https, for a CA or a client certificate of one's own.

        Raises ValueError when address and path make no URL.
        """
        host = endpoint.metrics_address or endpoint.address
        port = options.port or endpoint.metrics_port or endpoint.port
        self.url = f"{options.scheme}://{destination(host, port)}{options.path}"
        self._url = URL(self.url)
        self._is_serving_address = (host, port) == (endpoint.address, endpoint.port)
        self._tls = tls if tls is not None else options.verify_certificate
        self._timeout = aiohttp.ClientTimeout(total=options.timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def read(self) -> bytes:
        """The page, at most 4 MiB; raises PageError. Never call it twice at once."""
        if self._session is None:
            self._session = self._open_session()
        has_answered = False
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                has_answered = True
                if response.status != 200:
                    raise PageError(f"HTTP status {response.status}", local_origin=False)
                return await _body(response.content)
        except TimeoutError as error:
            problem = f"no complete answer within {self._timeout.total:g} s"
            raise PageError(problem, local_origin=self._is_local(has_answered)) from error
        except aiohttp.ClientSSLError as error:
            raise PageError(f"TLS: {error}", local_origin=False) from error
        except aiohttp.ClientError as error:
            problem = str(error) or type(error).__name__
            raise PageError(problem, local_origin=self._is_local(has_answered)) from error

    async def close(self) -> None:
        """Closes the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _is_local(self, has_answered: bool) -> bool:
        return self._is_serving_address and not has_answered

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1, limit_per_host=1, ssl=self._tls, keepalive_timeout=_KEEP_ALIVE_S)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            headers=_HEADERS,
            trust_env=False,
            auto_decompress=False,
        )


async def _body(content: aiohttp.StreamReader) -> bytes:
    parts = []
    size_bytes = 0
    while part := await content.readany():
        parts.append(part)
        size_bytes += len(part)
        if size_bytes > MOST_PAGE_BYTES:
            raise PageError(f"the page is longer than {MOST_PAGE_BYTES} bytes", local_origin=False)
    return b"".join(parts)
