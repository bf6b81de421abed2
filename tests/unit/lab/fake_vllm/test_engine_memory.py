"""The engine's memory: prefix hits, exhausted KV blocks, LoRA slots."""

import pytest

from epp.lab.fake_vllm.adapters import Adapter
from tests.unit.lab.fake_vllm.scripted_engine import LORA_S, PREFILL_S, SEQUENCE_S, STEP_S, ScriptedEngine, adapter


def test_a_cached_prefix_shortens_the_prefill() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=40, text=7)
    run.run()
    begin = run.now

    run.submit(2, prompt_tokens=44, text=7)
    run.run()

    assert run.cached(1) == 0
    assert run.cached(2) == 40
    assert run.first_token_at[2] - begin == pytest.approx(STEP_S + SEQUENCE_S + 4 * PREFILL_S)
    assert run.engine.published.prefix_queries == 84
    assert run.engine.published.prefix_hits == 40


def test_the_last_block_of_an_identical_prompt_is_computed_again() -> None:
    run = ScriptedEngine()
    for request_id in (1, 2):
        run.submit(request_id, prompt_tokens=40, text=7)
        run.run()

    assert run.cached(2) == 36, "at least one token must be computed, and blocks are hit whole"


def test_generated_tokens_are_cached_too() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=8, output_tokens=9, text=7)
    run.run()
    sequence_so_far = run.engine.settings.block_size * 4

    assert run.engine._scheduler.pool.cached_blocks * 4 == sequence_so_far


@pytest.mark.parametrize(("salt", "lora"), [("tenant-b", None), ("", adapter(1))])
def test_other_salts_and_adapters_share_nothing(salt: str, lora: Adapter | None) -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=40, text=7)
    run.run()

    run.submit(2, prompt_tokens=40, text=7, salt=salt, lora=lora)
    run.run()

    assert run.cached(2) == 0


def test_without_prefix_caching_nothing_is_hit() -> None:
    run = ScriptedEngine(prefix_caching=False)
    for request_id in (1, 2):
        run.submit(request_id, prompt_tokens=40, text=7)
        run.run()

    assert run.cached(2) == 0


def test_the_least_recently_used_prefix_is_evicted_first() -> None:
    run = ScriptedEngine(num_gpu_blocks=25)
    for request_id, text in ((1, 1), (2, 2), (3, 1), (4, 3)):
        run.submit(request_id, prompt_tokens=40, text=text)
        run.run()

    run.submit(5, prompt_tokens=40, text=1)
    run.run()
    run.submit(6, prompt_tokens=40, text=2)
    run.run()

    assert run.cached(5) == 36, "used again by request 3"
    assert run.cached(6) < 36


def test_a_request_without_blocks_waits_and_blocks_those_behind_it() -> None:
    run = ScriptedEngine(num_gpu_blocks=20)
    run.submit(1, prompt_tokens=60, output_tokens=4)
    run.step()
    run.submit(2, prompt_tokens=40)
    run.submit(3, prompt_tokens=4)

    run.step()
    run.step()
    assert (run.engine.published.running, run.engine.published.waiting) == (1, 2)
    run.run()

    assert list(run.finished_at) == [1, 2, 3]
    assert run.engine.published.preemptions == 0


def test_when_decoding_runs_out_of_blocks_the_latest_request_starts_over() -> None:
    run = ScriptedEngine(num_gpu_blocks=10)
    run.submit(1, prompt_tokens=16, output_tokens=16)
    run.submit(2, prompt_tokens=16, output_tokens=16)

    run.run()

    assert run.engine.published.preemptions >= 1
    assert run.finished_at[1] < run.finished_at[2]
    produced = [output.position for output in run.outputs if output.request_id == 2]
    assert produced == list(range(16)), "tokens made before the preemption are not made twice"


def test_an_adapter_is_loaded_once_and_stays() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=4, lora=adapter(1))
    run.run()
    begin = run.now
    run.submit(2, prompt_tokens=4, lora=adapter(1))
    run.run()

    step_s = STEP_S + SEQUENCE_S + 4 * PREFILL_S
    assert run.first_token_at[1] == pytest.approx(LORA_S + step_s)
    assert run.first_token_at[2] - begin == pytest.approx(step_s)


def test_a_request_for_another_adapter_waits_for_a_slot_and_lets_others_pass() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=4, output_tokens=6, lora=adapter(1))
    run.submit(2, prompt_tokens=4, lora=adapter(2))
    run.submit(3, prompt_tokens=4, lora=adapter(1))
    run.submit(4, prompt_tokens=4)

    run.step()
    run.step()
    newest = run.engine.lora_history.series()[-1]
    assert (newest.running, newest.waiting) == ("lora-1", "lora-2")
    run.run()

    assert list(run.finished_at) == [3, 4, 1, 2]
    assert run.engine._scheduler.slots.resident == (2,)


def test_an_idle_adapter_gives_way_to_another_one() -> None:
    run = ScriptedEngine(max_loras=2)
    for request_id, number in ((1, 1), (2, 2), (3, 1), (4, 3)):
        run.submit(request_id, prompt_tokens=4, lora=adapter(number))
        run.run()

    assert set(run.engine._scheduler.slots.resident) == {1, 3}, "2 was used least recently"


def test_lora_series_pile_up_with_their_last_time_and_the_newest_is_true() -> None:
    run = ScriptedEngine(max_loras=2)
    for request_id in (1, 2):
        run.submit(request_id, prompt_tokens=4, output_tokens=2, lora=adapter(request_id))
    run.run()

    series = run.engine.lora_history.series()
    assert [(each.running, each.waiting) for each in series] == [
        ("lora-1", ""),
        ("lora-2", ""),
        ("", ""),
    ]
    assert [each.at for each in series] == sorted(each.at for each in series)


def test_only_a_few_lora_series_are_kept() -> None:
    run = ScriptedEngine(max_loras=1)
    for number in range(1, 40):
        run.submit(number, prompt_tokens=4, output_tokens=2, lora=adapter(number))
        run.run()

    assert len(run.engine.lora_history.series()) == 16
