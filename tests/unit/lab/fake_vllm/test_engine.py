"""The engine under virtual time: queueing, batching, chunked prefill, aborts, what is published when."""

import msgspec
import pytest

from epp.lab.fake_vllm.sequence import EngineRequest
from tests.unit.lab.fake_vllm.scripted_engine import PREFILL_S, SEQUENCE_S, SETTINGS, STEP_S, ScriptedEngine, prompt


def test_a_lone_request_takes_a_prefill_step_and_one_step_per_further_token() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=10, output_tokens=3)

    run.run()

    prefill_s = STEP_S + SEQUENCE_S + 10 * PREFILL_S
    assert run.first_token_at[1] == pytest.approx(prefill_s)
    assert run.finished_at[1] == pytest.approx(prefill_s + 2 * (STEP_S + SEQUENCE_S))
    assert [output.finish_reason for output in run.outputs] == [None, None, "length"]
    assert run.engine.unfinished == 0


def test_speed_divides_every_duration() -> None:
    slow = ScriptedEngine()
    fast = ScriptedEngine(latency=msgspec.structs.replace(SETTINGS.latency, speed=100.0))
    for run in (slow, fast):
        run.submit(1, prompt_tokens=10, output_tokens=3)
        run.run()

    assert fast.finished_at[1] == pytest.approx(slow.finished_at[1] / 100)


def test_a_batch_is_slower_per_step_but_faster_in_all() -> None:
    alone, batch = ScriptedEngine(), ScriptedEngine()
    alone.submit(1, prompt_tokens=4, output_tokens=20)
    for request_id in range(1, 9):
        batch.submit(request_id, prompt_tokens=4, output_tokens=20)

    alone.run()
    batch.run()

    assert batch.finished_at[1] > alone.finished_at[1]
    assert max(batch.finished_at.values()) < 8 * alone.finished_at[1]


def test_the_result_does_not_depend_on_how_often_the_clock_is_read() -> None:
    often, once = ScriptedEngine(), ScriptedEngine()
    for run in (often, once):
        run.submit(1, prompt_tokens=70, output_tokens=5)
        run.submit(2, prompt_tokens=9, output_tokens=7)
    often.run()

    once.until(10.0)

    assert once.outputs == often.outputs
    assert once.engine.published == often.engine.published


def test_a_prompt_above_the_step_budget_is_computed_in_chunks() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=150)

    ends = []
    while run.engine.next_event_at is not None:
        run.step()
        ends.append(run.now)

    chunks = [64, 64, 22]
    durations = [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]
    assert durations == pytest.approx([STEP_S + SEQUENCE_S + chunk * PREFILL_S for chunk in chunks])


def test_a_long_prefill_delays_the_tokens_of_running_requests() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=4, output_tokens=10)
    run.step()
    before = run.now
    run.step()
    quick_s = run.now - before
    run.submit(2, prompt_tokens=60)
    run.step()

    before = run.now
    outputs = run.step()

    assert [output.request_id for output in outputs] == [1, 2]
    assert run.now - before == pytest.approx(quick_s + 60 * PREFILL_S + SEQUENCE_S)


def test_requests_beyond_max_num_seqs_wait_in_order_of_arrival() -> None:
    run = ScriptedEngine(max_num_seqs=2)
    for request_id in range(1, 6):
        run.submit(request_id, prompt_tokens=4, output_tokens=3)

    run.step()
    run.step()
    assert (run.engine.published.running, run.engine.published.waiting) == (2, 3)
    run.run()

    assert list(run.first_token_at) == [1, 2, 3, 4, 5]
    assert run.first_token_at[3] > run.finished_at[1]


def test_under_priority_scheduling_the_lower_number_goes_first() -> None:
    run = ScriptedEngine(max_num_seqs=1, priority_scheduling=True)
    run.submit(1, prompt_tokens=4, output_tokens=2)
    run.submit(2, prompt_tokens=4, priority=5)
    run.submit(3, prompt_tokens=4, priority=-5)
    run.submit(4, prompt_tokens=4)

    run.run()

    assert list(run.finished_at) == [1, 3, 4, 2]


def test_without_priority_scheduling_priority_counts_for_nothing() -> None:
    run = ScriptedEngine(max_num_seqs=1)
    run.submit(1, prompt_tokens=4, output_tokens=2)
    run.submit(2, prompt_tokens=4, priority=5)
    run.submit(3, prompt_tokens=4, priority=-5)

    run.run()

    assert list(run.finished_at) == [1, 2, 3]


def test_statistics_are_a_step_old() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=10, output_tokens=2)
    run.submit(2, prompt_tokens=10, output_tokens=2)
    assert run.engine.published.running == 0, "the first step has not ended"

    run.step()
    published = run.engine.published
    assert (published.running, published.waiting) == (1, 0), "request 2 came while the step was under way"
    assert published.kv_usage == pytest.approx(3 / 100)

    run.run()
    assert run.engine.published.running == 0
    assert run.engine.published.kv_usage == 0
    assert run.engine.published.finished_length == 2
    assert run.engine.published.prompt_tokens == 20
    assert run.engine.published.generation_tokens == 4


def test_histograms_hold_time_to_first_token_and_latency() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=30, output_tokens=5)
    run.run()

    assert sum(run.engine.ttft.counts) == 1
    assert run.engine.ttft.sum == pytest.approx(run.first_token_at[1])
    assert run.engine.ttft.counts[run.engine.ttft.bounds.index(0.06)] == 1, "0.041 s belongs to le=0.06"
    assert run.engine.latency.sum == pytest.approx(run.finished_at[1])


def test_an_idle_engine_has_no_next_event() -> None:
    run = ScriptedEngine()
    assert run.engine.next_event_at is None
    assert run.until(1000.0) == []

    run.submit(1, prompt_tokens=4)
    run.run()

    assert run.now == pytest.approx(1000 + STEP_S + SEQUENCE_S + 4 * PREFILL_S)
    assert run.engine.next_event_at is None


def test_an_abort_frees_blocks_at_once_and_shows_after_the_step() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=40, output_tokens=50)
    run.step()
    assert run.engine._scheduler.pool.free_blocks == 89

    assert run.engine.abort(1)

    assert run.engine._scheduler.pool.free_blocks == 100
    assert run.engine.published.running == 1
    assert run.step() == []
    assert run.engine.published.running == 0
    assert run.engine.published.finished_abort == 1
    assert run.engine.next_event_at is None
    assert not run.engine.abort(1), "it is gone"


@pytest.mark.parametrize("steps", [0, 1])
def test_an_aborted_request_that_waits_never_runs(steps: int) -> None:
    run = ScriptedEngine(max_num_seqs=1)
    run.submit(1, prompt_tokens=4, output_tokens=3)
    run.submit(2, prompt_tokens=4)
    for _ in range(steps):
        run.step()

    run.engine.abort(2)
    run.run()

    assert list(run.finished_at) == [1]


@pytest.mark.parametrize(("prompt_tokens", "output_tokens"), [(0, 1), (1, 0), (300, 101)])
def test_a_request_that_cannot_run_is_refused(prompt_tokens: int, output_tokens: int) -> None:
    run = ScriptedEngine()
    with pytest.raises(ValueError, match="request 1: "):
        run.submit(1, prompt_tokens, output_tokens)


def test_an_id_in_use_is_refused() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=1)
    with pytest.raises(ValueError, match="request 1 is in the engine already"):
        run.engine.submit(0.0, EngineRequest(request_id=1, prompt=prompt(1), output=prompt(1)))


def test_a_request_that_waits_for_its_turn_is_prefilled_from_then_on() -> None:
    run = ScriptedEngine(max_num_seqs=1)
    run.submit(1, prompt_tokens=10, output_tokens=1)
    run.submit(2, prompt_tokens=10, output_tokens=1)
    run.run()
    step_s = STEP_S + SEQUENCE_S + 10 * PREFILL_S
    assert run.engine.ttft.sum == pytest.approx(step_s + 2 * step_s)
    assert run.engine.prefill.sum == pytest.approx(2 * step_s)


def test_attention_grows_with_the_square_of_the_context() -> None:
    square_s = 1e-5
    latency = msgspec.structs.replace(SETTINGS.latency, attention_s_per_token_squared=square_s)
    run = ScriptedEngine(latency=latency, max_num_batched_tokens=64)
    run.submit(1, prompt_tokens=100, output_tokens=2)
    run.run()
    steps_s = 2 * (STEP_S + SEQUENCE_S) + 100 * PREFILL_S
    assert run.first_token_at[1] == pytest.approx(steps_s + square_s * 100**2), "in two chunks, as in one"
    assert run.finished_at[1] == pytest.approx(run.first_token_at[1] + STEP_S + SEQUENCE_S)
