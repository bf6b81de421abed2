"""When the requests of an open loop are due, and a clock that calls at those times."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from random import Random

SHORTEST_SLEEP_S = 0.0002


def arrivals(rate_per_s: float, duration_s: float, rng: Random) -> list[float]:
    """Seconds after the start at which requests arrive, at random and independently of one another (Poisson).

    The same generator of random numbers gives the same timetable, so that stacks are compared under the same load.
    """
    times: list[float] = []
    at = rng.expovariate(rate_per_s)
    while at < duration_s:
        times.append(at)
        at += rng.expovariate(rate_per_s)
    return times


class PreciseClock:
    """Wakes an event loop at given times from a thread: timers of event loops count in milliseconds, which is as much
    as a whole request takes.
    """

    def __init__(self, times: Sequence[float], on_time: Callable[[], None]) -> None:
        """`times` ascend and are those of time.perf_counter(); `on_time` is called on the loop, for one or several."""
        self._times = times
        self._on_time = on_time
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins; call it on the event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(loop,), name="timetable", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends early or late; harmless at any time. Calls that are on their way to the loop still come."""
        self._is_stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        told = 0
        while told < len(self._times) and not self._is_stopped.is_set():
            time.sleep(max(SHORTEST_SLEEP_S, self._times[told] - time.perf_counter()))
            now = time.perf_counter()
            while told < len(self._times) and self._times[told] <= now:
                told += 1
            loop.call_soon_threadsafe(self._on_time)
