"""The metrics page of one endpoint over HTTP, on one connection that is kept open.

A thousand pages a second are asked for here, so a page that is asked for costs no task and no timer of its own: what
came is told in the step in which it comes, and the time limit is one timer of the page, set anew only when it goes off.
Only opening a connection takes a task.
"""

import asyncio
import functools
import ssl
from collections.abc import Callable
from typing import Literal

import msgspec
from yarl import URL

from epp.core.domain.endpoint import Endpoint, destination
from epp.core.domain.errors import PickerError
from epp.edge.scrape.page_connection import Failure, PageConnection
from epp.edge.scrape.response_reader import OK, Response

_REQUEST = (
    "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/plain\r\nAccept-Encoding: identity\r\n"
    "User-Agent: endpoint-picker\r\n\r\n"
)


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


Told = Callable[[bytes | PageError], None]


class MetricsPage:
    """One endpoint's page; to be used within one event loop."""

    def __init__(self, endpoint: Endpoint, options: PageOptions, tls: ssl.SSLContext | None = None) -> None:
        """`tls` replaces the default context of https, for a CA or a client certificate of one's own.

        Raises ValueError when address and path make no URL.
        """
        host = endpoint.metrics_address or endpoint.address
        port = options.port or endpoint.metrics_port or endpoint.port
        self.url = f"{options.scheme}://{destination(host, port)}{options.path}"
        url = URL(self.url)
        self._host, self._port = url.raw_host or host, port
        self._request = _REQUEST.format(target=url.raw_path_qs, host=url.host_port_subcomponent).encode()
        self._is_serving_address = (host, port) == (endpoint.address, endpoint.port)
        self._tls = _tls_of(options, tls)
        self._timeout_s = options.timeout_s
        self._told: Told | None = None
        """whom to tell of the page that is being read"""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._connection: PageConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._may_ask_again = False

    def read(self, told: Told) -> None:
        """Asks for the page and calls `told` once, later: with the page, at most 4 MiB, or with what went wrong.

        Never ask again before that. After `close` nothing is told.
        """
        loop = asyncio.get_running_loop()
        self._told = told
        self._deadline = loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._look_at_the_clock)
        connection = self._connection
        if connection is not None and connection.is_open:
            self._may_ask_again = True
            connection.ask(self._request)
        else:
            self._open(loop)

    def close(self) -> None:
        """Closes the connection."""
        self._told = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._drop()

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = None
        self._may_ask_again = False
        self._opening = loop.create_task(self._ask_anew(loop))

    async def _ask_anew(self, loop: asyncio.AbstractEventLoop) -> None:
        """Opens a connection and asks."""
        try:
            _, connection = await loop.create_connection(
                lambda: PageConnection(self._answered), self._host, self._port, ssl=self._tls
            )
        except (OSError, UnicodeError) as error:
            self._opening = None
            self._fail(Failure.of("cannot connect", error))
            return
        self._opening = None
        self._connection = connection
        if connection.is_open:
            connection.ask(self._request)
        else:
            self._fail(Failure("the server closed the connection without an answer"))

    def _answered(self, outcome: Response | Failure) -> None:
        if isinstance(outcome, Failure):
            if outcome.is_silent and self._may_ask_again:
                # The server closed an idle connection just as we asked; that says nothing about the page.
                self._open(asyncio.get_running_loop())
            else:
                self._fail(outcome)
        elif outcome.status == OK:
            self._tell(outcome.body)
        else:
            self._fail(Failure(f"HTTP status {outcome.status}", has_head=True))

    def _look_at_the_clock(self) -> None:
        """Once per time limit, however often the page was read meanwhile."""
        self._timer = None
        if self._told is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._look_at_the_clock)
            return
        has_head = self._connection is not None and self._connection.has_head
        self._drop()
        self._fail(Failure(f"no complete answer within {self._timeout_s:g} s", has_head=has_head))

    def _fail(self, failure: Failure) -> None:
        """Whoever fails at TLS is there."""
        is_there = failure.has_head or failure.is_tls
        self._tell(PageError(failure.problem, local_origin=self._is_serving_address and not is_there))

    def _tell(self, result: bytes | PageError) -> None:
        told, self._told = self._told, None
        if told is not None:
            told(result)

    def _drop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tls_of(options: PageOptions, given: ssl.SSLContext | None) -> ssl.SSLContext | None:
    if options.scheme == "http":
        return None
    return given if given is not None else _default_tls(options.verify_certificate)


@functools.cache
def _default_tls(verify_certificate: bool) -> ssl.SSLContext:
    """One for all pages: to read the certificates of the system takes milliseconds."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if not verify_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
