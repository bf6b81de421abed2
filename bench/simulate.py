"""Simulates a pool in virtual time: the picker's own scheduling code in front of the fake pods' engine model.

    python bench/simulate.py --trace conversation.jsonl --config a.yaml --config b.yaml --load 0.8

Each configuration gets the same requests. A trace has one JSON object a line: `timestamp` (ms), `input_length`,
`output_length` (tokens), `hash_ids` (one per 512 tokens; equal ids are equal text), as the Mooncake traces have;
without a trace, prompts with shared beginnings are made up. Time to first token, time per output token and end-to-end
time are in seconds, `hit` is the part of the prompt tokens found in a prefix cache, `imbalance` the largest share of
computed prompt tokens over the mean. Nothing here is asserted.
"""

import argparse
import heapq
import itertools
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from epp.core.config.load import default_config, load_config
from epp.core.config.settings import PickerConfig
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import LoadReport, ObjectState
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.sequence import EngineRequest
from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings

BLOCK_TOKENS = 512
CAPACITY_PER_POD = 9.05 / 8
"""requests per second of the conversation trace that one simulated pod can serve"""
H100_8B = LatencySettings(
    prefill_tokens_per_s=1 / 25.65e-6,
    step_base_s=0.00765,
    step_per_sequence_s=4.4e-6,
    step_per_context_token_s=7.62e-8,
)


class TraceRequest(msgspec.Struct, frozen=True):
    """One line of a trace."""

    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


class Times(msgspec.Struct):
    """What one request saw, in seconds of virtual time."""

    arrived_at: float
    output_tokens: int
    pod: int
    prompt_tokens: int
    cached_tokens: int = 0
    first_token_at: float = 0.0
    ended_at: float = 0.0


def read_trace(path: Path, most: int) -> list[TraceRequest]:
    """The first `most` requests."""
    with path.open("rb") as lines:
        return [msgspec.json.decode(line, type=TraceRequest) for line in itertools.islice(lines, most)]


def made_up(count: int, rng: Random) -> list[TraceRequest]:
    """Groups of prompts with a shared beginning of 1 to 12 blocks, and blocks of their own."""
    fresh = itertools.count(10_000)
    groups = [[next(fresh) for _ in range(rng.randint(1, 12))] for _ in range(max(1, count // 12))]
    requests = []
    for number in range(count):
        ids = [0, *rng.choice(groups), *(next(fresh) for _ in range(rng.randint(0, 8)))]
        requests.append(TraceRequest(number * 1000.0, len(ids) * BLOCK_TOKENS, rng.randint(20, 600), ids))
    return requests


def tokens_of(request: TraceRequest) -> bytes:
    """The prompt as token ids: each block's are made of its id."""
    blocks = [np.arange(BLOCK_TOKENS, dtype="<u4") + np.uint32(block * BLOCK_TOKENS) for block in request.hash_ids]
    return np.concatenate(blocks)[: request.input_length].tobytes()


class Simulation:
    """One pool under one configuration."""

    def __init__(self, config: PickerConfig, pods: int, scrape_s: float, seed: int) -> None:
        self.now = 0.0
        self._scrape_s = scrape_s
        self._settings = EngineSettings(latency=H100_8B, max_loras=0, max_model_len=262_144)
        self._engines = [Engine(self._settings) for _ in range(pods)]
        ledger = InFlightLedger()
        scheduler = Scheduler(build_policy(config), ledger, Random(seed), lambda: self.now)
        self._roster = Roster(ledger, lambda: self.now, metrics_stale_after_s=1e9, slot_renewed=scheduler.forget_slot)
        self._router = Router(self._roster, scheduler, RoutingPolicy(), lambda: self.now)
        self._endpoints = [
            Endpoint.create(namespace="sim", pod=f"pod-{n}", rank=0, address=f"10.0.0.{n + 1}", port=8000)
            for n in range(pods)
        ]
        self._roster.objects_changed(
            ObjectState(InferencePool("sim", "pool", {"a": "b"}, (8000,)), (*self._endpoints,))
        )
        self._pod_of = {endpoint.destination: n for n, endpoint in enumerate(self._endpoints)}
        self._decisions: dict[int, Decision] = {}
        self.times: dict[int, Times] = {}

    def run(self, requests: Sequence[tuple[float, TraceRequest]]) -> list[Times]:
        """Arrivals in order of time; returns what each request saw."""
        self._scrape()
        events: list[tuple[float, int, int]] = [(at, 2, number) for number, (at, _) in enumerate(requests)]
        heapq.heapify(events)
        heapq.heappush(events, (self._scrape_s, 1, 0))
        left = len(requests)
        while left:
            at, kind, number = heapq.heappop(events)
            left -= self._advance(at)
            self.now = at
            if kind == 1:
                self._scrape()
                heapq.heappush(events, (at + self._scrape_s, 1, 0))
            else:
                self._arrive(number, requests[number][1])
        return list(self.times.values())

    def _advance(self, to: float) -> int:
        """Runs every engine up to `to`; returns how many requests ended."""
        ended = 0
        for engine in self._engines:
            while (at := engine.next_event_at) is not None and at <= to:
                for token in engine.advance(at, max_steps=1):
                    times = self.times[token.request_id]
                    if token.position == 0:
                        times.first_token_at = at
                        times.cached_tokens = token.cached_tokens
                    if token.finish_reason is not None:
                        times.ended_at = at
                        self._router.release(self._decisions.pop(token.request_id))
                        ended += 1
        return ended

    def _scrape(self) -> None:
        for endpoint, engine in zip(self._endpoints, self._engines, strict=True):
            published = engine.published
            self._roster.load_reported(
                endpoint,
                LoadReport(
                    waiting=published.waiting,
                    running=published.running,
                    kv_usage=published.kv_usage,
                    kv_block_tokens=self._settings.block_size,
                    kv_blocks=self._settings.num_gpu_blocks,
                ),
            )

    def _arrive(self, number: int, request: TraceRequest) -> None:
        tokens = tokens_of(request)
        prompt = Prompt(PromptKind.TOKEN_IDS, tokens)
        decision = self._router.decide(
            InferenceRequest(str(number), model="m", target_model="m", prompt=prompt, max_tokens=request.output_length)
        )
        if not isinstance(decision, Decision):
            raise TypeError("the simulation has no flow control")
        for lesson in decision.lessons:
            lesson()
        pod = self._pod_of[decision.endpoint.destination]
        self._decisions[number] = decision
        self.times[number] = Times(self.now, request.output_length, pod, len(tokens) // 4)
        output = bytes(4 * request.output_length)
        self._engines[pod].submit(self.now, EngineRequest(number, tokens, output))


def arrivals(trace: Sequence[TraceRequest], rate_per_s: float, rng: Random) -> Iterator[tuple[float, TraceRequest]]:
    """Poisson arrivals of the trace's requests, in its order."""
    at = 0.0
    for request in trace:
        at += rng.expovariate(rate_per_s)
        yield at, request


def report(name: str, times: list[Times], pods: int) -> str:
    """One line of figures; the first tenth of the requests is left out."""
    kept = sorted(times, key=lambda each: each.arrived_at)[len(times) // 10 :]
    first = np.array([each.first_token_at - each.arrived_at for each in kept])
    total = np.array([each.ended_at - each.arrived_at for each in kept])
    per_token = np.array(
        [(each.ended_at - each.first_token_at) / (each.output_tokens - 1) for each in kept if each.output_tokens > 1]
    )
    computed = [sum(each.prompt_tokens - each.cached_tokens for each in kept if each.pod == n) for n in range(pods)]
    hit = sum(each.cached_tokens for each in kept) / sum(each.prompt_tokens for each in kept)
    return (
        f"{name:28} TTFT {first.mean():6.2f} p50 {np.quantile(first, 0.5):5.2f} p90 {np.quantile(first, 0.9):6.2f} "
        f"p99 {np.quantile(first, 0.99):6.2f}  TPOT p50 {np.quantile(per_token, 0.5) * 1e3:4.0f} ms "
        f"p99 {np.quantile(per_token, 0.99) * 1e3:4.0f} ms  E2E {total.mean():6.2f}  hit {hit:.3f}  "
        f"imbalance {max(computed) / max(1.0, statistics.mean(computed)):.2f}"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="simulate policies over a trace in virtual time")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--config", type=Path, action="append", default=[])
    parser.add_argument("--load", type=float, default=0.8, help="share of the pool's capacity (conversation trace)")
    parser.add_argument("--pods", type=int, default=8)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--scrape-s", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = Random(options.seed)
    trace = read_trace(options.trace, options.requests) if options.trace else made_up(options.requests, rng)
    plan = list(arrivals(trace, options.load * CAPACITY_PER_POD * options.pods, rng))
    configs = [("default", default_config(CATALOGUE))]
    configs += [(path.stem, load_config(path.read_bytes(), str(path), CATALOGUE)) for path in options.config]
    for name, config in configs:
        times = Simulation(config, options.pods, options.scrape_s, options.seed).run(plan)
        sys.stdout.write(report(name, times, options.pods) + "\n")


if __name__ == "__main__":
    main()
