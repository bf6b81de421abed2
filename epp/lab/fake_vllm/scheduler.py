"""Which sequences take part in the next step, and with how many tokens (vLLM's V1 scheduler, without its extras).

Running sequences come first, in order of admission: one token each while decoding, a chunk of the prompt before that.
When blocks run out, the sequence admitted last (under priority scheduling: the least important) is preempted and starts
over later. Then waiting sequences are admitted in order while token budget, `max_num_seqs` and blocks allow; the first
one without enough blocks stops the admission, one without an adapter slot is passed over.
"""

from bisect import bisect_left, insort
from operator import attrgetter
from typing import NamedTuple

from epp.lab.fake_vllm.adapters import AdapterSlots, NameCounts
from epp.lab.fake_vllm.kv_cache import BlockPool
from epp.lab.fake_vllm.sequence import Phase, Sequence
from epp.lab.fake_vllm.settings import EngineSettings
from epp.lab.fake_vllm.stats import Counters

_KEY = attrgetter("key")


class Share(NamedTuple):
    """A sequence's part in a step: `tokens` to compute, `prefill` of them beyond plain decoding."""

    sequence: Sequence
    tokens: int
    prefill: int


class Plan(NamedTuple):
    """One step."""

    shares: list[Share]
    adapter_loads: int


class Scheduler:
    """The waiting and running queues, and the resources that running sequences hold."""

    def __init__(self, settings: EngineSettings, counters: Counters, pool: BlockPool) -> None:
        self.pool = pool
        self.slots = AdapterSlots(settings.max_loras)
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self.waiting_adapters = NameCounts()
        self.running_adapters = NameCounts()
        self._settings = settings
        self._counters = counters

    def enqueue(self, sequence: Sequence) -> None:
        """Puts a sequence in its place of the waiting queue: by arrival, or by priority and arrival."""
        sequence.phase = Phase.WAITING
        insort(self.waiting, sequence, key=_KEY)
        self.waiting_adapters.add(sequence.request.adapter)

    def remove(self, sequence: Sequence) -> None:
        """Takes a finished or aborted sequence out and frees what it holds."""
        if sequence.phase is Phase.WAITING:
            del self.waiting[bisect_left(self.waiting, sequence.key, key=_KEY)]
            self.waiting_adapters.remove(sequence.request.adapter)
        elif sequence.phase is Phase.RUNNING:
            self.running.remove(sequence)
            self._free(sequence)
        sequence.phase = Phase.ENDED

    def plan(self) -> Plan:
        """Schedules one step; the plan is empty only when nothing runs and nothing waits."""
        shares, preempted = self._continue_running()
        budget = self._settings.max_num_batched_tokens - sum(share.tokens for share in shares)
        loads = 0 if preempted else self._admit(shares, budget)
        return Plan(shares, loads)

    def _continue_running(self) -> tuple[list[Share], bool]:
        budget = self._settings.max_num_batched_tokens
        shares: dict[Sequence, Share] = {}
        preempted = False
        for sequence in list(self.running):
            if sequence.phase is not Phase.RUNNING:
                continue
            tokens = min(sequence.uncomputed_tokens, budget)
            if tokens == 0:
                break
            while not self._reserve(sequence, tokens):
                victim = max(self.running, key=_KEY) if self._settings.priority_scheduling else self.running[-1]
                self._preempt(victim)
                preempted = True
                refunded = shares.pop(victim, None)
                budget += refunded.tokens if refunded else 0
                if victim is sequence:
                    break
            else:
                budget -= tokens
                shares[sequence] = _share(sequence, tokens)
        return list(shares.values()), preempted

    def _admit(self, shares: list[Share], budget: int) -> int:
        loads = 0
        place = 0
        while place < len(self.waiting) and budget > 0 and len(self.running) < self._settings.max_num_seqs:
            sequence = self.waiting[place]
            adapter = sequence.request.adapter
            if adapter is not None and not self.slots.can_hold(adapter.id):
                place += 1
                continue
            tokens = self._take_blocks(sequence, budget)
            if tokens == 0:
                break
            del self.waiting[place]
            self.waiting_adapters.remove(adapter)
            self.running.append(sequence)
            self.running_adapters.add(adapter)
            sequence.phase = Phase.RUNNING
            if adapter is not None and self.slots.acquire(adapter.id):
                loads += 1
            budget -= tokens
            shares.append(_share(sequence, tokens))
        return loads

    def _take_blocks(self, sequence: Sequence, budget: int) -> int:
        """Gives a sequence its cached prefix and the blocks of its first chunk; returns the chunk, 0 if none fits."""
        block_size = self._settings.block_size
        # The last token is always computed, whatever is cached: its logits make the next one.
        hits = self.pool.match(sequence.hashes[: (sequence.total - 1) // block_size])
        cached = len(hits) * block_size
        tokens = min(sequence.total - cached, budget)
        taken = self.pool.take(-(-(cached + tokens) // block_size) - len(hits), shared=hits)
        if taken is None:
            return 0
        sequence.blocks = taken
        sequence.computed = cached
        if sequence.cached_tokens is None:
            sequence.cached_tokens = cached
            self._counters.queries += sequence.total
            self._counters.hits += cached
        return tokens

    def _reserve(self, sequence: Sequence, tokens: int) -> bool:
        needed = -(-(sequence.computed + tokens) // self._settings.block_size) - len(sequence.blocks)
        if needed <= 0:
            return True
        taken = self.pool.take(needed)
        if taken is None:
            return False
        sequence.blocks += taken
        return True

    def _preempt(self, victim: Sequence) -> None:
        self.running.remove(victim)
        self._free(victim)
        victim.computed = 0
        self._counters.preemptions += 1
        self.enqueue(victim)

    def _free(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        self.running_adapters.remove(sequence.request.adapter)
        if sequence.request.adapter is not None:
            self.slots.release(sequence.request.adapter.id)


def _share(sequence: Sequence, tokens: int) -> Share:
    decoding = sequence.produced > 0 and sequence.uncomputed_tokens == 1
    return Share(sequence, tokens, 0 if decoding else tokens)
