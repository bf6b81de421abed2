"""The load generator: raw HTTP/1.1 connections, in a process of its own.

    python -m bench.gateway.load plan.json result.json

Closed loop (no rate): each connection sends its next request as soon as the last one is answered. Open loop: requests
are due on a timetable whatever the answers do; the time of each counts from when it was due, so that an answer that
holds up others makes those slow, too. When all connections are busy the next one waits for one of them, and its time
runs. Both are bounded in time, in connections and in requests.

Only the window after the warm-up counts. CPU of the watched processes is read by this process at both ends of it, in
the same step that begins and ends the count.
"""

import argparse
import asyncio
import gc
import itertools
import time
from collections import Counter, deque
from pathlib import Path
from random import Random

import msgspec

from bench.gateway.answers import STREAM_BODY_BYTES, WHOLE_BODY
from bench.gateway.bodies import ring
from bench.gateway.client import ClientConnection, Exchange, RequestWriter
from bench.gateway.cpu import cpu_s, machine_cpu_s
from bench.gateway.latency import Quantiles, quantiles_of
from bench.gateway.loop import run_on_uvloop
from bench.gateway.timetable import PreciseClock, arrivals
from epp.app.whole_file import replace_file

LOOPBACK = "127.0.0.1"
SEED = 7
MOST_FAILURES = 200
"""then the run ends: it has failed, and shall not go on for ever in vain"""
OPENED_BEFOREHAND = 32
"""connections of an open loop that are there before the first request"""


class LoadPlan(msgspec.Struct, frozen=True):
    """What to send, and whose CPU to read."""

    port: int
    prompt_bytes: int
    duration_s: float
    is_streamed: bool = False
    connections: int = 32
    """of a closed loop all are busy; of an open loop, the most that may be"""
    rate_per_s: float = 0.0
    """0: closed loop"""
    warm_up_s: float = 1.0
    drain_s: float = 20.0
    """for answers that are still to come when the last request has been sent"""
    expected_decision: str = "own"
    """what pods say of a request that went where the picker said; `none` without a picker"""
    watched: dict[str, tuple[int, ...]] = {}
    """process ids by the name under which their CPU is reported"""


class LoadResult(msgspec.Struct, frozen=True):
    """What the window saw."""

    completed: int
    """answers that ended in the window; what CPU is divided by"""
    window_s: float
    cpu_s: dict[str, float]
    """of each watched name, in the window"""
    generator_cpu_s: float
    others_cpu_s: float
    """of all that is neither watched nor the generator, in the window: what disturbs the figures"""
    first_byte: Quantiles
    """of requests that were due in the window (open loop), or answered in it (closed loop)"""
    total: Quantiles
    """until the end of the answer"""
    answered: int
    """in the whole run, warm-up included, well or not"""
    failures: dict[str, int]
    """requests of the whole run, warm-up included, that did not end well, by what happened"""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.completed / self.window_s if self.window_s else 0.0


class Load:
    """One run; `run` may be called once."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._writer = RequestWriter(ring(plan.prompt_bytes, is_streamed=plan.is_streamed), plan.is_streamed)
        self._numbers = itertools.count()
        self._connections: set[ClientConnection] = set()
        self._opening = 0
        self._idle: list[ClientConnection] = []
        self._due: deque[float] = deque()
        """open loop: requests not sent yet, by when they were due"""
        self._begin = self._end = 0.0
        """of the window, in seconds of time.perf_counter()"""
        self._is_sending = True
        self._has_given_up = False
        self._ended = asyncio.Event()
        self._failures: Counter[str] = Counter()
        self._first_byte_s: list[float] = []
        self._total_s: list[float] = []
        self._completed = self._answers = 0
        self._openers: set[asyncio.Task[None]] = set()

    async def run(self) -> LoadResult:
        """Warm-up, window, and the wait for the last answers; raises OSError when nothing listens."""
        plan = self._plan
        ready = plan.connections if not plan.rate_per_s else min(plan.connections, OPENED_BEFOREHAND)
        for _ in range(ready):
            await self._open()
        started = time.perf_counter()
        self._begin, self._end = started + plan.warm_up_s, started + plan.warm_up_s + plan.duration_s
        clock = self._start_sending(started)
        await self._sleep_until(self._begin)
        before, own_before, machine_before = self._cpu_s(), time.process_time(), machine_cpu_s()
        self._begin = time.perf_counter()
        await self._sleep_until(self._end)
        after, own_after, machine_after = self._cpu_s(), time.process_time(), machine_cpu_s()
        self._end = time.perf_counter()
        self._is_sending = False
        if clock is not None:
            clock.stop()
        await self._drain()
        cpu = {name: after[name] - before[name] for name in after}
        own_s = own_after - own_before
        return LoadResult(
            completed=self._completed,
            window_s=self._end - self._begin,
            cpu_s=cpu,
            generator_cpu_s=own_s,
            others_cpu_s=max(0.0, machine_after - machine_before - own_s - sum(cpu.values())),
            first_byte=quantiles_of(self._first_byte_s),
            total=quantiles_of(self._total_s),
            answered=self._answers,
            failures=dict(self._failures),
        )

    def _start_sending(self, started: float) -> PreciseClock | None:
        plan = self._plan
        if not plan.rate_per_s:
            # Over half of the warm-up: sent at once, requests would be answered in step ever after.
            apart_s = plan.warm_up_s / 2 / max(1, len(self._connections))
            for number, connection in enumerate(self._connections):
                asyncio.get_running_loop().call_later(number * apart_s, self._send_first, connection)
            return None
        self._idle = list(self._connections)
        times = [started + at for at in arrivals(plan.rate_per_s, plan.warm_up_s + plan.duration_s, Random(SEED))]
        timetable = deque(times)

        def on_time() -> None:
            now = time.perf_counter()
            while timetable and timetable[0] <= now:
                self._arrive(timetable.popleft())

        clock = PreciseClock(times, on_time)
        clock.start()
        return clock

    def _send_first(self, connection: ClientConnection) -> None:
        if connection in self._connections:
            self._send(connection, time.perf_counter())

    def _arrive(self, due_at: float) -> None:
        """A request of the open loop is due."""
        if self._idle:
            self._send(self._idle.pop(), due_at)
            return
        self._due.append(due_at)
        if len(self._connections) + self._opening < self._plan.connections:
            self._open_later()

    def _send(self, connection: ClientConnection, due_at: float) -> None:
        connection.send(self._writer.pieces(next(self._numbers)), due_at)

    def _answered(self, connection: ClientConnection, exchange: Exchange) -> None:
        """A whole answer has come."""
        self._answers += 1
        problem = self._problem(exchange)
        if problem:
            self._fail(problem)
        ended_inside = self._begin <= exchange.ended_at < self._end
        self._completed += ended_inside and not problem
        if not problem and (self._begin <= exchange.due_at < self._end if self._plan.rate_per_s else ended_inside):
            self._first_byte_s.append(exchange.first_byte_at - exchange.due_at)
            self._total_s.append(exchange.ended_at - exchange.due_at)
        self._next(connection)

    def _next(self, connection: ClientConnection) -> None:
        if self._due:
            self._send(connection, self._due.popleft())
        elif self._is_sending and not self._plan.rate_per_s:
            self._send(connection, time.perf_counter())
        else:
            self._idle.append(connection)
            if not self._is_sending and self._is_over:
                self._ended.set()

    def _problem(self, exchange: Exchange) -> str:
        """What is wrong with a whole answer; empty when nothing is."""
        if exchange.status != 200:
            return f"status {exchange.status}"
        if exchange.decision != self._plan.expected_decision:
            return f"served by a pod that says: decision {exchange.decision or 'unknown'}"
        body_bytes = STREAM_BODY_BYTES if self._plan.is_streamed else len(WHOLE_BODY)
        if exchange.body_bytes != body_bytes:
            return f"{exchange.body_bytes} bytes of an answer of {body_bytes}"
        return ""

    def _lost(self, connection: ClientConnection, reason: str) -> None:
        """A connection has ended; `reason` is empty when no answer was cut by that."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if reason:
            self._fail(reason)
        if self._is_sending or self._due:
            self._open_later()
        elif self._is_over:
            self._ended.set()

    def _fail(self, what: str) -> None:
        self._failures[what] += 1
        if self._failures.total() >= MOST_FAILURES:
            self._has_given_up = True
            self._is_sending = False
            self._due.clear()
            self._ended.set()

    def _open_later(self) -> None:
        opener = asyncio.ensure_future(self._open_and_send())
        self._openers.add(opener)
        opener.add_done_callback(self._openers.discard)

    async def _open_and_send(self) -> None:
        try:
            connection = await self._open()
        except OSError as error:
            self._fail(f"no connection: {error.strerror}")
            return
        self._next(connection)

    async def _open(self) -> ClientConnection:
        self._opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: ClientConnection(self._answered, self._lost), LOOPBACK, self._plan.port
            )
        finally:
            self._opening -= 1
        self._connections.add(connection)
        return connection

    async def _sleep_until(self, at: float) -> None:
        """Until then, or until the run has failed too often."""
        try:
            await asyncio.wait_for(self._ended.wait(), max(0.0, at - time.perf_counter()))
        except TimeoutError:
            return

    @property
    def _is_over(self) -> bool:
        return not self._due and all(connection.is_idle for connection in self._connections)

    async def _drain(self) -> None:
        if not self._is_over and not self._has_given_up:
            await self._sleep_until(time.perf_counter() + self._plan.drain_s)
        unanswered = sum(not connection.is_idle for connection in self._connections) + len(self._due)
        if unanswered and not self._has_given_up:
            self._failures[f"unanswered after {self._plan.drain_s:g} s"] += unanswered
        for opener in self._openers:
            opener.cancel()
        await asyncio.gather(*self._openers, return_exceptions=True)
        for connection in list(self._connections):
            connection.abandon()

    def _cpu_s(self) -> dict[str, float]:
        return {name: cpu_s(pids) for name, pids in self._plan.watched.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plan", type=Path, help="a LoadPlan as JSON")
    parser.add_argument("result", type=Path, help="where to write the LoadResult as JSON")
    options = parser.parse_args()
    load = Load(msgspec.json.decode(options.plan.read_bytes(), type=LoadPlan))
    gc.freeze()
    gc.disable()  # a run is short, and a collection would be seen as a slow answer
    replace_file(options.result, msgspec.json.encode(run_on_uvloop(load.run())))


if __name__ == "__main__":
    main()
