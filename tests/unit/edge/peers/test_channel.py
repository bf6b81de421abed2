"""Messages between processes: each one arrives as it was sent, and somebody who is behind loses what may be lost."""

import asyncio
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import EngineTotals, LoadReport, ObjectState
from epp.core.state.pool_state import PoolTable
from epp.edge.peers import messages as m
from epp.edge.peers.channel import MOST_BEHIND_BYTES, Channel, framed, receive_now
from tests.support.routed_requests import endpoint

POOL = InferencePool("default", "pool", {"app": "vllm"}, (8000, 8001), app_protocol="kubernetes.io/h2c", uid="u-1")
STATE = ObjectState(
    POOL,
    (endpoint(1, labels={"llm-d.ai/role": "decode"}), endpoint(2)),
    (InferenceObjective("default", "chat", "pool", -3),),
    (InferenceModelRewrite("default", "rw", "pool", (RewriteRule(("a",), (RewriteTarget("b", 3),)),), 7.5),),
)
REPORT = LoadReport(
    waiting=1.0, running_adapters=["x"], totals=EngineTotals(first_token_s=2.5), attributes=(("depth", 4.0),)
)
EVERY_MESSAGE: list[m.Message] = [
    m.Begin(1, 2, 64, b"options", b"kind: x", (b"given", b"own"), None),
    m.Begin(0, 2, 64, b"", None, (b"", b"own"), 9002),
    m.Configure(3, b"kind: x"),
    m.Configure(4, None),
    m.Table(PoolTable(7, STATE, (0, 5), (1, 2))),
    m.Table(PoolTable(0, ObjectState(None, ()), (), ())),
    m.Scraped([m.ScrapeNote(5, 2, REPORT)]),
    m.Learned([m.PrefixNote("prefix", 5, 2, 1000, bytes(range(16)), 2)]),
    m.Reached("default/a", failed=True),
    m.Failing({"default/a": (2, 17.5), "default/b": (1, 0.0)}),
    m.Ready(is_ready=True),
    m.Ask(4),
    m.AskDecisions(5, 10, "r-1", "model"),
    m.SendGuestsHome(),
    m.Drain(2.0),
    m.Serving(9003),
    m.TableTaken(7),
    m.Configured(3, "why not"),
    m.Told(4, b"counts", 1, 2, 3, 4, 5, 6.5, 7),
    m.Decisions(5, b"[]"),
    m.ConnectionClosed(),
]
Pair = tuple[Channel, Channel]


@pytest_asyncio.fixture
async def ends() -> AsyncIterator[Pair]:
    one, other = socket.socketpair()
    channels = await Channel.over(one), await Channel.over(other)
    yield channels
    for channel in channels:
        channel.close()


def test_every_type_of_message_is_among_those_that_are_tested() -> None:
    named = {value for value in vars(m).values() if isinstance(value, type) and issubclass(value, msgspec.Struct)}
    told = {value for value in named if value.__module__ == m.__name__ and value.__struct_config__.tag is not None}
    assert told == {type(message) for message in EVERY_MESSAGE}


async def test_every_message_arrives_as_it_was_sent_and_in_order(ends: Pair) -> None:
    one, other = ends
    for message in EVERY_MESSAGE:
        one.send(message)
    for message in EVERY_MESSAGE:
        received = await other.receive()
        assert framed(received or m.Ask(0)) == framed(message)
        assert type(received) is type(message)


async def test_a_table_is_a_state_with_slots_on_the_other_side(ends: Pair) -> None:
    one, other = ends
    one.send(m.Table(PoolTable(7, STATE, (0, 5), (1, 2))))
    received = await other.receive()
    assert received == m.Table(PoolTable(7, STATE, (0, 5), (1, 2)))


async def test_the_end_of_the_other_side_is_no_error(ends: Pair) -> None:
    one, other = ends
    one.send(m.Ask(1))
    await one.flush()
    one.close()
    assert await other.receive() == m.Ask(1)
    assert await other.receive() is None
    other.send(m.Ask(2))
    await other.flush()


async def test_what_may_be_lost_is_not_sent_to_somebody_who_is_far_behind(ends: Pair) -> None:
    one, other = ends
    large = m.Learned([m.PrefixNote("prefix", 0, 1, 10, bytes(1 << 20), 1 << 17)])
    sent = 0
    while one.offer(large):
        sent += 1
        assert sent < 100
    assert sent * (1 << 20) >= MOST_BEHIND_BYTES
    for _ in range(sent):
        assert await other.receive() == large
    assert one.offer(m.Ask(1))
    assert await other.receive() == m.Ask(1)


def test_the_first_message_can_be_read_without_an_event_loop() -> None:
    one, other = socket.socketpair()
    with one, other:
        content = framed(EVERY_MESSAGE[0])
        one.sendall(content + framed(m.Ask(1)))
        assert receive_now(other) == EVERY_MESSAGE[0]
        assert other.recv(100) == framed(m.Ask(1)), "what comes later is left to the channel"
        one.close()
        with pytest.raises(ConnectionError):
            receive_now(other)


async def test_something_else_than_a_message_is_an_error() -> None:
    one, other = socket.socketpair()
    channel = await Channel.over(other)
    one.sendall(b"HTTP/1.1 400 Bad Request")
    with pytest.raises(ValueError, match="not one of us"):
        await channel.receive()
    one.close()
    channel.close()
    await asyncio.sleep(0)
