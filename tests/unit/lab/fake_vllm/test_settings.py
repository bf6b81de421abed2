"""Settings that cannot work are named."""

import math

import msgspec
import pytest

from epp.lab.fake_vllm.settings import (
    AdapterSource,
    EngineSettings,
    LatencySettings,
    PodSettings,
    SettingsError,
    check_settings,
)

SQL = AdapterSource("sql", "repo/sql")


def test_the_defaults_work_and_the_context_fits_the_cache() -> None:
    check_settings(PodSettings())
    assert EngineSettings().context_tokens == 131_072
    assert EngineSettings(num_gpu_blocks=100).context_tokens == 1600
    assert EngineSettings(max_model_len=4096).context_tokens == 4096


def test_the_first_served_name_stands_for_the_model() -> None:
    assert PodSettings(model="a/b").names == ("a/b",)
    assert PodSettings(model="a/b", served_names=("x", "y")).names == ("x", "y")


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("port", PodSettings(port=70_000)),
        ("served_names", PodSettings(served_names=("",))),
        ("answer_tokens", PodSettings(answer_tokens=(5, 4))),
        ("kv_usage_names", PodSettings(kv_usage_names=())),
        ("keepalive_timeout_s", PodSettings(keepalive_timeout_s=0)),
        ("adapters", PodSettings(adapters=(SQL, SQL))),
        ("adapters", PodSettings(adapters=(AdapterSource("sql", ""),))),
        ("adapters", PodSettings(adapters=(SQL,), engine=EngineSettings(max_loras=0))),
        ("adapters", PodSettings(adapters=(SQL,), served_names=("sql",))),
        ("block_size", PodSettings(engine=EngineSettings(block_size=0))),
        ("max_loras", PodSettings(engine=EngineSettings(max_loras=-1))),
        ("max_model_len", PodSettings(engine=EngineSettings(num_gpu_blocks=10, max_model_len=161))),
        ("num_gpu_blocks", PodSettings(engine=EngineSettings(num_gpu_blocks=1, block_size=1))),
    ],
)
def test_a_setting_that_cannot_work_is_named(field: str, settings: PodSettings) -> None:
    with pytest.raises(SettingsError) as refused:
        check_settings(settings)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speed", 0.0),
        ("speed", math.inf),
        ("prefill_tokens_per_s", -1.0),
        ("step_base_s", -0.1),
        ("lora_load_s", math.nan),
    ],
)
def test_latencies_must_be_possible(field: str, value: float) -> None:
    latency = msgspec.structs.replace(LatencySettings(), **{field: value})
    with pytest.raises(SettingsError) as refused:
        check_settings(PodSettings(engine=EngineSettings(latency=latency)))
    assert refused.value.field == field


def test_a_step_takes_time() -> None:
    latency = LatencySettings(step_base_s=0, step_per_sequence_s=0)
    with pytest.raises(SettingsError, match="a step must take some time"):
        check_settings(PodSettings(engine=EngineSettings(latency=latency)))
