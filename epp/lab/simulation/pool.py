"""A pool in virtual time: the picker's own scheduling code in front of the fake pods' engine model."""

import heapq
from collections.abc import Sequence
from random import Random

import msgspec

from epp.core.config.settings import PickerConfig
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import EngineTotals, LoadReport, ObjectState, Outcome, RequestReport, TokenUsage
from epp.core.domain.request import InferenceRequest, Prompt, PromptKind
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.sequence import EngineRequest, TokenOutput
from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings
from epp.lab.simulation.workloads import TraceRequest, tokens_of

H100_8B = LatencySettings(
    prefill_tokens_per_s=1 / 25.65e-6,
    step_base_s=0.00765,
    step_per_sequence_s=4.4e-6,
    step_per_context_token_s=7.62e-8,
    attention_s_per_token_squared=0.48e-9,
)
"""Llama-3.1-8B on an H100"""
_SCRAPE, _ARRIVAL = 1, 2


class PoolPlan(msgspec.Struct, frozen=True):
    """What is simulated besides the policy."""

    pods: int = 8
    scrape_s: float = 0.05
    sees_every: int = 16
    """one of so many answers is seen by the picker; 0: none"""
    latency: LatencySettings = H100_8B
    slow_pods: int = 0
    """so many pods take twice as long for everything"""


class Times(msgspec.Struct):
    """What one request saw, in seconds of virtual time."""

    arrived_at: float
    output_tokens: int
    pod: int
    prompt_tokens: int
    cached_tokens: int = 0
    first_token_at: float = 0.0
    ended_at: float = 0.0


class SimulatedPool:
    """One pool under one configuration."""

    def __init__(self, config: PickerConfig, plan: PoolPlan, seed: int) -> None:
        self.now = 0.0
        self._plan = plan
        settings = EngineSettings(latency=plan.latency, max_loras=0, max_model_len=262_144)
        half_speed = msgspec.structs.replace(plan.latency, speed=plan.latency.speed / 2.0)
        slow = msgspec.structs.replace(settings, latency=half_speed)
        self._engines = [Engine(slow if number < plan.slow_pods else settings) for number in range(plan.pods)]
        ledger = InFlightLedger()
        self.policy = build_policy(config)
        scheduler = Scheduler(self.policy, ledger, Random(seed), lambda: self.now)
        self._roster = Roster(
            ledger,
            lambda: self.now,
            metrics_stale_after_s=1e9,
            slot_renewed=scheduler.forget_slot,
            load_noted=scheduler.load_noted,
        )
        self._router = Router(self._roster, scheduler, RoutingPolicy(), lambda: self.now)
        self._endpoints = [
            Endpoint.create(namespace="sim", pod=f"pod-{n}", rank=0, address=f"10.0.0.{n + 1}", port=8000)
            for n in range(plan.pods)
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
        events = [(at, _ARRIVAL, number) for number, (at, _) in enumerate(requests)]
        heapq.heapify(events)
        heapq.heappush(events, (self._plan.scrape_s, _SCRAPE, 0))
        left = len(requests)
        while left:
            at, kind, number = heapq.heappop(events)
            left -= self._advance(at)
            self.now = at
            if kind == _SCRAPE:
                self._scrape()
                heapq.heappush(events, (at + self._plan.scrape_s, _SCRAPE, 0))
            else:
                self._arrive(number, requests[number][1])
        return list(self.times.values())

    def _advance(self, to: float) -> int:
        """Runs every engine up to `to`; returns how many requests ended."""
        ended = 0
        steps = [
            (at, number) for number, engine in enumerate(self._engines) if (at := engine.next_event_at) is not None
        ]
        heapq.heapify(steps)
        while steps and steps[0][0] <= to:
            at, number = heapq.heappop(steps)
            self.now = at
            for token in self._engines[number].advance(at, max_steps=1):
                ended += self._token(token)
            following = self._engines[number].next_event_at
            if following is not None:
                heapq.heappush(steps, (following, number))
        return ended

    def _token(self, token: TokenOutput) -> int:
        number, times = token.request_id, self.times[token.request_id]
        seen = self._plan.sees_every and number % self._plan.sees_every == 0
        if token.position == 0:
            times.first_token_at = self.now
            times.cached_tokens = token.cached_tokens
            if seen:
                self._router.first_token(self._decisions[number])
        if token.finish_reason is None:
            return 0
        times.ended_at = self.now
        decision = self._decisions.pop(number)
        self._router.release(decision)
        report = RequestReport(
            outcome=Outcome.COMPLETE if seen else Outcome.UNKNOWN,
            status=200,
            duration_s=self.now - times.arrived_at,
            request_bytes=0,
            response_bytes=None,
            first_token_s=times.first_token_at - times.arrived_at if seen else None,
            usage=TokenUsage(times.prompt_tokens, times.output_tokens) if seen else None,
            served="",
        )
        self._router.finished(decision, report)
        return 1

    def _scrape(self) -> None:
        for endpoint, engine in zip(self._endpoints, self._engines, strict=True):
            published = engine.published
            self._roster.load_reported(
                endpoint,
                LoadReport(
                    waiting=published.waiting,
                    running=published.running,
                    kv_usage=published.kv_usage,
                    kv_block_tokens=engine.settings.block_size,
                    kv_blocks=engine.settings.num_gpu_blocks,
                    totals=EngineTotals(
                        first_token_s=engine.ttft.sum,
                        first_tokens=sum(engine.ttft.counts),
                        prefill_s=engine.prefill.sum,
                        prefills=sum(engine.prefill.counts),
                        token_gap_s=engine.token_gaps.sum,
                        token_gaps=sum(engine.token_gaps.counts),
                        prompt_tokens=published.prompt_tokens,
                        cached_tokens=published.prefix_hits,
                        output_tokens=published.generation_tokens,
                    ),
                ),
            )

    def _arrive(self, number: int, request: TraceRequest) -> None:
        tokens = tokens_of(request)
        prompt = Prompt(PromptKind.TOKEN_IDS, tokens)
        decision = self._router.decide(InferenceRequest(str(number), model="m", target_model="m", prompt=prompt))
        if not isinstance(decision, Decision):
            raise TypeError("the simulation has no flow control")
        for lesson in decision.lessons:
            lesson()
        pod = self._pod_of[decision.endpoint.destination]
        self._decisions[number] = decision
        self.times[number] = Times(self.now, request.output_length, pod, len(tokens) // 4)
        output = bytes(4 * request.output_length)
        self._engines[pod].submit(self.now, EngineRequest(number, tokens, output))
