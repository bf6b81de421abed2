"""Cost of one decision: `Router.decide` with the default policy, and hashing plus matching of long prompts.

    python bench/decide.py

Prints microseconds of CPU and the ratio to a fixed loop of pure Python measured in the same run, so that figures of
different machines can be compared; the limits in the last column are those of an idle machine on which the loop takes
about 10 ms. Every figure is the best of several rounds: other processes only ever add to it. Nothing here is asserted.
"""

import argparse
import sys
import time
from collections.abc import Callable
from random import Random

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

ROUNDS = 15
DECISIONS = 200
BLOCK_BYTES = 64
LIMITS_US = {10: 60.0, 1000: 400.0}
"""of a decision over so many endpoints, with a 2 KB prompt"""
PREFIX_LIMITS_US = {220_000: 350.0, 1_000_000: 1800.0}
"""of hashing and matching a prompt of so many bytes"""


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


def decide_s(endpoints: int, prompt_bytes: int, policy: str) -> float:
    """CPU seconds per decision. What comes after the reply (learning, releases) is not in it."""
    pool = Pool(endpoints, policy)
    requests = [
        InferenceRequest(
            str(number),
            model="base",
            target_model="base",
            prompt=Prompt(PromptKind.TEXT, prompt_of(number, prompt_bytes)),
            max_tokens=256,
        )
        for number in range(DECISIONS)
    ]

    def round_s() -> float:
        decide = pool.router.decide
        started = time.process_time()
        decisions = [decide(request) for request in requests]
        taken_s = time.process_time() - started
        for decision in decisions:
            if not isinstance(decision, Decision):
                raise TypeError("nothing is queued here")
            for lesson in decision.lessons:
                lesson()
            pool.router.release(decision)
        return taken_s / DECISIONS

    round_s()
    return best_of(round_s)


def prefix_s(prompt_bytes: int) -> float:
    """CPU seconds of hashing a prompt and looking it up among eight that share its first half."""
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


def best_of(round_s: Callable[[], float]) -> float:
    """The smallest of several rounds."""
    return min(round_s() for _ in range(ROUNDS))


def line(what: str, cost_s: float, reference_s: float, limit_us: float | None) -> str:
    """One row of the table."""
    limit = f"limit {limit_us:.0f} us" if limit_us else ""
    return f"{what:44} {cost_s * 1e6:8.1f} us {cost_s / reference_s:9.5f} of the loop   {limit}\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="cost of one decision")
    parser.add_argument("--policy", choices=tuple(POLICIES), default="expected-cost")
    parser.add_argument("--endpoints", type=int, action="append")
    parser.add_argument("--prompt-bytes", type=int, default=2048)
    options = parser.parse_args()
    reference_s = best_of(reference_loop_s)
    sys.stdout.write(f"reference loop {reference_s * 1e3:.2f} ms\n")
    for endpoints in options.endpoints or (10, 100, 1000):
        cost_s = decide_s(endpoints, options.prompt_bytes, options.policy)
        what = f"decide, {endpoints} endpoints, {options.prompt_bytes} bytes"
        limit_us = LIMITS_US.get(endpoints) if options.prompt_bytes == 2048 else None
        sys.stdout.write(line(what, cost_s, reference_s, limit_us))
    for size_bytes, limit in PREFIX_LIMITS_US.items():
        sys.stdout.write(line(f"hash and match, {size_bytes} bytes", prefix_s(size_bytes), reference_s, limit))


if __name__ == "__main__":
    main()
