"""GET /metrics: vLLM's names, labels and help texts in the Prometheus text format 0.0.4, written by hand.

Labels are sorted by name as prometheus_client does. Two shapes matter to scrapers: vllm:lora_requests_info has neither
`engine` nor `model_name` and leaves past series on the page, vllm:cache_config_info has no `model_name`.
"""

import math
import resource
import time

import msgspec

from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.settings import PodSettings
from epp.lab.fake_vllm.stats import EngineStats, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
GARBAGE = b'vllm:num_requests_waiting{engine="0",model_name="\xff\xfe 12..5\n# TYPE\n}{ NaN NaN\n<html>502</html>'


class ProcessStats(msgspec.Struct, frozen=True):
    """Figures of the process that hosts the pod; pods in one process share them."""

    cpu_s: float
    max_fds: int
    start_unix_s: float


def read_process(start_unix_s: float) -> ProcessStats:
    """The process's figures now."""
    max_fds, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ProcessStats(cpu_s=time.process_time(), max_fds=max_fds, start_unix_s=start_unix_s)


def render(engine: Engine, settings: PodSettings, process: ProcessStats, *, unix_offset_s: float) -> bytes:
    """The page. `unix_offset_s` is unix time minus engine time."""
    page = _Page(f'engine="0",model_name="{_escape(settings.names[0])}"')
    created = process.start_unix_s
    _gauges(page, engine.published, settings)
    _counters(page, engine.published, created)
    _histograms(page, engine, created)
    _infos(page, engine, settings, unix_offset_s)
    _process(page, process)
    return page.text()


def _gauges(page: "_Page", stats: EngineStats, settings: PodSettings) -> None:
    page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", stats.running)
    page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", stats.waiting)
    if "old" in settings.kv_usage_names:
        page.gauge("vllm:gpu_cache_usage_perc", "GPU KV-cache usage. 1 means 100 percent usage.", stats.kv_usage)
    if "new" in settings.kv_usage_names:
        page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", stats.kv_usage)


def _counters(page: "_Page", stats: EngineStats, created: float) -> None:
    for name, text, value in (
        ("prefix_cache_queries", "Prefix cache queries, in terms of number of queried tokens.", stats.prefix_queries),
        ("prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens.", stats.prefix_hits),
        ("num_preemptions", "Cumulative number of preemption from the engine.", stats.preemptions),
        ("prompt_tokens", "Number of prefill tokens processed.", stats.prompt_tokens),
        ("generation_tokens", "Number of generation tokens processed.", stats.generation_tokens),
    ):
        page.counter(f"vllm:{name}", text, [("", value)], created)
    reasons = (("stop", stats.finished_stop), ("length", stats.finished_length), ("abort", stats.finished_abort))
    page.counter(
        "vllm:request_success",
        "Count of successfully processed requests.",
        [(f'finished_reason="{reason}"', count) for reason, count in reasons],
        created,
    )


def _histograms(page: "_Page", engine: Engine, created: float) -> None:
    for name, text, histogram in (
        ("time_to_first_token", "time to first token", engine.ttft),
        ("inter_token_latency", "inter-token latency", engine.token_gaps),
        ("e2e_request_latency", "e2e request latency", engine.latency),
        ("request_prefill_time", "time spent in PREFILL phase for request", engine.prefill),
    ):
        page.histogram(f"vllm:{name}_seconds", f"Histogram of {text} in seconds.", histogram, created)


def _infos(page: "_Page", engine: Engine, settings: PodSettings, unix_offset_s: float) -> None:
    limits = settings.engine
    page.header("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig")
    page.sample(
        "vllm:cache_config_info",
        f'block_size="{limits.block_size}",cache_dtype="auto",calculate_kv_scales="False",cpu_offload_gb="0",'
        f'enable_prefix_caching="{limits.prefix_caching}",engine="0",gpu_memory_utilization="0.9",is_attention_free='
        f'"False",num_cpu_blocks="None",num_gpu_blocks="{limits.num_gpu_blocks}",num_gpu_blocks_override="None",'
        f'prefix_caching_hash_algo="builtin",sliding_window="None",swap_space="4",swap_space_bytes="4294967296"',
        1.0,
    )
    if not limits.max_loras:
        return
    page.header("vllm:lora_requests_info", "gauge", "Running stats on lora requests.")
    for running, waiting, at in engine.lora_history.series():
        page.sample(
            "vllm:lora_requests_info",
            f'max_lora="{limits.max_loras}",running_lora_adapters="{_escape(running)}",'
            f'waiting_lora_adapters="{_escape(waiting)}"',
            at + unix_offset_s,
        )


def _process(page: "_Page", process: ProcessStats) -> None:
    for name, kind, text, value in (
        ("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", process.cpu_s),
        ("start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", process.start_unix_s),
        ("max_fds", "gauge", "Maximum number of open file descriptors.", process.max_fds),
    ):
        page.header(f"process_{name}", kind, text)
        page.sample(f"process_{name}", "", value)


class _Page:
    def __init__(self, labels: str) -> None:
        self._labels = labels
        self._lines: list[str] = []

    def text(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode("utf-8", "backslashreplace")

    def header(self, name: str, kind: str, text: str) -> None:
        self._lines.append(f"# HELP {name} {text}\n# TYPE {name} {kind}")

    def sample(self, name: str, labels: str, value: float) -> None:
        self._lines.append(f"{name}{{{labels}}} {_number(value)}" if labels else f"{name} {_number(value)}")

    def gauge(self, name: str, text: str, value: float) -> None:
        self.header(name, "gauge", text)
        self.sample(name, self._labels, value)

    def counter(self, name: str, text: str, samples: list[tuple[str, float]], created: float) -> None:
        self.header(f"{name}_total", "counter", text)
        for labels, value in samples:
            self.sample(f"{name}_total", self._with(labels), value)
        self._created(name, text, [self._with(labels) for labels, _ in samples], created)

    def histogram(self, name: str, text: str, histogram: Histogram, created: float) -> None:
        self.header(name, "histogram", text)
        below = 0
        for bound, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
            below += count
            # Sorted by name, `le` comes between `engine` and `model_name`.
            self.sample(f"{name}_bucket", self._labels.replace(",", f',le="{_number(bound)}",', 1), below)
        self.sample(f"{name}_count", self._labels, below)
        self.sample(f"{name}_sum", self._labels, histogram.sum)
        self._created(name, text, [self._labels], created)

    def _created(self, name: str, text: str, labels: list[str], created: float) -> None:
        self.header(f"{name}_created", "gauge", text)
        for each in labels:
            self.sample(f"{name}_created", each, created)

    def _with(self, labels: str) -> str:
        return self._labels.replace(",", f",{labels},", 1) if labels else self._labels


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else repr(float(value))
