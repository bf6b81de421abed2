"""Parameters of the plugin types that are settings of the picker and no code of the scheduler.

Names and defaults are those of the reference (v1.2 to v1.5 and llm-d-router).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from epp.core.config.durations import Seconds
from epp.core.config.quantities import Quantity
from epp.core.config.structure import Section

Positive = Annotated[int, msgspec.Meta(ge=1)]
Fraction = Annotated[float, msgspec.Meta(gt=0.0, le=1.0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Text = Annotated[str, msgspec.Meta(min_length=1)]
Metric = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?$")]
"""`name` or `name{label=value,...}`"""
MetricSpec = Annotated[str, msgspec.Meta(pattern=r"^$|^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?$")]
"""the same; empty: the engine has no such metric"""


class UtilizationDetectorParameters(Section, frozen=True):
    """utilization-detector: an endpoint is full at either threshold; saturation is the mean over the pool."""

    queue_depth_threshold: Positive = 5
    """waiting requests"""
    kv_cache_util_threshold: Fraction = 0.8
    metrics_staleness_threshold: Seconds = Seconds(0.2)
    headroom: NotNegative = 0.0
    """for its use as a filter"""
    inflight_correction: bool = True
    """count what we sent since the scrape; false for exact parity with the reference"""


class HttpSourceParameters(Section, frozen=True):
    """models-data-source: a page of every endpoint."""

    scheme: Literal["http", "https"] = "http"
    path: Annotated[str, msgspec.Meta(pattern="^/")] = "/v1/models"
    port: Port | None = None
    insecure_skip_verify: bool = True
    ca_cert_path: str = ""
    client_cert_path: str = ""
    client_key_path: str = ""
    interval: Seconds | None = None


class K8sNotificationSourceParameters(Section, frozen=True):
    """k8s-notification-source: which objects to follow."""

    group: str = ""
    version: str = ""
    kind: str = ""


class MetricsDataSourceParameters(Section, frozen=True):
    """metrics-data-source: where the metrics page of an endpoint is."""

    scheme: Literal["http", "https"] = "http"
    path: Annotated[str, msgspec.Meta(pattern="^/")] = "/metrics"
    port: Port | None = None
    """None: the endpoint's own port"""
    insecure_skip_verify: bool = True
    ca_cert_path: str = ""
    client_cert_path: str = ""
    client_key_path: str = ""
    interval: Seconds | None = None
    """None: as `--refresh-metrics-interval` says"""

    def __post_init__(self) -> None:
        if bool(self.client_cert_path) != bool(self.client_key_path):
            raise ValueError("clientCertPath and clientKeyPath are given together or not at all")


class MulticlusterMetricsSourceParameters(MetricsDataSourceParameters, frozen=True):
    """multicluster-metrics-data-source: where the metrics page of a cluster's picker is."""

    insecure_skip_verify: bool = False
    """another default: the page comes from outside the cluster"""


class MulticlusterMetricsExtractorParameters(Section, frozen=True):
    """multicluster-metrics-extractor: what the averages of a pool are called."""

    kv_cache_utilization_metric: MetricSpec = ""
    queue_size_metric: MetricSpec = ""


class CustomMetric(Section, frozen=True):
    """A further metric, under the attribute that scorers and filters may name."""

    attribute_key: Text
    metric_spec: Metric
    optional: bool = False
    """whether a page may lack it; every page may"""


class EngineConfig(Section, frozen=True):
    """The metrics of one engine."""

    name: Text
    queued_requests_spec: MetricSpec = ""
    running_requests_spec: MetricSpec = ""
    kv_usage_spec: MetricSpec = ""
    lora_spec: MetricSpec = ""
    cache_info_spec: MetricSpec = ""
    cache_block_size_label_name: str = ""
    cache_num_blocks_label_name: str = ""
    cache_block_size_spec: MetricSpec = ""
    cache_num_blocks_spec: MetricSpec = ""
    custom_metrics: tuple[CustomMetric, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "default":
            raise ValueError("the engine name 'default' is reserved: it stands for `defaultEngine`")


class CoreMetricsExtractorParameters(Section, frozen=True):
    """core-metrics-extractor: which metric of which engine means what."""

    engine_label_key: str = ""
    """pod label that names the engine; empty: `llm-d.ai/engine-type`, then the label of the older dialect"""
    default_engine: Text = "vllm"
    engine_configs: tuple[EngineConfig, ...] = ()
    """replace or extend the built-in engines"""

    def __post_init__(self) -> None:
        names = [engine.name for engine in self.engine_configs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"engineConfigs names {', '.join(map(repr, twice))} twice")


class FileDiscoveryParameters(Section, frozen=True):
    """file-discovery: the endpoints come from a file."""

    path: Text
    watch_file: bool = False


class InFlightLoadProducerParameters(Section, frozen=True):
    """inflight-load-producer: how prompt and output tokens in flight are estimated."""

    add_estimated_output_tokens: bool = False
    output_ratio: NotNegative = 1.5
    max_estimated_output_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    prefix_match_info_producer_name: str = ""
    sync_cross_replica_state: bool = True


class RenderServiceParameters(Section, frozen=True):
    """A vLLM that renders prompts: `vllm launch render`, or a server with its render endpoints switched on."""

    url: Annotated[str, msgspec.Meta(pattern="^https?://")] = "http://localhost:8000"
    timeout: Seconds = Seconds(5.0)
    mm_timeout: Seconds = Seconds(30.0)
    """for prompts with images and the like"""


class PodTokenizerParameters(Section, frozen=True):
    """The pods of the pool, asked in turn."""

    path: Annotated[str, msgspec.Meta(pattern="^/")] = "/tokenize"
    timeout: Seconds = Seconds(0.5)


class LocalTokenizerParameters(Section, frozen=True):
    """A tokenizer.json, for plain prompts: chat needs the template, which only a model server has."""

    path: Text
    timeout: Seconds = Seconds(0.5)


class TokenProducerParameters(Section, frozen=True):
    """token-producer: who tells the token ids of a text. Without `vllm` and `local` the pods do."""

    vllm: RenderServiceParameters | None = None
    local: LocalTokenizerParameters | None = None
    pods: PodTokenizerParameters = PodTokenizerParameters()
    estimate: Mapping[str, Any] = {}
    model_name: str = ""
    """model to ask for in place of the request's own"""
    max_concurrent: Annotated[int, msgspec.Meta(ge=1)] = 32
    """questions under way at once"""
    cache_bytes: Quantity = Quantity(16 << 20)
    """answers that are kept, all together; 0: none"""
    uds_tokenizer_config: Mapping[str, Any] = {}
    backend: str = ""

    def __post_init__(self) -> None:
        if self.vllm is not None and self.local is not None:
            raise ValueError("vllm and local exclude each other")


class DisaggHeadersParameters(Section, frozen=True):
    """disagg-headers-handler and prefill-header-handler: names of profiles."""

    prefill_profile: str = "prefill"
    encode_profile: str = "encode"


class BandDefaults(Section, frozen=True):
    """Limits of a priority band; 0 means unlimited."""

    max_bytes: Quantity | None = None
    max_requests: Quantity | None = None
    fairness_policy_ref: str = ""
    ordering_policy_ref: str = ""


class PriorityBand(BandDefaults, frozen=True, kw_only=True):
    """The band of one priority."""

    priority: int
