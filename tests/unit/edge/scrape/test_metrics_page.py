"""Metrics pages over real connections on loopback."""

import asyncio
import ssl
from contextlib import suppress
from functools import partial

import pytest
import trustme

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import LoadReport
from epp.edge.scrape.dialects import Dialects
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.metrics_page import MetricsPage, PageError, PageOptions
from epp.edge.scrape.period import Attention, ScrapeBudget
from epp.edge.scrape.poller import Poller, ScrapeProblem
from epp.edge.scrape.response_reader import MOST_PAGE_BYTES
from tests.support.eventually import eventually
from tests.support.page_server import PAGE, SOON, endpoint, failure, page_at, read, response, sends, serving

ON_EVERY_LOOP = True


async def eventually_reads(page: MetricsPage) -> None:
    for _ in range(20):  # the page's time limit is short here, the machine may be slow
        with suppress(PageError):
            assert await read(page) == PAGE
            return
    raise AssertionError("the page cannot be read")


async def test_keeps_one_connection() -> None:
    async with serving() as server, page_at(server.port) as page:
        for _ in range(5):
            assert await read(page) == PAGE
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_asks_plainly() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response(PAGE, "200 OK", "set-cookie: a=b; path=/"))
        await read(page)
        await read(page)
        request = server.requests[-1].decode().lower()
        assert request.startswith("get /metrics http/1.1\r\n")
        assert f"host: 127.0.0.1:{server.port}\r\n" in request
        assert "accept-encoding: identity\r\n" in request
        assert "cookie" not in request


async def test_takes_no_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving() as server, page_at(server.port) as page:
        assert await read(page) == PAGE


async def test_reads_a_chunked_page() -> None:
    async with serving() as server, page_at(server.port) as page:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        server.answer = sends(head, b"5\r\nvllm:\r\n", b"3\r\nx 1\r\n", b"0\r\n\r\n")
        assert await read(page) == b"vllm:x 1"
        assert await read(page) == b"vllm:x 1"
        assert server.connections == 1


async def test_survives_a_server_that_closes_idle_connections() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response(), then="close")
        for _ in range(3):
            assert await read(page) == PAGE
        assert server.connections == 3


async def test_a_refused_connection_is_of_local_origin() -> None:
    async with serving() as server:
        port = server.port
    async with page_at(port) as page:
        error = await failure(page)
        assert error.local_origin
        assert "refused" in error.problem.lower() or "cannot connect" in error.problem.lower()


async def test_silence_is_of_local_origin() -> None:
    async with serving() as server, page_at(server.port, SOON) as page:
        server.answer = sends()
        error = await failure(page)
        assert (error.problem, error.local_origin) == ("no complete answer within 0.2 s", True)


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_connection_that_ends_without_an_answer_is_of_local_origin(then: str) -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(then=then)
        assert (await failure(page)).local_origin


async def test_garbage_is_no_http_answer() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(b"\x00\xffSSH-2.0-nonsense\r\n\r\n", then="close")
        assert (await failure(page)).local_origin


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "204 No Content"])
async def test_another_status_than_200_is_an_answer(status: str) -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response(b"", status))
        error = await failure(page)
        assert (error.problem, error.local_origin) == (f"HTTP status {status[:3]}", False)


async def test_redirects_are_not_followed() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response(b"", "302 Found", f"location: http://127.0.0.1:{server.port}/elsewhere"))
        assert (await failure(page)).problem == "HTTP status 302"
        assert len(server.requests) == 1


async def test_a_page_that_stops_halfway_was_an_answer() -> None:
    async with serving() as server, page_at(server.port, SOON) as page:
        server.answer = sends(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nvllm:")
        error = await failure(page)
        assert (error.problem, error.local_origin) == ("no complete answer within 0.2 s", False)
        server.answer = sends(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nvllm:", then="close")
        assert not (await failure(page)).local_origin


async def test_a_page_is_read_up_to_its_limit() -> None:
    async with serving() as server, page_at(server.port) as page:
        largest = b"x" * MOST_PAGE_BYTES
        server.answer = sends(response(largest))
        assert await read(page) == largest
        server.answer = sends(response(largest + b"x"))
        error = await failure(page)
        assert (error.problem, error.local_origin) == (f"the page is longer than {MOST_PAGE_BYTES} bytes", False)
        server.answer = sends(response())
        assert await read(page) == PAGE


async def test_reads_on_after_a_failure() -> None:
    async with serving() as server, page_at(server.port, SOON) as page:
        server.answer = sends()
        await failure(page)
        server.answer = sends(response())
        await eventually_reads(page)


async def test_closing_a_page_closes_its_connection() -> None:
    async with serving() as server:
        async with page_at(server.port) as page:
            await read(page)
            assert server.open_connections == 1
        await eventually(lambda: server.open_connections == 0)


async def test_the_page_may_be_elsewhere() -> None:
    async with serving() as serving_port, serving() as metrics:
        page = MetricsPage(endpoint(serving_port.port, metrics_port=metrics.port), PageOptions(path="/m?x=1"))
        assert await read(page) == PAGE
        page.close()
        assert metrics.requests[0].startswith(b"GET /m?x=1 HTTP/1.1\r\n")
        page = MetricsPage(endpoint(1, "127.0.0.2", 2), PageOptions(port=metrics.port))
        assert page.url == f"http://127.0.0.2:{metrics.port}/metrics"
        assert not serving_port.requests


async def test_a_metrics_port_of_its_own_says_nothing_about_the_serving_port() -> None:
    async with serving() as server:
        dead_port = server.port
    page = MetricsPage(endpoint(8000, metrics_port=dead_port), SOON)
    assert not (await failure(page)).local_origin
    page.close()


def test_ipv6_addresses_stand_in_brackets() -> None:
    page = MetricsPage(endpoint(8000, address="::1"), SOON)
    assert page.url == "http://[::1]:8000/metrics"
    assert b"\r\nHost: [::1]:8000\r\n" in page._request
    assert page._host == "::1", "what is connected to has none"


async def test_https() -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    unverified = PageOptions(scheme="https", timeout_s=10.0)
    verified = PageOptions(scheme="https", verify_certificate=True, timeout_s=10.0)
    async with serving(tls) as server:
        async with page_at(server.port, unverified) as page:
            assert await read(page) == PAGE
        async with page_at(server.port, verified, trusting) as page:
            assert await read(page) == PAGE
        async with page_at(server.port, verified) as page:
            error = await failure(page)
            assert "TLS" in error.problem
            assert not error.local_origin


class Reports:
    """A LoadSink that remembers."""

    def __init__(self) -> None:
        self.waiting: dict[int, float | None] = {}
        self.failed: list[tuple[int, bool]] = []

    def load_reported(self, endpoint: Endpoint, report: LoadReport) -> None:
        self.waiting[endpoint.port] = report.waiting

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        self.failed.append((endpoint.port, local_origin))


async def test_the_poller_over_real_connections() -> None:
    reports, problems = Reports(), list[ScrapeProblem]()
    poller = Poller(
        reports,
        partial(MetricsPage, options=PageOptions(timeout_s=1.0)),
        Dialects({}, VLLM).reader_of,
        attention=lambda _: Attention.BUSY,
        on_problem=problems.append,
        budget=ScrapeBudget(floor_s=0.01, cores=1.0),
    )
    async with serving() as good, serving() as silent, serving() as leaving:
        silent.answer = sends()
        poller.set_endpoints([endpoint(server.port) for server in (good, silent, leaving)])
        task = asyncio.create_task(poller.run())
        await eventually(lambda: len(good.requests) >= 10 and (silent.port, True) in reports.failed)
        good.answer = sends(response(b"vllm:num_requests_waiting 9\n"))
        await eventually(lambda: reports.waiting[good.port] == 9.0)
        poller.set_endpoints([endpoint(good.port), endpoint(silent.port)])
        await eventually(lambda: leaving.open_connections == 0)
        heard, read = len(leaving.requests), len(good.requests)
        await eventually(lambda: len(good.requests) >= read + 10)
        assert len(leaving.requests) == heard
        assert (good.connections, leaving.connections) == (1, 1)
        assert poller.cost_s > 0.0
        assert [problem.endpoint.port for problem in problems] == [silent.port]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
