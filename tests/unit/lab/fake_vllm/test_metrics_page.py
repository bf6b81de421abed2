"""The metrics page: valid for another implementation's parser, and shaped like vLLM's."""

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.load_scan import scan
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.metrics_page import ProcessStats, render
from epp.lab.fake_vllm.settings import PodSettings
from tests.unit.lab.fake_vllm.scripted_engine import PREFILL_S, SEQUENCE_S, SETTINGS, STEP_S, ScriptedEngine, adapter

PROCESS = ProcessStats(cpu_s=1.5, max_fds=1024, start_unix_s=1_700_000_000.0)


def page(engine: Engine, **settings: object) -> str:
    pod = msgspec.structs.replace(PodSettings(model="base", engine=engine.settings), **settings)
    return render(engine, pod, PROCESS, unix_offset_s=1_800_000_000.0).decode()


def samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_gauges_and_counters_carry_engine_and_model() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=40, output_tokens=3)
    run.step()
    text = page(run.engine)

    labels = (("engine", "0"), ("model_name", "base"))
    assert samples(text, "vllm:num_requests_running") == {labels: 1.0}
    assert samples(text, "vllm:num_requests_waiting") == {labels: 0.0}
    assert samples(text, "vllm:kv_cache_usage_perc") == {labels: 0.1}
    assert samples(text, "vllm:prompt_tokens_total") == {labels: 40.0}
    assert samples(text, "vllm:generation_tokens_total") == {labels: 1.0}
    assert samples(text, "vllm:prefix_cache_queries_total") == {labels: 40.0}
    assert 'vllm:num_requests_running{engine="0",model_name="base"} 1.0\n' in text


def test_success_is_counted_by_reason() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=4)
    run.run()
    counted = samples(page(run.engine), "vllm:request_success_total")
    assert {dict(labels)["finished_reason"]: value for labels, value in counted.items()} == {
        "stop": 0,
        "length": 1,
        "abort": 0,
    }


def test_histogram_buckets_are_cumulative() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=30)
    run.submit(2, prompt_tokens=30)
    run.run()
    buckets = samples(page(run.engine), "vllm:time_to_first_token_seconds_bucket")
    by_bound = {float(dict(labels)["le"]): value for labels, value in buckets.items()}
    assert list(by_bound.values()) == sorted(by_bound.values())
    assert (by_bound[0.04], by_bound[0.06], by_bound[0.1], by_bound[float("inf")]) == (0, 1, 2, 2)
    assert list(samples(page(run.engine), "vllm:e2e_request_latency_seconds_count").values()) == [2]


def test_the_picker_finds_its_totals_on_the_page() -> None:
    run = ScriptedEngine()
    run.submit(1, prompt_tokens=30, output_tokens=3)
    run.run()
    run.submit(2, prompt_tokens=30, output_tokens=3, text=1001)
    run.run()
    totals = scan(page(run.engine).encode(), VLLM).totals
    assert (totals.first_tokens, totals.prefills, totals.token_gaps) == (2, 2, 4)
    assert (totals.prompt_tokens, totals.output_tokens, totals.cached_tokens) == (60, 6, 28)
    prefill_s = 2 * (STEP_S + SEQUENCE_S) + (30 + 2) * PREFILL_S
    assert totals.prefill_s == totals.first_token_s == pytest.approx(prefill_s)
    assert totals.token_gap_s == pytest.approx(4 * (STEP_S + SEQUENCE_S))


def test_cache_config_tells_block_size_and_blocks() -> None:
    ((labels, value),) = samples(page(Engine(SETTINGS)), "vllm:cache_config_info").items()
    assert value == 1
    assert dict(labels)["block_size"] == "4"
    assert dict(labels)["num_gpu_blocks"] == "100"


def test_lora_series_have_only_their_own_labels_and_a_unix_time() -> None:
    run = ScriptedEngine()
    assert samples(page(run.engine), "vllm:lora_requests_info") == {}, "none before the first step, as in vLLM"
    run.submit(1, prompt_tokens=4, output_tokens=2, lora=adapter(7))
    run.submit(2, prompt_tokens=4, output_tokens=2, lora=adapter(8))
    run.run()

    series = samples(page(run.engine), "vllm:lora_requests_info")
    newest = max(series, key=lambda labels: series[labels])
    assert len(series) >= 2
    assert dict(newest) == {"max_lora": "1", "running_lora_adapters": "", "waiting_lora_adapters": ""}
    assert all(1_800_000_000 < value < 1_800_000_010 for value in series.values())


def test_without_lora_there_is_no_lora_metric() -> None:
    assert "lora" not in page(ScriptedEngine(max_loras=0).engine)


def test_the_older_name_of_the_kv_gauge() -> None:
    engine = Engine(SETTINGS)
    assert "gpu_cache_usage_perc" not in page(engine)
    old = page(engine, kv_usage_names=("old",))
    assert "vllm:gpu_cache_usage_perc{" in old
    assert "vllm:kv_cache_usage_perc" not in old
    both = page(engine, kv_usage_names=("new", "old"))
    assert "vllm:gpu_cache_usage_perc{" in both
    assert "vllm:kv_cache_usage_perc{" in both


def test_every_sample_has_help_and_type_and_names_are_escaped() -> None:
    text = page(Engine(SETTINGS), served_names=('we"ird\\name\n',))
    described = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type != "unknown"
    assert len(described) == text.count("# HELP")
    ((labels, _),) = samples(text, "vllm:num_requests_running").items()
    assert dict(labels)["model_name"] == 'we"ird\\name\n'
