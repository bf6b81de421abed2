"""Following publishers over real sockets on 127.0.0.0/8."""

import asyncio
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import zmq
import zmq.asyncio

from epp.core.domain.endpoint import Endpoint
from epp.edge.kvevents.subscriber import KvEventSubscriber
from epp.edge.kvevents.subscription import DISCONNECT_GRACE_S, EventSettings
from epp.lab.fake_vllm.kv_publisher import KvEventPublisher
from tests.support.eventually import eventually
from tests.support.free_ports import free_port
from tests.support.recorded_events import RecordedEvents
from tests.support.virtual_clock import VirtualClock

HOSTS = ("127.0.0.1", "127.0.0.2")


def stored(*names: int) -> list[dict[str, Any]]:
    """One event with blocks of one token."""
    return [
        {
            "type": "BlockStored",
            "block_hashes": list(names),
            "parent_block_hash": None,
            "token_ids": list(range(len(names))),
            "block_size": 1,
            "lora_id": None,
        }
    ]


def removed(*names: int) -> list[dict[str, Any]]:
    return [{"type": "BlockRemoved", "block_hashes": list(names)}]


class Story:
    """A subscriber, its endpoints on HOSTS, and publishers that come and go at the same ports."""

    def __init__(self, *, can_replay: bool = True, replay_idle_s: float = 2.0) -> None:
        self.sink = RecordedEvents()
        self.problems: list[str] = []
        self.time = VirtualClock()
        self.port, self.replay_port = free_port(*HOSTS), free_port(*HOSTS)
        settings = EventSettings(self.port, self.replay_port if can_replay else None, replay_idle_s=replay_idle_s)
        self.endpoints = [
            Endpoint.create(namespace="default", pod=f"pod-{number}", rank=0, address=host, port=8000)
            for number, host in enumerate(HOSTS)
        ]
        self.subscriber = KvEventSubscriber(
            self.sink,
            settings,
            on_problem=lambda endpoint, problem: self.problems.append(f"{endpoint.pod}: {problem}"),
            clock=self.time,
            sleep=self.time.sleep,
        )
        self.publishers: dict[int, KvEventPublisher] = {}

    async def publish_from(self, number: int) -> KvEventPublisher:
        """Starts the publisher of an endpoint."""
        publisher = KvEventPublisher(HOSTS[number], self.port, self.replay_port)
        publisher.topic = "kv@pod@meta/base"
        for _ in range(200):  # the system may not have given the port back yet
            try:
                publisher.start()
                break
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
                await asyncio.sleep(0.01)
        self.publishers[number] = publisher
        return publisher

    async def stop(self, number: int) -> None:
        await self.publishers.pop(number).stop()

    def follow(self, *numbers: int) -> None:
        self.subscriber.set_endpoints([self.endpoints[number] for number in numbers])

    async def until_held(self, number: int, *names: int, complete: bool = True) -> None:
        endpoint = self.endpoints[number]
        await eventually(
            lambda: self.sink.held_by(endpoint) == set(names) and (endpoint.key in self.sink.complete) is complete,
            what=f"{endpoint.key} holds {names}, not {self.sink.blocks} {self.sink.complete} {self.problems}",
        )

    async def listening(self, number: int) -> None:
        """Returns once what is published is heard; leaves block 0 behind."""
        publisher, endpoint = self.publishers[number], self.endpoints[number]
        before = publisher.port
        assert before
        while 0 not in self.sink.held_by(endpoint):
            publisher.publish(stored(0))
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(story: Story) -> AsyncIterator[Story]:
    task = asyncio.create_task(story.subscriber.run())
    try:
        yield story
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for publisher in story.publishers.values():
            await publisher.stop()


@pytest.fixture
def story() -> Iterator[Story]:
    yield Story()


async def test_events_are_taken_over_as_they_come(story: Story) -> None:
    async with running(story):
        story.follow(0, 1)
        await story.publish_from(0)
        await story.publish_from(1)
        await story.listening(0)
        await story.listening(1)
        story.publishers[0].publish(stored(1, 2))
        story.publishers[0].publish(removed(1))
        story.publishers[1].publish(stored(3))
        await story.until_held(0, 0, 2)
        await story.until_held(1, 0, 3)
        assert story.sink.models == {"meta/base"}
        assert story.problems == []


async def test_what_was_published_before_is_replayed(story: Story) -> None:
    publisher = await story.publish_from(0)
    publisher.publish(stored(1, 2))
    publisher.publish(removed(2))
    async with running(story):
        story.follow(0)
        await story.until_held(0, 1)


async def test_an_engine_that_has_nothing_to_tell_is_known_to_have_nothing(story: Story) -> None:
    await story.publish_from(0)
    async with running(story):
        story.follow(0)
        await story.until_held(0)


async def test_a_lost_batch_is_asked_for_again(story: Story) -> None:
    publisher = await story.publish_from(0)
    async with running(story):
        story.follow(0)
        await story.listening(0)
        publisher.publish(stored(1), lost=True)
        publisher.publish(removed(0), lost=True)
        publisher.publish(stored(2))
        await story.until_held(0, 1, 2)


async def test_an_engine_that_is_started_again_is_empty(story: Story) -> None:
    publisher = await story.publish_from(0)
    publisher.publish(stored(1, 2, 3))
    async with running(story):
        story.follow(0)
        await story.until_held(0, 1, 2, 3)
        await story.stop(0)
        await story.publish_from(0)
        await story.until_held(0)
        await story.listening(0)
        story.publishers[0].publish(stored(9))
        await story.until_held(0, 0, 9)


async def test_an_engine_that_stays_away_is_not_believed_any_more(story: Story) -> None:
    publisher = await story.publish_from(0)
    publisher.publish(stored(1))
    async with running(story):
        story.follow(0)
        await story.until_held(0, 1)
        await story.stop(0)
        await eventually(lambda: story.time._sleepers, what="the loss of the connection was noticed")
        assert story.sink.held_by(story.endpoints[0]) == {1}
        await story.time.advance(DISCONNECT_GRACE_S)
        assert story.sink.held_by(story.endpoints[0]) == set()


async def test_without_a_replay_port_a_gap_makes_what_is_known_void() -> None:
    story = Story(can_replay=False)
    publisher = await story.publish_from(0)
    async with running(story):
        story.follow(0)
        await story.listening(0)
        publisher.publish(stored(1), lost=True)
        publisher.publish(stored(2))
        await story.until_held(0, 2, complete=False)


async def test_a_replay_port_that_nobody_serves_is_reported_and_the_live_events_count() -> None:
    story = Story(replay_idle_s=0.05)
    story.replay_port, unserved = free_port(*HOSTS), story.replay_port
    assert unserved != story.replay_port
    publisher = await story.publish_from(0)
    async with running(story):
        story.follow(0)
        while "pod-0: no replay" not in str(story.problems):
            publisher.publish(stored(0))
            await asyncio.sleep(0.02)
        assert f"tcp://127.0.0.1:{unserved}: no message within 0.05 s" in story.problems[0]


async def test_a_broken_publisher_harms_nobody_else(story: Story) -> None:
    context = zmq.Context()
    broken = context.socket(zmq.PUB)
    broken.bind(f"tcp://{HOSTS[0]}:{story.port}")
    await story.publish_from(1)
    try:
        async with running(story):
            story.follow(0, 1)
            while len(story.problems) < 20:
                broken.send_multipart([b"kv@pod@model", b"not a number", b"\xc1"])
                broken.send_multipart([b"kv@pod@model", bytes(8), b"\xc1"])
                broken.send_multipart([b"kv@alone"])
                await asyncio.sleep(0.001)
            story.publishers[1].publish(stored(5))
            await story.until_held(1, 5)
    finally:
        context.destroy(linger=0)
    assert any("sequence number has 12 bytes" in problem for problem in story.problems)
    assert any("1 frames" in problem for problem in story.problems)


async def test_who_leaves_is_not_heard_and_who_comes_back_is_asked_again(story: Story) -> None:
    publisher = await story.publish_from(0)
    publisher.publish(stored(1))
    async with running(story):
        story.follow(0)
        await story.until_held(0, 1)
        story.follow()
        await eventually(lambda: story.endpoints[0].key not in story.sink.complete)
        publisher.publish(stored(2))
        story.follow(0)
        await story.until_held(0, 1, 2)


async def test_an_error_of_ours_in_one_subscription_ends_only_that_one_and_it_is_tried_again(story: Story) -> None:
    await story.publish_from(0)
    await story.publish_from(1)
    faults = [RuntimeError("a fault of ours")]
    inner = story.sink.events_complete

    def events_complete(endpoint: Endpoint) -> None:
        if endpoint is story.endpoints[0] and faults:
            raise faults.pop()
        inner(endpoint)

    story.sink.events_complete = events_complete  # type: ignore[method-assign]
    async with running(story):
        story.follow(0, 1)
        await story.until_held(1)
        await eventually(lambda: story.problems == ["pod-0: no KV-cache events: RuntimeError: a fault of ours"])
        await story.time.advance(1.0)
        await story.until_held(0)


async def test_ports_are_raised_by_the_rank_of_the_endpoint(story: Story) -> None:
    ranked = Endpoint.create(namespace="default", pod="pod", rank=1, address=HOSTS[0], port=8001)
    assert ranked.rank == 1
    story.endpoints[0] = ranked
    story.port, story.replay_port = story.port + 1, story.replay_port + 1
    publisher = await story.publish_from(0)
    publisher.publish(stored(4))
    async with running(story):
        story.follow(0)
        await story.until_held(0, 4)
