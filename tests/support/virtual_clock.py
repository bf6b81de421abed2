"""A clock that moves only when a test says so, and a sleep that goes with it."""

import asyncio
import heapq

_STEPS_TO_SETTLE = 25


class VirtualClock:
    """Pass the object as `clock` and its `sleep` as `sleep`; `await clock.advance(seconds)` lets time pass."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._serial = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        """Ends when `advance` has come that far."""
        self._serial += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + delay_s, self._serial, woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Wakes the sleepers of the next `seconds` one by one; all tasks run between two of them."""
        end = self.now + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.now = end


async def settle() -> None:
    """Lets every task run until it waits for something that only time or the network can bring."""
    for _ in range(_STEPS_TO_SETTLE):
        await asyncio.sleep(0)
