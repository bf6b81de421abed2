"""`epp up`: steady sample traffic and a table that follows it, until Ctrl-C."""

import asyncio
from collections import Counter
from random import Random

import aiohttp
from rich.console import Console
from rich.live import Live

from epp.edge.observe.explained import ExplainedDecision
from epp.edge.observe.pool_reading import EndpointReading
from epp.lab.stack import LocalStack
from epp.lab.table import Tally, View, render
from epp.lab.traffic import Answer, SampleRequest, sample_requests, send

REFRESH_S = 0.5
MOST_UNDER_WAY = 200
"""sample requests at once; above it the traffic waits"""
PLAIN_LINE_EVERY = 10
"""refreshes between two lines where there is no terminal"""


class LiveTraffic:
    """Sends sample requests at a rate and keeps the tally."""

    def __init__(self, stack: LocalStack, rate_per_s: float, seed: int) -> None:
        self.tally = Tally()
        self.picks: Counter[str] = Counter()
        self._stack = stack
        self._rate_per_s = rate_per_s
        self._rng = Random(seed)
        self._room = asyncio.Semaphore(MOST_UNDER_WAY)

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Poisson arrivals until cancelled."""
        async with asyncio.TaskGroup() as group:
            for request in sample_requests(self._rng):
                await asyncio.sleep(self._rng.expovariate(self._rate_per_s))
                await self._room.acquire()
                group.create_task(self._one(session, request))

    async def _one(self, session: aiohttp.ClientSession, request: SampleRequest) -> None:
        self.tally.sent += 1
        try:
            self._count(await send(session, self._stack.url, request))
        finally:
            self._room.release()

    def _count(self, answer: Answer) -> None:
        if answer.is_ok:
            self.tally.ok += 1
            self.picks[answer.served_by] += 1
        elif answer.status:
            self.tally.refused += 1
        else:
            self.tally.failed += 1


async def run_live(stack: LocalStack, console: Console, *, rate_per_s: float, seed: int) -> None:
    """Shows the table until cancelled."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        traffic = LiveTraffic(stack, rate_per_s, seed)
        sending = asyncio.ensure_future(traffic.run(session)) if rate_per_s else None
        try:
            await _show(stack, console, traffic, session)
        finally:
            if sending is not None:
                sending.cancel()
                await asyncio.wait((sending,))


async def _show(stack: LocalStack, console: Console, traffic: LiveTraffic, session: aiohttp.ClientSession) -> None:
    endpoints: list[EndpointReading] = []
    last: list[ExplainedDecision] = []
    refreshes = 0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            picker_is_up = True
            pages = await stack.ready_pages(session)
            try:
                endpoints, last = await pages.endpoints(), await pages.decisions(1)
            except aiohttp.ClientError:
                picker_is_up = False
            counters = await stack.envoy.stats("failure_mode_allowed")
            traffic.tally.bypassed = int(sum(counters.values()))
            newest = last[0] if last else None
            view = View(stack.url, endpoints, traffic.picks, newest, traffic.tally, picker_is_up)
            if console.is_terminal:
                live.update(render(view), refresh=True)
            elif not refreshes % PLAIN_LINE_EVERY:
                tally = traffic.tally
                console.print(f"sent {tally.sent}, answered {tally.ok}, refused {tally.refused}, failed {tally.failed}")
            refreshes += 1
            await asyncio.sleep(REFRESH_S)
