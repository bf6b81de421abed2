"""Lets those work who hold requests: soon after something changed, and when their next deadline comes."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from epp.core.domain.ports import Clock
from epp.edge.observe.repeated import RepeatedProblems

RETRY_S = 0.1
"""after a fault"""


class Work(Protocol):
    """What is pumped: `QueueingRouter` or `BurstRouter` of `epp.core.routing`."""

    def work(self) -> float | None:
        """Does what is due; returns when to call again in seconds of the clock, None for never."""
        ...


class FlowPump:
    """`wake` may be called any number of times within one turn of the event loop; it leads to one `work`."""

    def __init__(
        self,
        work: Work,
        clock: Clock,
        problems: RepeatedProblems,
        cycle_done: Callable[[float], None] = lambda _duration_s: None,
        *,
        name: str = "flow control",
    ) -> None:
        """`name` is for the log; `cycle_done` is told how long each piece of work took."""
        self._name = name
        self._work = work
        self._clock = clock
        self._problems = problems
        self._cycle_done = cycle_done
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Something changed."""
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._run)

    def stop(self) -> None:
        """Nothing is called any more."""
        for handle in (self._soon, self._timer):
            if handle is not None:
                handle.cancel()

    def _run(self) -> None:
        self._soon = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        started = self._clock()
        try:
            deadline = self._work.work()
        except Exception as error:  # noqa: BLE001  whoever waits must get another turn
            self._problems.fault(f"{self._name} failed", "", error)
            deadline = self._clock() + RETRY_S
        ended = self._clock()
        self._cycle_done(ended - started)
        if deadline is not None:
            delay_s = max(0.0, deadline - ended)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._run)
