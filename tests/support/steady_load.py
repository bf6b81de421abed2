"""Sample requests at a steady pace from a few clients, while something happens to the stack behind them.

async with steady_load(stack) as load:
    await load.until_answered(50)
    ...  # break something
    await load.until_answered(50)
load.assert_served_as_decided(...)
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from random import Random

import aiohttp

from epp.lab.once import journals
from epp.lab.traffic import REQUEST_TIMEOUT_S, Answer, SampleRequest, sample_requests, send
from epp.lab.verdict import Evidence, Verdict, judge
from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack

CLIENTS = 6
PAUSE_S = 0.25
"""between two requests of a client; with CLIENTS some 20 requests a second"""
MOST_ANSWERS = 2_500
"""so that pods, which remember 1,000 requests each, still know all of them"""


class SteadyLoad:
    """`answers` grows until the load ends."""

    def __init__(self, stack: LiveStack) -> None:
        self.answers: list[Answer] = []
        self._stack = stack
        self._is_over = asyncio.Event()

    async def until_answered(self, more: int, *, within_s: float = 30.0) -> None:
        """Waits for so many further answers."""
        wanted = len(self.answers) + more
        await eventually(
            lambda: len(self.answers) >= wanted, within_s=within_s, what=f"{len(self.answers)} of {wanted} answers"
        )

    async def verdict(self) -> Verdict:
        """Whether each answer is whole and came from the pod that the picker had named; bypassing is only counted."""
        answers = tuple(self.answers)  # before asking the pods: they know of each of these, not of what comes meanwhile
        assert len(answers) < MOST_ANSWERS
        served = {each.request_id: each for each in await journals(self._stack.session, self._stack.local)}
        return judge(Evidence(answers, {}, served, {}, picker_died=True))

    async def run(self) -> None:
        """Sends until `end`."""
        requests = sample_requests(Random(1), prefix="steady")
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._client(session, requests))

    def end(self) -> None:
        """Lets each client finish the request that it has under way."""
        self._is_over.set()

    async def _client(self, session: aiohttp.ClientSession, requests: Iterator[SampleRequest]) -> None:
        for request in requests:
            self.answers.append(await send(session, self._stack.local.url, request))
            try:
                await asyncio.wait_for(self._is_over.wait(), PAUSE_S)
            except TimeoutError:
                continue
            return


@asynccontextmanager
async def steady_load(stack: LiveStack) -> AsyncIterator[SteadyLoad]:
    """Runs while the block does, and waits for the last answers."""
    load = SteadyLoad(stack)
    running = asyncio.ensure_future(load.run())
    try:
        yield load
    finally:
        load.end()
        await running
