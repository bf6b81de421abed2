"""The engine: continuous batching in steps, driven by whoever owns the clock.

Times are seconds on any monotonic clock and never go backwards. `submit` and `abort` happen between or during steps,
`advance(now)` ends every step that is due and begins the next one at the instant the last one ended, so the result does
not depend on how often it is called. A request that arrives during a step is looked at when the next one begins.
"""

from epp.lab.fake_vllm.kv_cache import BlockPool
from epp.lab.fake_vllm.kv_event_log import KvEventLog
from epp.lab.fake_vllm.latency import step_duration_s
from epp.lab.fake_vllm.scheduler import Plan, Scheduler, Share
from epp.lab.fake_vllm.sequence import EngineRequest, Phase, Sequence, TokenOutput
from epp.lab.fake_vllm.settings import EngineSettings
from epp.lab.fake_vllm.stats import (
    LATENCY_BUCKETS_S,
    TOKEN_GAP_BUCKETS_S,
    TTFT_BUCKETS_S,
    Counters,
    EngineStats,
    Histogram,
    LoraHistory,
)


class Engine:
    """One simulated vLLM engine. `published`, the histograms and `lora_history` change only at the end of a step."""

    def __init__(self, settings: EngineSettings, kv_events: KvEventLog | None = None) -> None:
        """`kv_events` is told what happens to the prefix cache; somebody must take it out again."""
        self.settings = settings
        self.published = EngineStats()
        self.ttft = Histogram(TTFT_BUCKETS_S)
        self.prefill = Histogram(LATENCY_BUCKETS_S)
        """seconds from schedule to first token"""
        self.token_gaps = Histogram(TOKEN_GAP_BUCKETS_S)
        self.latency = Histogram(LATENCY_BUCKETS_S)
        self.lora_history = LoraHistory()
        self._counters = Counters()
        self._kv_events = kv_events
        self._pool = BlockPool(settings.num_gpu_blocks, kv_events.removed if kv_events else None)
        self._scheduler = Scheduler(settings, self._counters, self._pool)
        self._sequences: dict[int, Sequence] = {}
        self._arrived: list[Sequence] = []
        self._order = 0
        self._plan: Plan | None = None
        self._step_ends_at = 0.0

    @property
    def next_event_at(self) -> float | None:
        """When the step in progress ends; None while the engine is idle."""
        return None if self._plan is None else self._step_ends_at

    @property
    def unfinished(self) -> int:
        """Requests in the engine."""
        return len(self._sequences)

    def submit(self, now: float, *requests: EngineRequest) -> None:
        """Accepts requests. Raises ValueError when one is empty, does not fit the context, or reuses an id in use."""
        for request in requests:
            sequence = Sequence(
                request,
                arrived_at=now,
                order=self._order,
                priority=request.priority if self.settings.priority_scheduling else 0,
                block_size=self.settings.block_size,
            )
            total = sequence.prompt_tokens + sequence.output_tokens
            if sequence.prompt_tokens < 1 or sequence.output_tokens < 1 or total > self.settings.context_tokens:
                raise ValueError(
                    f"request {request.request_id}: {sequence.prompt_tokens} prompt and {sequence.output_tokens} "
                    f"output tokens; both must be at least 1 and together at most {self.settings.context_tokens}"
                )
            if request.request_id in self._sequences:
                raise ValueError(f"request {request.request_id} is in the engine already")
            self._order += 1
            self._sequences[request.request_id] = sequence
            self._arrived.append(sequence)
        if self._plan is None:
            self._begin_step(now)

    def abort(self, request_id: int) -> bool:
        """Forgets a request and frees its blocks; the step in progress still takes its time. False if unknown."""
        sequence = self._sequences.pop(request_id, None)
        if sequence is None:
            return False
        if sequence.phase is Phase.ARRIVED:
            self._arrived.remove(sequence)
        self._scheduler.remove(sequence)
        self._counters.aborted += 1
        return True

    def reset_prefix_cache(self) -> bool:
        """Forgets all cached blocks; False while a request runs."""
        is_reset = self._pool.reset()
        if is_reset and self._kv_events is not None:
            self._kv_events.cleared()
        return is_reset

    def advance(self, now: float, *, max_steps: int | None = None) -> list[TokenOutput]:
        """Ends the steps due by `now`, at most `max_steps` of them; returns the tokens they produced, in order."""
        outputs: list[TokenOutput] = []
        steps = 0
        while self._plan is not None and self._step_ends_at <= now and steps != max_steps:
            self._end_step(self._plan, outputs)
            self._begin_step(self._step_ends_at)
            steps += 1
        return outputs

    def _begin_step(self, at: float) -> None:
        scheduler = self._scheduler
        if self._arrived and not scheduler.running and not scheduler.waiting:
            at = max(at, self._arrived[0].arrived_at)
        while self._arrived and self._arrived[0].arrived_at <= at:
            scheduler.enqueue(self._arrived.pop(0))
        plan = scheduler.plan()
        if not plan.shares:
            self._plan = None
            return
        for share in plan.shares:
            if share.sequence.scheduled_at is None:
                share.sequence.scheduled_at = at
        self._plan = plan
        self._step_ends_at = at + step_duration_s(
            self.settings.latency,
            prefill_tokens=sum(share.prefill for share in plan.shares),
            sequences=len(plan.shares),
            adapter_loads=plan.adapter_loads,
            context_tokens=sum(share.sequence.computed for share in plan.shares),
            attention_squares=sum(_squares(share) for share in plan.shares if share.prefill),
        )

    def _end_step(self, plan: Plan, outputs: list[TokenOutput]) -> None:
        for sequence, tokens, _ in plan.shares:
            if sequence.phase is not Phase.RUNNING:
                continue
            before = sequence.computed // self.settings.block_size
            sequence.computed += tokens
            if self.settings.prefix_caching:
                for index in range(before, sequence.computed // self.settings.block_size):
                    is_new = self._pool.register(sequence.blocks[index], sequence.hashes[index])
                    if is_new and self._kv_events is not None:
                        self._kv_events.stored(sequence, index)
            if sequence.uncomputed_tokens == 0:
                outputs.append(self._produce(sequence))
        self._publish()

    def _produce(self, sequence: Sequence) -> TokenOutput:
        request = sequence.request
        index = sequence.produced
        counters = self._counters
        counters.generation_tokens += 1
        if index == 0:
            counters.prompt_tokens += sequence.prompt_tokens
            self.ttft.observe(self._step_ends_at - sequence.arrived_at)
            self.prefill.observe(self._step_ends_at - (sequence.scheduled_at or 0.0))
        else:
            self.token_gaps.observe(self._step_ends_at - sequence.last_token_at)
        sequence.last_token_at = self._step_ends_at
        if index + 1 < sequence.output_tokens:
            sequence.grow(self.settings.block_size)
            return TokenOutput(request.request_id, index, None, sequence.cached_tokens or 0)
        self._scheduler.remove(sequence)
        del self._sequences[request.request_id]
        self.latency.observe(self._step_ends_at - sequence.arrived_at)
        if request.finish_reason == "stop":
            counters.stopped += 1
        else:
            counters.length += 1
        return TokenOutput(request.request_id, index, request.finish_reason, sequence.cached_tokens or 0)

    def _publish(self) -> None:
        scheduler = self._scheduler
        counters = self._counters
        self.published = EngineStats(
            step=self.published.step + 1,
            at=self._step_ends_at,
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            kv_usage=scheduler.pool.usage,
            prefix_queries=counters.queries,
            prefix_hits=counters.hits,
            prompt_tokens=counters.prompt_tokens,
            generation_tokens=counters.generation_tokens,
            preemptions=counters.preemptions,
            finished_stop=counters.stopped,
            finished_length=counters.length,
            finished_abort=counters.aborted,
        )
        if self.settings.max_loras:
            self.lora_history.record(
                ",".join(scheduler.running_adapters.names()),
                ",".join(scheduler.waiting_adapters.names()),
                self._step_ends_at,
            )


def _squares(share: Share) -> int:
    """Growth of the square of the computed tokens: what attention costs."""
    before = share.sequence.computed
    return (before + share.prefill) ** 2 - before**2
