"""The subscriber: one subscription per endpoint of the pool, each on its own, so that a broken one harms nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import zmq
import zmq.asyncio

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.ports import Clock
from epp.edge.kvevents.subscription import EventSettings, KvEventSink, Subscription

MOST_REPLAYS = 8
"""at once; a picker that starts asks every endpoint"""
SHORTEST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0

Identity = tuple[str, str, str]


class KvEventSubscriber:
    """Follows the endpoints that `set_endpoints` names, while `run` runs."""

    def __init__(
        self,
        sink: KvEventSink,
        settings: EventSettings,
        *,
        on_problem: Callable[[Endpoint, str], None],
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sink = sink
        self._settings = settings
        self._on_problem = on_problem
        self._clock = clock
        self._sleep = sleep
        self._wanted: dict[Identity, Endpoint] = {}
        self._tasks: dict[Identity, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def set_endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Who is followed from now on; a restarted or moved pod is a new one."""
        self._wanted = {_identity(endpoint): endpoint for endpoint in endpoints}
        for gone in self._tasks.keys() - self._wanted.keys():
            self._tasks.pop(gone).cancel()
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled; all sockets are closed then."""
        context = zmq.asyncio.Context()
        context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
        replays = asyncio.Semaphore(MOST_REPLAYS)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    for new in self._wanted.keys() - self._tasks.keys():
                        following = self._follow(self._wanted[new], context, replays)
                        self._tasks[new] = group.create_task(following)
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._tasks.clear()
            context.destroy(linger=0)

    async def _follow(self, endpoint: Endpoint, context: zmq.asyncio.Context, replays: asyncio.Semaphore) -> None:
        """One endpoint for as long as it is in the pool, whatever its publisher does."""
        retry_s = SHORTEST_RETRY_S
        while True:
            subscription = Subscription(
                endpoint,
                self._settings,
                self._sink,
                on_problem=self._on_problem,
                replays=replays,
                clock=self._clock,
                sleep=self._sleep,
            )
            try:
                await subscription.run(context)
            except Exception as error:  # noqa: BLE001  whatever is wrong with one endpoint must not end the others
                self._on_problem(endpoint, f"no KV-cache events: {_told(error)}")
            await self._sleep(retry_s)
            retry_s = min(2.0 * retry_s, LONGEST_RETRY_S)


def _identity(endpoint: Endpoint) -> Identity:
    return endpoint.key, endpoint.incarnation, endpoint.destination


def _told(error: BaseException) -> str:
    """The first error of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
