"""Metrics pages of servers that break off, stall, say too much or are no servers at all; and pages that are closed."""

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable, Iterator

import pytest
import trustme

from epp.edge.scrape.metrics_page import MetricsPage, PageError, PageOptions
from epp.edge.scrape.response_reader import MOST_HEAD_BYTES
from tests.support.eventually import eventually
from tests.support.page_server import (
    PAGE,
    PATIENT,
    SOON,
    Answer,
    endpoint,
    failure,
    page_at,
    read,
    response,
    sends,
    serving,
)

ON_EVERY_LOOP = True
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 28\r\n\r\n"


def in_turn(*answers: Answer) -> Answer:
    """One answer after the other, the last one for ever."""
    turns: Iterator[Answer] = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def answer(writer: asyncio.StreamWriter) -> None:
        await next(turns)(writer)

    return answer


def slowly(data: bytes, every_s: float) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """Byte by byte."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for at in range(len(data)):
            writer.write(data[at : at + 1])
            await asyncio.sleep(every_s)

    return answer


def https_server(*names: str, authority: trustme.CA) -> ssl.SSLContext:
    """With a certificate for `names`."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(tls)
    return tls


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """For clients."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return tls


def other_tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_an_idle_connection_that_ends_as_the_page_is_asked_for_is_replaced_in_silence(then: str) -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = in_turn(sends(response()), sends(then=then), sends(response()))
        assert [await read(page), await read(page)] == [PAGE, PAGE]
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_it_is_replaced_once_only() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = in_turn(sends(response()), sends(then="close"))
        await read(page)
        error = await failure(page)
        assert (error.problem, error.local_origin) == ("the server closed the connection without an answer", True)
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_an_answer_that_has_begun_is_not_asked_for_again() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = in_turn(sends(response()), sends(HEAD[:20], then="close"))
        await read(page)
        error = await failure(page)
        assert error.problem == "the server closed the connection in the middle of its answer"
        assert error.local_origin, "no head came"
        assert len(server.requests) == 2


async def test_a_slow_loris_has_the_time_of_one_page() -> None:
    async with serving() as server, page_at(server.port, SOON) as page:
        server.answer = slowly(HEAD + PAGE, every_s=0.01)
        error = await failure(page)
        assert (error.problem, error.local_origin) == ("no complete answer within 0.2 s", True)
        assert len(server.requests) == 1


async def test_the_time_limit_is_of_each_page_and_not_of_the_connection() -> None:
    options = PageOptions(timeout_s=1.0)
    async with serving() as server, page_at(server.port, options) as page:
        server.answer = slowly(response(), every_s=0.0025)  # a fifth of a second, so that all take longer than a second
        assert [await read(page) for _ in range(8)] == [PAGE] * 8
        assert server.connections == 1


async def test_a_head_without_end_is_broken_off() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(b"HTTP/1.1 200 OK\r\n", *[b"x-more: and more\r\n" * 100] * (MOST_HEAD_BYTES // 1000))
        assert "the head of the answer is longer" in (await failure(page)).problem
        await eventually(lambda: server.open_connections == 0)


async def test_what_a_server_says_unasked_is_never_taken_for_the_next_page() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response() + response(b"vllm:num_requests_waiting 999\n"))
        assert [await read(page), await read(page)] == [PAGE, PAGE]
        assert server.connections == 2


async def test_what_a_server_says_later_unasked_ends_the_connection() -> None:
    async with serving() as server, page_at(server.port) as page:
        writers: list[asyncio.StreamWriter] = []

        async def remembering(writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            writer.write(response())

        server.answer = remembering
        assert await read(page) == PAGE
        writers[0].write(response(b"vllm:num_requests_waiting 999\n"))
        await eventually(lambda: server.open_connections == 0)
        assert await read(page) == PAGE
        assert server.connections == 2


async def test_a_page_may_end_with_its_connection() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(b"HTTP/1.0 200 OK\r\n\r\n", PAGE[:9], PAGE[9:], then="close")
        assert [await read(page), await read(page)] == [PAGE, PAGE]


async def test_a_packed_page_is_refused() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(response(b"\x1f\x8b", "200 OK", "content-encoding: gzip"))
        error = await failure(page)
        assert (error.problem, error.local_origin) == (
            "the page is encoded as 'gzip', although it was asked for as it is",
            False,
        )


async def test_an_error_page_that_stalls_is_known_by_its_head() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = sends(b"HTTP/1.1 503 Not now\r\ncontent-length: 100\r\n\r\nbecause")
        assert (await failure(page)).problem == "HTTP status 503"
        await eventually(lambda: server.open_connections == 0)


async def test_an_error_page_keeps_the_connection() -> None:
    async with serving() as server, page_at(server.port) as page:
        server.answer = in_turn(sends(response(b"why", "500 Oh")), sends(response()))
        assert (await failure(page)).problem == "HTTP status 500"
        assert await read(page) == PAGE
        assert server.connections == 1


async def test_a_name_that_no_host_can_have_cannot_be_connected_to() -> None:
    page = MetricsPage(endpoint(8000, metrics_address="x" * 70 + ".invalid"), PATIENT)
    assert (await failure(page)).problem.startswith("cannot connect: ")
    page.close()


async def test_a_certificate_of_another_name() -> None:
    authority = trustme.CA()
    verified = PageOptions(scheme="https", verify_certificate=True, timeout_s=10.0)
    async with (
        serving(https_server("pod.example", authority=authority)) as server,
        page_at(server.port, verified, trusting(authority)) as page,
    ):
        error = await failure(page)
        assert error.problem.startswith("TLS: ")
        assert not error.local_origin
        assert not server.requests


async def test_https_keeps_one_connection_and_survives_its_end() -> None:
    authority = trustme.CA()
    async with (
        serving(https_server("127.0.0.1", authority=authority)) as server,
        page_at(server.port, PageOptions(scheme="https", timeout_s=10.0), trusting(authority)) as page,
    ):
        large = b"x" * 300_000
        server.answer = in_turn(sends(response()), sends(response(large)), sends(then="close"), sends(response()))
        assert [await read(page), await read(page), await read(page)] == [PAGE, large, PAGE]
        assert server.connections == 2


async def test_https_of_a_server_that_speaks_http() -> None:
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(refusing, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with page_at(port, PageOptions(scheme="https", timeout_s=10.0)) as page:
        error = await failure(page)
    listener.close()
    assert error.problem.startswith("TLS: ")
    assert not error.local_origin


async def test_nothing_is_told_of_a_closed_page_and_no_task_is_left() -> None:
    told: list[bytes | PageError] = []
    async with serving() as server:
        server.answer = sends()
        page = MetricsPage(endpoint(server.port), SOON)
        page.read(told.append)
        await eventually(lambda: server.requests)
        page.close()
        await eventually(lambda: server.open_connections == 0)
    assert told == []


async def test_a_page_may_be_closed_while_it_connects() -> None:
    async with serving() as server:
        before = other_tasks()
        told: list[bytes | PageError] = []
        page = MetricsPage(endpoint(server.port), SOON)
        page.read(told.append)
        page.close()
        page.close()
        await eventually(lambda: other_tasks() <= before)
        assert told == []


async def test_a_time_limit_ends_what_connects() -> None:
    """The handshake of TLS is never answered."""
    listener = await asyncio.start_server(_swallow, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    before = other_tasks()
    async with page_at(port, PageOptions(scheme="https", timeout_s=0.2)) as page:
        error = await failure(page)
        assert (error.problem, error.local_origin) == ("no complete answer within 0.2 s", True)
        listener.close()
    await eventually(lambda: other_tasks() <= before)


async def _swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass
    writer.close()
