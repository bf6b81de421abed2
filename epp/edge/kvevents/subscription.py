"""One subscription: follows the events of one endpoint, asks for lost ones again, and says what it cannot know.

The SUB socket reconnects by itself, after 0.1 to 5 s. Whenever the publisher can be heard again its buffer is asked for
from the last batch on, which also shows whether it is still the same engine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from epp.core.domain.endpoint import Endpoint, destination
from epp.core.domain.ports import Clock
from epp.core.kvevents import (
    MOST_PAYLOAD_BYTES,
    Event,
    EventBatch,
    MalformedEvents,
    read_batch,
    read_live,
    read_replayed,
    replay_request,
)
from epp.core.state.event_sequence import UNREADABLE, Apply, AskReplay, Command, Complete, EventSequence, Void

RECONNECT_MS = 100
LONGEST_RECONNECT_MS = 5000
HEARTBEAT_MS = 5000
HEARTBEAT_TIMEOUT_MS = 15_000
MOST_WAITING_MESSAGES = 1000
REPLAY_RETRY_S = 0.5
DISCONNECT_GRACE_S = 10.0
"""how long what is known is believed while the publisher cannot be heard"""


class KvEventSink(Protocol):
    """Takes what the engines say."""

    def events_arrived(self, endpoint: Endpoint, events: Sequence[Event], base_model: str) -> None:
        """The engine did this; `base_model` is what its topic says, empty for nothing."""
        ...

    def events_lost(self, endpoint: Endpoint) -> None:
        """Nothing is known of the endpoint's cache any more."""
        ...

    def events_complete(self, endpoint: Endpoint) -> None:
        """From now on everything is known."""
        ...


class EventSettings(msgspec.Struct, frozen=True):
    """Ports of the publishers, raised by the rank of the endpoint, and which topics are wanted."""

    socket_port: int = 5557
    replay_port: int | None = None
    """None: lost events cannot be asked for again"""
    topic_filter: str = "kv@"
    replay_idle_s: float = 2.0
    """longest wait for the next message of a replay"""


class Subscription:
    """Follows one endpoint while `run` runs."""

    def __init__(
        self,
        endpoint: Endpoint,
        settings: EventSettings,
        sink: KvEventSink,
        *,
        on_problem: Callable[[Endpoint, str], None],
        replays: asyncio.Semaphore,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`replays` bounds how many of all subscriptions ask for old events at once."""
        self.endpoint = endpoint
        self._sink = sink
        self._on_problem = on_problem
        self._replays = replays
        self._clock = clock
        self._sleep = sleep
        self._settings = settings
        self._url = f"tcp://{destination(endpoint.address, settings.socket_port + endpoint.rank)}"
        replay_port = settings.replay_port
        self._replay_url = (
            None if replay_port is None else f"tcp://{destination(endpoint.address, replay_port + endpoint.rank)}"
        )
        self._sequence = EventSequence(can_replay=replay_port is not None)
        self._model = ""
        self._grace: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup
        self._context: zmq.asyncio.Context

    async def run(self, context: zmq.asyncio.Context) -> None:
        """Until it is cancelled; raises zmq.ZMQError when a socket cannot be had."""
        self._context = context
        self._carry_out([Void()])
        socket = context.socket(zmq.SUB)
        try:
            _prepare(socket)
            socket.setsockopt(zmq.RCVHWM, MOST_WAITING_MESSAGES)
            socket.setsockopt_string(zmq.SUBSCRIBE, self._settings.topic_filter)
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            socket.connect(self._url)
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._watch(monitor))
                await self._listen(socket)
        finally:
            socket.disable_monitor()
            socket.close(linger=0)
            self._sink.events_lost(self.endpoint)

    async def _watch(self, monitor: zmq.asyncio.Socket) -> None:
        """Notices when the publisher comes and goes."""
        while True:
            happened = await recv_monitor_message(monitor)
            if happened["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                if self._grace is not None:
                    self._grace.cancel()
                self._carry_out(self._sequence.connected())
            elif happened["event"] == zmq.EVENT_DISCONNECTED:
                self._sequence.disconnected()
                self._grace = self._tasks.create_task(self._give_up_later())

    async def _give_up_later(self) -> None:
        await self._sleep(DISCONNECT_GRACE_S)
        self._carry_out(self._sequence.given_up())

    async def _listen(self, socket: zmq.asyncio.Socket) -> None:
        while True:
            frames = await socket.recv_multipart()
            try:
                topic, number, payload = read_live(frames)
            except MalformedEvents as error:
                self._on_problem(self.endpoint, str(error))
                continue
            self._model = topic.model
            self._carry_out(self._sequence.live(number, self._read(payload), self._clock()))
            await asyncio.sleep(0)  # a message that waits already is received without giving anybody else a turn

    def _read(self, payload: bytes) -> EventBatch:
        try:
            return read_batch(payload)
        except MalformedEvents as error:
            self._on_problem(self.endpoint, str(error))
            return UNREADABLE

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Apply():
                    self._sink.events_arrived(self.endpoint, command.events, self._model)
                case Void():
                    self._sink.events_lost(self.endpoint)
                case Complete():
                    self._sink.events_complete(self.endpoint)
                case AskReplay():
                    self._tasks.create_task(self._replay(command.first))

    async def _replay(self, first: int) -> None:
        async with self._replays:
            problem = await self._ask_again(first)
        if not problem:
            self._carry_out(self._sequence.replay_ended(self._clock()))
            return
        self._on_problem(self.endpoint, f"no replay from {self._replay_url}: {problem}")
        await self._sleep(REPLAY_RETRY_S)
        self._carry_out(self._sequence.replay_failed(self._clock()))

    async def _ask_again(self, first: int) -> str:
        """Asks for old batches and hands them on; returns what went wrong, empty for nothing."""
        socket = self._context.socket(zmq.DEALER)
        try:
            _prepare(socket)
            socket.connect(self._replay_url or "")
            await socket.send_multipart(replay_request(first))
            while True:
                async with asyncio.timeout(self._settings.replay_idle_s):
                    message = read_replayed(await socket.recv_multipart())
                if message is None:
                    return ""
                topic, number, payload = message
                self._model = topic.model or self._model
                self._carry_out(self._sequence.replayed(number, self._read(payload)))
                await asyncio.sleep(0)
        except TimeoutError:
            return f"no message within {self._settings.replay_idle_s:g} s"
        except (MalformedEvents, zmq.ZMQError) as error:
            return str(error)
        finally:
            socket.close(linger=0)


def _prepare(socket: zmq.asyncio.Socket) -> None:
    for option, value in (
        (zmq.IPV6, 1),
        (zmq.LINGER, 0),
        (zmq.MAXMSGSIZE, MOST_PAYLOAD_BYTES),
        (zmq.RECONNECT_IVL, RECONNECT_MS),
        (zmq.RECONNECT_IVL_MAX, LONGEST_RECONNECT_MS),
        (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
    ):
        socket.setsockopt(option, value)
