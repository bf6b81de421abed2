"""Runs an engine inside an asyncio loop: one timer at the end of the step in progress, none while the engine is idle.

Engine time is the loop's time minus what had to be dropped: when the process cannot keep up with the modelled speed,
the engine's clock is held back rather than letting a backlog of steps build up.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.sequence import EngineRequest, TokenOutput

_STEPS_PER_WAKE = 16
_MAX_LAG_S = 0.1


class Generation:
    """The tokens of one HTTP request's sequences on their way from the engine to the handler."""

    def __init__(self, sequences: int, *, stream: bool) -> None:
        self.cached_tokens = 0
        self.tokens = 0
        self.unfinished = sequences
        self._stream = stream
        self._events: list[tuple[int, TokenOutput]] = []
        self._waiter: asyncio.Future[None] | None = None

    async def events(self) -> list[tuple[int, TokenOutput]]:
        """Waits for tokens; returns them with the number of their sequence. Not streamed: everything, at the end."""
        if not self._ready():
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        events, self._events = self._events, []
        return events

    def push(self, index: int, output: TokenOutput) -> None:
        """Takes one token of sequence `index`."""
        self.tokens += 1
        if output.position == 0:
            self.cached_tokens += output.cached_tokens
        if output.finish_reason is not None:
            self.unfinished -= 1
        if self._stream:
            self._events.append((index, output))
        if self._waiter is not None and not self._waiter.done() and self._ready():
            self._waiter.set_result(None)

    def _ready(self) -> bool:
        return self.unfinished == 0 or bool(self._events)


class EngineDriver:
    """Feeds requests to an engine and its tokens to the generations that wait for them."""

    def __init__(
        self, engine: Engine, loop: asyncio.AbstractEventLoop, on_steps: Callable[[], None] | None = None
    ) -> None:
        """`on_steps` is called whenever steps of the engine have ended."""
        self.engine = engine
        self._on_steps = on_steps
        self._loop = loop
        self._held_back_s = 0.0
        self._timer: asyncio.Handle | None = None
        self._readers: dict[int, tuple[Generation, int]] = {}
        self._last_id = 0
        self._watchers: list[asyncio.Future[None]] = []

    @property
    def unix_offset_s(self) -> float:
        """Unix time minus engine time, now."""
        return time.time() - self._now()

    def next_ids(self, count: int) -> range:
        """Request ids that were never used before."""
        first = self._last_id + 1
        self._last_id += count
        return range(first, first + count)

    def submit(self, requests: Sequence[EngineRequest], *, stream: bool) -> Generation:
        """Starts the sequences of one HTTP request."""
        generation = Generation(len(requests), stream=stream)
        self.engine.submit(self._now(), *requests)
        for index, request in enumerate(requests):
            self._readers[request.request_id] = (generation, index)
        self._arm()
        return generation

    def abort(self, requests: Sequence[EngineRequest]) -> None:
        """Ends sequences whose client is gone; finished ones are left alone."""
        for request in requests:
            self._readers.pop(request.request_id, None)
            self.engine.abort(request.request_id)

    async def next_publication(self) -> None:
        """Waits until the engine has published again."""
        watcher = self._loop.create_future()
        self._watchers.append(watcher)
        await watcher

    def close(self) -> None:
        """Stops the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> float:
        return self._loop.time() - self._held_back_s

    def _arm(self) -> None:
        due = self.engine.next_event_at
        if due is None or self._timer is not None:
            return
        self._timer = self._loop.call_at(due + self._held_back_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._now()
        for output in self.engine.advance(now, max_steps=_STEPS_PER_WAKE):
            if output.finish_reason is None:
                generation, index = self._readers[output.request_id]
            else:
                generation, index = self._readers.pop(output.request_id)
            generation.push(index, output)
        if self._on_steps is not None:
            self._on_steps()
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)
        due = self.engine.next_event_at
        if due is not None and now - due > _MAX_LAG_S:
            self._held_back_s += now - due
        self._arm()
