"""The load generator against servers that answer well, badly, late or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from bench.gateway.answers import PodAnswers
from bench.gateway.load import MOST_FAILURES, Load, LoadPlan, LoadResult
from bench.gateway.pods import PodConnection, Ticker

SHORT = b"HTTP/1.1 200 OK\r\nx-bench-decision: none\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class Fixed(asyncio.Protocol):
    """Answers every piece of data with the same bytes, and may hang up after that."""

    def __init__(self, answer: bytes, *, hangs_up: bool) -> None:
        self._answer = answer
        self._hangs_up = hangs_up
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._answer:
            self._transport.write(self._answer)
        if self._hangs_up:
            self._transport.close()


def pod() -> PodConnection:
    return PodConnection(PodAnswers("127.0.0.11:8000"), b"", Ticker(every_s=0.001))


@asynccontextmanager
async def listening(protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[LoadPlan]:
    """A plan for a server on a free port."""
    made: list[asyncio.Protocol] = []

    def connection() -> asyncio.Protocol:
        made.append(protocol())
        return made[-1]

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield LoadPlan(port, 800, 0.1, connections=4, warm_up_s=0.02, drain_s=1.0, expected_decision="none")
        for each in made:
            each._transport.abort()  # type: ignore[attr-defined]  # both kinds have one
        for _ in range(3):  # both ends close their sockets in the turns after that
            await asyncio.sleep(0)


async def result(protocol: Callable[[], asyncio.Protocol], **changes: object) -> LoadResult:
    async with listening(protocol) as plan:
        return await Load(msgspec.structs.replace(plan, **changes)).run()


async def test_a_closed_loop_is_always_busy() -> None:
    found = await result(pod, watched={"us": (os.getpid(),)})
    assert found.failures == {}
    assert 4 < found.completed <= found.answered
    assert found.per_s == pytest.approx(found.completed / found.window_s)
    assert 0.0 < found.first_byte.p50_ms <= found.first_byte.p99_ms
    assert found.first_byte.p50_ms <= found.total.p50_ms
    assert 0.0 < found.cpu_s["us"] <= 2 * found.window_s
    assert found.others_cpu_s >= 0.0


async def test_an_open_loop_keeps_its_rate() -> None:
    found = await result(pod, rate_per_s=200.0, duration_s=0.3)
    assert found.failures == {}
    assert 30 <= found.completed <= 95  # of 60, more than four standard deviations away


async def test_a_streamed_answer_is_read_to_its_end() -> None:
    found = await result(pod, is_streamed=True, duration_s=0.4)
    assert found.failures == {}
    assert found.first_byte.p50_ms < found.total.p50_ms


@pytest.mark.parametrize(
    ("answer", "hangs_up", "says"),
    [
        (BUSY, False, "status 503"),
        (SHORT, False, "2 bytes of an answer of"),
        (SHORT.replace(b"none", b"own"), False, "served by a pod that says: decision own"),
        (SHORT.replace(b"length: 2", b"length: 3"), True, "cut within the answer"),
        (b"", True, "cut before the answer"),
        (b"what?\r\n\r\n", False, "an answer begins with b'what?'"),
        (b"", False, "unanswered after 0.1 s"),
    ],
    ids=["status", "short", "other pod", "cut", "no answer", "no http", "silence"],
)
@pytest.mark.parametrize("rate_per_s", [0.0, 400.0], ids=["closed", "open"])
async def test_every_failure_is_counted(answer: bytes, hangs_up: bool, says: str, rate_per_s: float) -> None:
    found = await result(lambda: Fixed(answer, hangs_up=hangs_up), rate_per_s=rate_per_s, drain_s=0.1)
    assert found.completed == 0
    assert [what for what in found.failures if what.startswith(says)], found.failures
    assert sum(found.failures.values()) <= MOST_FAILURES + 4, "it gave up instead of going on for ever"


async def test_what_is_due_while_all_connections_are_busy_is_slow_and_not_lost() -> None:
    found = await result(pod, is_streamed=True, connections=1, rate_per_s=60.0, duration_s=0.2, drain_s=20.0)
    assert found.failures == {}
    assert found.first_byte.p99_ms > 3 * found.first_byte.p50_ms or found.first_byte.p50_ms > 200.0
    assert found.completed < found.answered, "answers went on after the window"


async def test_nobody_listens() -> None:
    async with listening(pod) as plan:
        pass
    with pytest.raises(OSError, match=r"\d"):
        await Load(plan).run()
