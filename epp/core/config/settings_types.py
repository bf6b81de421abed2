"""The plugin types that are settings: their parameters are read by other parts of the picker."""

from typing import Any

import msgspec

from epp.core.config.catalogue import NoParameters, PluginKind, PluginType, Stability
from epp.core.config.data_layer_types import WITHOUT_EFFECT
from epp.core.config.flow_parameters import (
    PriorityHoldbackParameters,
    ProgramAwareParameters,
    StaticUsageLimitParameters,
)
from epp.core.config.multicluster import MULTICLUSTER_TYPES
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    DisaggHeadersParameters,
    FileDiscoveryParameters,
    InFlightLoadProducerParameters,
    MetricsDataSourceParameters,
    TokenProducerParameters,
)

_WRITTEN_BY_THE_HANDLER = "deprecated: the profile handler writes the headers for the sidecar itself"

METRICS_SOURCE = "metrics-data-source"
METRICS_EXTRACTOR = "core-metrics-extractor"
UTILIZATION_DETECTOR = "utilization-detector"
CONCURRENCY_DETECTOR = "concurrency-detector"
FILE_DISCOVERY = "file-discovery"
IN_FLIGHT_LOAD = "inflight-load-producer"
TOKEN_PRODUCER = "token-producer"  # noqa: S105  tokens of a text

STALENESS_IS_A_FLAG = "the age of metrics that still count is set by --metrics-staleness-threshold"
_ONE_ORDER = "who is evicted, and in which order, is always decided this way"


def _setting(name: str, kind: PluginKind, parameters: type[msgspec.Struct], **more: Any) -> PluginType:
    return PluginType(name, frozenset((kind,)), parameters, **more)


SETTINGS_TYPES: tuple[PluginType, ...] = (
    _setting(METRICS_SOURCE, PluginKind.DATA_SOURCE, MetricsDataSourceParameters),
    _setting(
        METRICS_EXTRACTOR,
        PluginKind.EXTRACTOR,
        CoreMetricsExtractorParameters,
        aliases=("model-server-protocol-metrics",),
        inert_fields={"optional": "a page may lack any metric"},
    ),
    _setting(FILE_DISCOVERY, PluginKind.DISCOVERY, FileDiscoveryParameters),
    *WITHOUT_EFFECT,
    *MULTICLUSTER_TYPES,
    _setting("openai-parser", PluginKind.PARSER, NoParameters),
    _setting("anthropic-parser", PluginKind.PARSER, NoParameters),
    _setting("vllmhttp-parser", PluginKind.PARSER, NoParameters),
    _setting("sglanghttp-parser", PluginKind.PARSER, NoParameters),
    _setting("vllmgrpc-parser", PluginKind.PARSER, NoParameters),
    _setting("vertexai-parser", PluginKind.PARSER, NoParameters),
    _setting("passthrough-parser", PluginKind.PARSER, NoParameters),
    _setting(
        IN_FLIGHT_LOAD,
        PluginKind.PRODUCER,
        InFlightLoadProducerParameters,
        without_effect="the picker counts what it has in flight by itself, so its parameters have no effect",
    ),
    _setting("global-strict-fairness-policy", PluginKind.FAIRNESS_POLICY, NoParameters),
    _setting("round-robin-fairness-policy", PluginKind.FAIRNESS_POLICY, NoParameters),
    _setting(
        "program-aware-fairness",
        PluginKind.FAIRNESS_POLICY,
        ProgramAwareParameters,
        inert_fields={"evictionSweepSeconds": "tenants are forgotten as soon as they are due, without a sweep"},
    ),
    _setting(
        TOKEN_PRODUCER,
        PluginKind.PRODUCER,
        TokenProducerParameters,
        aliases=("tokenizer",),
        inert_fields={
            "estimate": "letters are never taken for tokens: without token ids the approximate index decides",
            "backend": "who tells the token ids is said by vllm, local, or neither for the pods",
            "udsTokenizerConfig": "that tokenizer is deprecated; use vllm, local or the pods",
        },
    ),
    _setting(
        "disagg-headers-handler",
        PluginKind.REQUEST_HEADERS,
        DisaggHeadersParameters,
        without_effect=_WRITTEN_BY_THE_HANDLER,
    ),
    _setting(
        "prefill-header-handler",
        PluginKind.REQUEST_HEADERS,
        DisaggHeadersParameters,
        without_effect=_WRITTEN_BY_THE_HANDLER,
    ),
    _setting("fcfs-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters),
    _setting("edf-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters),
    _setting("slo-deadline-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters),
    _setting("static-usage-limit-policy", PluginKind.USAGE_LIMIT_POLICY, StaticUsageLimitParameters),
    _setting(
        "priority-holdback-policy",
        PluginKind.USAGE_LIMIT_POLICY,
        PriorityHoldbackParameters,
        stability=Stability.ALPHA,
    ),
    _setting("soft-reflective-ceiling-policy", PluginKind.USAGE_LIMIT_POLICY, NoParameters, stability=Stability.ALPHA),
    _setting(
        "sheddable-eviction-filter",
        PluginKind.EVICTION_POLICY,
        NoParameters,
        aliases=("eviction-sheddable-filter",),
        stability=Stability.ALPHA,
        without_effect=_ONE_ORDER,
    ),
    _setting(
        "priority-then-time-eviction-order-policy",
        PluginKind.EVICTION_POLICY,
        NoParameters,
        aliases=("eviction-priority-then-time-ordering",),
        stability=Stability.ALPHA,
        without_effect=_ONE_ORDER,
    ),
)
