"""Cost of one decision: `Router.decide` with the default policy, and hashing plus matching of long prompts.

    python bench/decide.py

Prints microseconds of CPU and the ratio to a fixed loop of pure Python measured in the same run, so that figures of
different machines can be compared; the limits in the last column are those of an idle machine on which the loop takes
5 to 6 ms. Every figure is the best of several rounds: other processes only ever add to it. Nothing here is asserted.
"""

import argparse
import itertools
import sys
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from epp.core.config.built_in_policies import POLICIES
from epp.core.config.load import load_config
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.block_hashes import hash_blocks
from epp.core.state.ledger import InFlightLedger
from epp.core.state.prefix_index import PrefixIndex
from epp.core.state.roster import Roster

ROUNDS = 40
WARM_UP_ROUNDS = 10
DECISIONS = 50
"""of one round"""
IN_FLIGHT = 100
REQUESTS = 200
BLOCK_BYTES = 64
PROMPT_BYTES = 2048
LIMITS_US = {10: 60.0, 1000: 400.0}
"""of a decision over so many endpoints, with a 2 KB prompt"""
PREFIX_LIMITS_US = {220_000: 350.0, 1_000_000: 1800.0}
"""of hashing and matching a prompt of so many bytes"""


class Cost(NamedTuple):
    """CPU seconds of what is measured, and of the reference loop beside it."""

    cost_s: float
    loop_s: float


class Pool:
    """A pool whose loads differ, with the clock standing still between decisions."""

    def __init__(self, endpoints: int, policy: str) -> None:
        rng = Random(1)
        self.ledger = InFlightLedger()
        config = load_config(POLICIES[policy], policy, CATALOGUE)
        scheduler = Scheduler(build_policy(config), self.ledger, rng, time.monotonic)
        self.roster = Roster(
            self.ledger, time.monotonic, metrics_stale_after_s=3600.0, slot_renewed=scheduler.forget_slot
        )
        pods = tuple(
            Endpoint.create(namespace="x", pod=f"pod-{n}", rank=0, address=f"127.1.{n // 250}.{n % 250}", port=8000)
            for n in range(endpoints)
        )
        self.roster.objects_changed(ObjectState(InferencePool("x", "pool", {"app": "vllm"}, (8000,)), pods))
        for pod in pods:
            report = LoadReport(
                waiting=rng.randrange(4), running=8, kv_usage=rng.random(), kv_blocks=26_300, kv_block_tokens=16
            )
            self.roster.load_reported(pod, report)
        self.router = Router(self.roster, scheduler, RoutingPolicy(), time.monotonic)


def prompt_of(number: int, size_bytes: int) -> bytes:
    """Half of it is shared by eight prompts, the rest is its own."""
    head = f"system prompt {number % 8} says what to do; ".encode()
    tail = f"{number:08d} and what is in this document? ".encode()
    half = size_bytes // 2
    return (head * (half // len(head) + 1))[:half] + (tail * (half // len(tail) + 1))[:half]


def decide_cost(endpoints: int, prompt_bytes: int, policy: str) -> Cost:
    """Of a decision. What comes after the reply (learning, releases) is not in it."""
    pool = Pool(endpoints, policy)
    requests = [
        InferenceRequest(
            str(number),
            model="base",
            target_model="base",
            prompt=Prompt(PromptKind.TEXT, prompt_of(number, prompt_bytes)),
            max_tokens=256,
        )
        for number in range(REQUESTS)
    ]

    in_flight: deque[Decision] = deque()
    numbers = itertools.cycle(range(len(requests)))

    def round_s() -> float:
        decide = pool.router.decide
        batch = [requests[next(numbers)] for _ in range(DECISIONS)]
        started = time.process_time()
        decisions = [decide(request) for request in batch]
        taken_s = time.process_time() - started
        for decision in decisions:
            if not isinstance(decision, Decision):
                raise TypeError("nothing is queued here")
            for lesson in decision.lessons:
                lesson()
            in_flight.append(decision)
        while len(in_flight) > IN_FLIGHT:
            pool.router.release(in_flight.popleft())
        return taken_s / DECISIONS

    for _ in range(WARM_UP_ROUNDS):
        round_s()
    return best_of(round_s)


def prefix_cost(prompt_bytes: int) -> Cost:
    """Of hashing a prompt and looking it up among eight that share its first half."""
    index = PrefixIndex()
    for number in range(8):
        index.insert(number, hash_blocks(prompt_of(8 * number, prompt_bytes), BLOCK_BYTES, "m", 1 << 20), 1 << 20)
    prompt = memoryview(prompt_of(0, prompt_bytes))

    def round_s() -> float:
        started = time.process_time()
        for _ in range(10):
            index.match(hash_blocks(prompt, BLOCK_BYTES, "m", 1 << 20))
        return (time.process_time() - started) / 10

    return best_of(round_s)


def reference_loop_s() -> float:
    """CPU seconds of a fixed piece of pure Python."""
    started = time.process_time()
    total = 0
    for number in range(200_000):
        total += number % 7
    return time.process_time() - started


def best_of(round_s: Callable[[], float]) -> Cost:
    """The smallest of several rounds, in turns with the reference loop."""
    rounds = [Cost(round_s(), reference_loop_s()) for _ in range(ROUNDS)]
    return Cost(min(each.cost_s for each in rounds), min(each.loop_s for each in rounds))


def line(what: str, cost: Cost, limit_us: float | None) -> str:
    """One row of the table."""
    limit = f"limit {limit_us:.0f} us" if limit_us else ""
    share = cost.cost_s / cost.loop_s
    return f"{what:36} {cost.cost_s * 1e6:8.1f} us  {share:.5f} of the loop of {cost.loop_s * 1e3:.2f} ms   {limit}\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="cost of one decision")
    parser.add_argument("--policy", choices=tuple(POLICIES), default="expected-cost")
    parser.add_argument("--endpoints", type=int, action="append")
    parser.add_argument("--prompt-bytes", type=int, default=PROMPT_BYTES)
    options = parser.parse_args()
    for endpoints in options.endpoints or (10, 100, 1000):
        what = f"decide, {endpoints} endpoints, {options.prompt_bytes} bytes"
        limit_us = LIMITS_US.get(endpoints) if options.prompt_bytes == PROMPT_BYTES else None
        sys.stdout.write(line(what, decide_cost(endpoints, options.prompt_bytes, options.policy), limit_us))
    for size_bytes, limit in PREFIX_LIMITS_US.items():
        sys.stdout.write(line(f"hash and match, {size_bytes} bytes", prefix_cost(size_bytes), limit))


if __name__ == "__main__":
    main()
