"""What a vLLM page says of the load."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.ports import NO_TOTALS, EngineTotals, LoadReport
from epp.edge.scrape.engines.vllm import VLLM
from epp.edge.scrape.exposition import MetricSpec, parse_metric_spec
from epp.edge.scrape.load_scan import NO_LOAD, LoadReader
from epp.edge.scrape.load_scan import scan as scan_with
from epp.edge.scrape.metric_names import CustomMetric, MetricNames


def scan(page: bytes, names: MetricNames = VLLM) -> LoadReport:
    """In vLLM's dialect unless told otherwise."""
    return scan_with(page, names)


PAGE = b"""\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9732.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 7.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 0.4375
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 123456.0
# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",engine="0",num_gpu_blocks="27000",sliding_window="None"} 1.0
# HELP vllm:lora_requests_info Running stats on lora requests.
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.7e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="food-review",waiting_lora_adapters="cad"} 1.700000009e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="cad",waiting_lora_adapters=""} 1.700000004e+09
"""


def gauge(name: str, *values: object) -> bytes:
    return "".join(f'vllm:{name}{{engine="{i}"}} {value}\n' for i, value in enumerate(values)).encode()


def lora(running: str, waiting: str, at: object, max_lora: str = "4") -> bytes:
    labels = f'max_lora="{max_lora}",running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
    return f"vllm:lora_requests_info{{{labels}}} {at}\n".encode()


def test_reads_everything_that_the_picker_needs() -> None:
    assert scan(PAGE) == LoadReport(
        waiting=3.0,
        running=7.0,
        kv_usage=0.4375,
        kv_block_tokens=16,
        kv_blocks=27000,
        max_adapters=2,
        running_adapters=("food-review",),
        waiting_adapters=("cad",),
        totals=EngineTotals(prompt_tokens=123456.0),
    )


def test_reads_the_same_with_carriage_returns_and_without_the_last_newline() -> None:
    assert scan(PAGE.replace(b"\n", b"\r\n")) == scan(PAGE)
    assert scan(PAGE.rstrip()) == scan(PAGE)


def test_a_page_without_any_of_them_is_no_load() -> None:
    assert scan(b"") == NO_LOAD
    assert scan(b"# nothing\nprocess_cpu_seconds_total 5\n") == NO_LOAD


def test_several_engines_on_a_page() -> None:
    page = (
        gauge("num_requests_waiting", 1, 2, 4)
        + gauge("num_requests_running", "3", "3.0", "3e0")
        + gauge("kv_cache_usage_perc", 0.25, 0.75, 0.5)
    )
    report = scan(page)
    assert (report.waiting, report.running, report.kv_usage) == (7.0, 9.0, 0.75)


def test_the_old_name_of_the_kv_cache_usage_counts_only_without_the_new_one() -> None:
    assert scan(gauge("gpu_cache_usage_perc", 0.9)).kv_usage == 0.9
    assert scan(gauge("gpu_cache_usage_perc", 0.9) + gauge("kv_cache_usage_perc", 0.1)).kv_usage == 0.1
    assert scan(gauge("gpu_cache_usage_perc", 0.9) + gauge("kv_cache_usage_perc", "NaN")).kv_usage == 0.9


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300", "x", ""])
def test_absurd_values_count_as_missing(value: str) -> None:
    page = b"".join(
        gauge(name, value) for name in ("num_requests_waiting", "num_requests_running", "kv_cache_usage_perc")
    )
    assert scan(page) == NO_LOAD


def test_an_absurd_value_of_one_engine_leaves_the_others() -> None:
    assert scan(gauge("num_requests_waiting", 2, "NaN", -5, 3)).waiting == 5.0


def test_kv_usage_is_a_fraction() -> None:
    assert scan(gauge("kv_cache_usage_perc", 1.0000000001)).kv_usage == 1.0
    assert scan(gauge("kv_cache_usage_perc", 43.75)).kv_usage is None


@pytest.mark.parametrize("text", ["None", "0", "-5", "1.5", "", "9" * 40, "²"])
def test_a_cache_size_that_is_no_count_is_missing(text: str) -> None:
    report = scan(f'vllm:cache_config_info{{block_size="{text}",num_gpu_blocks="{text}"}} 1.0\n'.encode())
    assert (report.kv_block_tokens, report.kv_blocks) == (None, None)


def test_the_largest_cache_of_a_page_counts() -> None:
    page = (
        b'vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="None"} 1.0\n'
        b'vllm:cache_config_info{block_size="32",engine="1",num_gpu_blocks="900"} 1.0\n'
        b'vllm:cache_config_info{block_size="16",engine="2",num_gpu_blocks="100"} 1.0\n'
    )
    report = scan(page)
    assert (report.kv_block_tokens, report.kv_blocks) == (32, 900)


def test_the_newest_lora_series_counts_and_of_equals_the_last() -> None:
    assert scan(lora("a", "", 5) + lora("b", "", 7) + lora("c", "", 6)).running_adapters == ("b",)
    assert scan(lora("a", "", 7) + lora("b", "", 7)).running_adapters == ("b",)
    assert scan(lora("a", "", 7) + lora("b", "", "NaN")).running_adapters == ("a",)


def test_adapter_lists_are_trimmed_and_hold_each_name_once() -> None:
    report = scan(lora(" a, b ,,a", ",", 1))
    assert (report.running_adapters, report.waiting_adapters) == (("a", "b"), ())


def test_adapter_names_may_have_escapes() -> None:
    assert scan(lora(r"say \"hi\",back\\slash", "", 1)).running_adapters == ('say "hi"', "back\\slash")


def test_max_lora_zero_is_no_lora() -> None:
    assert scan(lora("", "", 1, max_lora="0")).max_adapters is None


def test_metric_names_are_configurable() -> None:
    names = MetricNames(
        waiting=parse_metric_spec("my_queue{type=waiting}", "--flag"),
        running=parse_metric_spec("my_queue{type=running}", "--flag"),
        kv_usage=(MetricSpec("my_cache"),),
    )
    page = b'my_queue{type="waiting"} 2\nmy_queue{type="running"} 5\nmy_cache 0.5\n' + gauge("num_requests_waiting", 99)
    report = scan(page, names)
    assert (report.waiting, report.running, report.kv_usage) == (2.0, 5.0, 0.5)


def custom(*specs: str) -> MetricNames:
    """Attributes `a`, `b`, ... of these metrics."""
    metrics = (CustomMetric(key, parse_metric_spec(spec, "--flag")) for key, spec in zip("abc", specs, strict=False))
    return MetricNames(waiting=None, running=None, custom=tuple(metrics))


def test_custom_metrics_by_their_attribute() -> None:
    page = b'depth{tier="gold"} 2\ndepth{tier="silver"} 5\nheat -7.5\n'
    names = custom("depth{tier=gold}", "heat", "missing")
    assert scan(page, names).attributes == (("a", 2.0), ("b", -7.5))


def test_series_of_a_custom_metric_are_summed_and_labels_choose_one() -> None:
    page = b'depth{engine="0"} 2\ndepth{engine="1"} 5\n'
    assert scan(page, custom("depth", "depth{engine=1}")).attributes == (("a", 7.0), ("b", 5.0))


@pytest.mark.parametrize("page", [b"depth NaN\n", b"depth +Inf\n", b"depth 1e308\ndepth 1e308\n", b"# depth 1\n"])
def test_a_custom_metric_that_is_no_finite_number_is_missing(page: bytes) -> None:
    assert scan(page, custom("depth")) == NO_LOAD


@given(st.binary(max_size=300), st.integers(0, len(PAGE)), st.integers(0, 40))
def test_damaged_pages_are_never_an_error_and_never_absurd(junk: bytes, position: int, cut: int) -> None:
    report = scan(PAGE[:position] + junk + PAGE[position + cut :])
    for value in (report.waiting, report.running, report.kv_usage):
        assert value is None or 0.0 <= value <= 1e9
    assert report.kv_usage is None or report.kv_usage <= 1.0


@pytest.mark.parametrize(
    "filler",
    [
        b"vllm:num_requests_waiting",
        b"vllm:num_requests_waiting\n",
        b'vllm:num_requests_waiting{a="',
        b'vllm:lora_requests_info{a="\\',
        b"\n",
        b'"\\' * 10,
        random.Random(1).randbytes(4096),
    ],
)
def test_a_page_of_a_million_bytes_takes_linear_time(filler: bytes) -> None:
    page = filler * (1_000_000 // len(filler)) + b"\n" + PAGE
    begun = time.process_time()
    assert scan(page).running == 7.0
    assert time.process_time() - begun < 5.0  # quadratic work would take minutes


def test_totals_are_summed_over_engines_and_may_have_older_names() -> None:
    page = (
        gauge("num_requests_waiting", 1)
        + gauge("time_to_first_token_seconds_sum", 1.5, 2.0)
        + gauge("time_to_first_token_seconds_count", 3, 4)
        + gauge("request_prefill_time_seconds_sum", 1)
        + gauge("request_prefill_time_seconds_count", 7)
        + gauge("time_per_output_token_seconds_sum", 8)
        + gauge("time_per_output_token_seconds_count", 400)
        + gauge("gpu_prefix_cache_hits_total", 20)
        + gauge("generation_tokens_total", "NaN", -3, 500)
    )
    assert scan(page).totals == EngineTotals(
        first_token_s=3.5,
        first_tokens=7.0,
        prefill_s=1.0,
        prefills=7.0,
        token_gap_s=8.0,
        token_gaps=400.0,
        cached_tokens=20.0,
        output_tokens=500.0,
    )
    newer = scan(page + gauge("inter_token_latency_seconds_sum", 9)).totals
    assert (newer.token_gap_s, newer.token_gaps) == (9.0, 400.0)


def test_totals_may_be_read_on_some_pages_only() -> None:
    reader = LoadReader(VLLM, totals_every=3)
    told = [reader.read(PAGE).totals != NO_TOTALS for _ in range(6)]
    assert told == [True, False, False] * 2


def test_totals_alone_are_no_load() -> None:
    assert scan(gauge("generation_tokens_total", 5)) == NO_LOAD


SUCCESSIVE_PAGES = [
    PAGE,
    PAGE.replace(b" 7.0\n", b" 17.0\n"),
    PAGE.replace(b" 3.0\n", b" NaN\n"),
    PAGE.replace(b" 0.4375\n", b" 0.25\n"),
    PAGE.replace(b"27000", b"1"),
    PAGE.replace(b"123456.0", b"1234567.0"),
    PAGE.replace(b"food-review", b"food-review,cad"),
    PAGE[: PAGE.index(b"# HELP vllm:lora_requests_info")],
    PAGE + lora("late", "", 1.8e9),
    PAGE.replace(b"vllm:kv_cache_usage_perc", b"vllm:gpu_cache_usage_perc"),
    PAGE.replace(b"vllm:", b"other:"),
    PAGE[500:],
    b"x 1\n" * 200 + PAGE,
    b"",
]


@given(st.lists(st.sampled_from(SUCCESSIVE_PAGES), min_size=2, max_size=8))
def test_page_after_page_is_read_as_if_it_were_the_first(pages: list[bytes]) -> None:
    reader = LoadReader(VLLM)
    assert [reader.read(page) for page in pages] == [scan(page) for page in pages]


def test_an_unchanged_load_is_the_same_object() -> None:
    reader = LoadReader(VLLM, totals_every=100)
    reader.read(PAGE)
    first = reader.read(PAGE)
    assert reader.read(PAGE.replace(b"9732.0", b"19732.0")) is first
    assert reader.read(PAGE.replace(b" 3.0\n", b" 4.0\n")) is not first
