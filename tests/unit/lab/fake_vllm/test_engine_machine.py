"""Whatever happens to an engine, blocks and slots are accounted for."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from epp.lab.fake_vllm.scheduler import Scheduler
from epp.lab.fake_vllm.sequence import Phase
from tests.unit.lab.fake_vllm.scripted_engine import ScriptedEngine, adapter

BLOCKS = 24
BLOCK_SIZE = 4


class EngineMachine(RuleBasedStateMachine):
    """Requests with shared prefixes and few blocks, so that eviction, preemption and waiting all happen."""

    def __init__(self) -> None:
        super().__init__()
        self.run = ScriptedEngine(num_gpu_blocks=BLOCKS, max_num_seqs=4, max_num_batched_tokens=16, max_loras=2)
        self.expected: dict[int, int] = {}
        self.submitted = 0

    @property
    def scheduler(self) -> Scheduler:
        return self.run.engine._scheduler

    @rule(
        tokens=st.integers(1, 60),
        output=st.integers(1, 30),
        text=st.integers(1, 3),
        lora=st.integers(0, 4),
        salt=st.sampled_from(["", "s"]),
        priority=st.integers(-1, 1),
    )
    def submit(self, *, tokens: int, output: int, text: int, lora: int, salt: str, priority: int) -> None:
        self.submitted += 1
        self.expected[self.submitted] = output
        given = adapter(lora) if lora else None
        self.run.submit(self.submitted, tokens, output, text=text, lora=given, salt=salt, priority=priority)

    @precondition(lambda self: self.submitted)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        request_id = data.draw(st.integers(1, self.submitted))
        known = request_id in self.run.engine._sequences
        assert self.run.engine.abort(request_id) == known
        if known:
            del self.expected[request_id]

    @rule(seconds=st.floats(0, 0.3))
    def advance(self, seconds: float) -> None:
        self.run.until(self.run.now + seconds)

    @rule()
    def rest(self) -> None:
        self.run.run(max_steps=10_000)
        assert self.run.engine.unfinished == 0
        assert self.scheduler.pool.free_blocks == BLOCKS
        assert self.scheduler.slots.held == 0
        for request_id, count in self.expected.items():
            positions = [output.position for output in self.run.outputs if output.request_id == request_id]
            assert positions == list(range(count)), f"request {request_id}"

    @invariant()
    def blocks_are_accounted_for(self) -> None:
        pool = self.scheduler.pool
        refs = [0] * BLOCKS
        for sequence in self.scheduler.running:
            assert len(sequence.blocks) >= sequence.computed / BLOCK_SIZE
            assert len(set(sequence.blocks)) == len(sequence.blocks)
            for block in sequence.blocks:
                refs[block] += 1
        assert pool._refs == refs[: len(pool._refs)]
        assert pool.free_blocks == refs.count(0)
        assert sorted([*pool._blank, *pool._evictable]) == [
            block for block, count in enumerate(pool._refs) if not count
        ]
        assert {block: block_hash for block_hash, block in pool._by_hash.items()} == {
            block: block_hash for block, block_hash in enumerate(pool._hash_of) if block_hash is not None
        }
        assert 0 <= pool.usage <= 1

    @invariant()
    def queues_are_accounted_for(self) -> None:
        engine, scheduler = self.run.engine, self.scheduler
        assert len(scheduler.running) <= 4
        queued = [*scheduler.running, *scheduler.waiting, *engine._arrived]
        assert sorted(sequence.request.request_id for sequence in queued) == sorted(engine._sequences)
        assert all(sequence.phase is Phase.RUNNING for sequence in scheduler.running)
        assert all(not sequence.blocks for sequence in scheduler.waiting)
        assert [sequence.key for sequence in scheduler.waiting] == sorted(
            sequence.key for sequence in scheduler.waiting
        )
        assert (engine.next_event_at is None) <= (not queued), "work without a step in progress would hang"

    @invariant()
    def slots_are_accounted_for(self) -> None:
        users: dict[int, int] = {}
        for sequence in self.scheduler.running:
            if sequence.request.adapter is not None:
                users[sequence.request.adapter.id] = users.get(sequence.request.adapter.id, 0) + 1
        slots = self.scheduler.slots
        assert {resident: count for resident, count in slots._users.items() if count} == users
        assert len(slots.resident) <= 2
        assert set(self.scheduler.running_adapters.names()) == {f"lora-{number}" for number in users}
        waiting = {sequence.request.adapter.name for sequence in self.scheduler.waiting if sequence.request.adapter}
        assert set(self.scheduler.waiting_adapters.names()) == waiting


class PriorityEngineMachine(EngineMachine):
    """The same under priority scheduling."""

    def __init__(self) -> None:
        super().__init__()
        self.run = ScriptedEngine(
            num_gpu_blocks=BLOCKS,
            max_num_seqs=4,
            max_num_batched_tokens=16,
            max_loras=2,
            priority_scheduling=True,
        )


TestEngine = EngineMachine.TestCase
TestEngine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPriorityEngine = PriorityEngineMachine.TestCase
TestPriorityEngine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
