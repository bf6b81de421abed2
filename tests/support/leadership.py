"""Which of a stack's pickers are ready, asked again and again: who led when, and for how long nobody did."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from epp.lab.picker_replica import PickerReplica
from tests.support.live_stack import LiveStack

ASK_EVERY_S = 0.02


class Moment(msgspec.Struct, frozen=True):
    """From `at_s` (of the event loop's clock) on these were ready."""

    at_s: float
    ready: frozenset[str]


class Leadership:
    """`moments` has every change."""

    def __init__(self, stack: LiveStack) -> None:
        self._stack = stack
        self.moments: list[Moment] = []

    @property
    def ready(self) -> frozenset[str]:
        """Names of those that are ready now."""
        return self.moments[-1].ready if self.moments else frozenset()

    def without_leader_s(self, since_s: float) -> float:
        """For how long nobody was ready, all in all."""
        now = asyncio.get_running_loop().time()
        ends = [*(moment.at_s for moment in self.moments[1:]), now]
        spans = zip(self.moments, ends, strict=True)
        return sum(max(0.0, end - max(moment.at_s, since_s)) for moment, end in spans if not moment.ready)

    async def until(self, *names: str, within_s: float = 10.0) -> None:
        """Waits until exactly these are ready."""

        async def so() -> bool:
            return self.ready == frozenset(names)

        await self._stack.until(so, f"ready: {names}; it was {self.moments}", within_s=within_s)

    async def watch(self) -> None:
        """Asks until it is cancelled."""
        while True:
            pickers = self._stack.local.pickers
            ready = frozenset([picker.name for picker in pickers if await self._is_ready(picker)])
            if not self.moments or ready != self.moments[-1].ready:
                self.moments.append(Moment(asyncio.get_running_loop().time(), ready))
            await asyncio.sleep(ASK_EVERY_S)

    async def _is_ready(self, picker: PickerReplica) -> bool:
        try:
            return not await picker.pages(self._stack.session).unready_reason()
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def watched_leadership(stack: LiveStack) -> AsyncIterator[Leadership]:
    """Watches while the block runs."""
    leadership = Leadership(stack)
    watching = asyncio.ensure_future(leadership.watch())
    try:
        yield leadership
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        if not watching.cancelled():
            watching.result()
