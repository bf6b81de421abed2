"""The plugin types that are settings: their parameters are read by other parts of the picker."""

from epp.core.config.catalogue import NoParameters, PluginKind, PluginType
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    FileDiscoveryParameters,
    InFlightLoadProducerParameters,
    MetricsDataSourceParameters,
    StaticUsageLimitParameters,
    UtilizationDetectorParameters,
)

METRICS_SOURCE = "metrics-data-source"
METRICS_EXTRACTOR = "core-metrics-extractor"
UTILIZATION_DETECTOR = "utilization-detector"
FILE_DISCOVERY = "file-discovery"
IN_FLIGHT_LOAD = "inflight-load-producer"

_NO_FLOW_CONTROL = "flow control is not built yet, so this plugin has no effect"


def _setting(name: str, kind: PluginKind, parameters: type, aliases: tuple[str, ...] = (), why: str = "") -> PluginType:
    return PluginType(name, frozenset((kind,)), parameters, aliases=aliases, without_effect=why)


SETTINGS_TYPES: tuple[PluginType, ...] = (
    _setting(METRICS_SOURCE, PluginKind.DATA_SOURCE, MetricsDataSourceParameters),
    _setting(
        METRICS_EXTRACTOR,
        PluginKind.EXTRACTOR,
        CoreMetricsExtractorParameters,
        aliases=("model-server-protocol-metrics",),
    ),
    _setting(UTILIZATION_DETECTOR, PluginKind.SATURATION_DETECTOR, UtilizationDetectorParameters),
    _setting(FILE_DISCOVERY, PluginKind.DISCOVERY, FileDiscoveryParameters),
    _setting("openai-parser", PluginKind.PARSER, NoParameters),
    _setting(
        IN_FLIGHT_LOAD,
        PluginKind.PRODUCER,
        InFlightLoadProducerParameters,
        why="the picker counts what it has in flight by itself, so its parameters have no effect",
    ),
    _setting("global-strict-fairness-policy", PluginKind.FAIRNESS_POLICY, NoParameters, why=_NO_FLOW_CONTROL),
    _setting("round-robin-fairness-policy", PluginKind.FAIRNESS_POLICY, NoParameters, why=_NO_FLOW_CONTROL),
    _setting("fcfs-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters, why=_NO_FLOW_CONTROL),
    _setting("edf-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters, why=_NO_FLOW_CONTROL),
    _setting("slo-deadline-ordering-policy", PluginKind.ORDERING_POLICY, NoParameters, why=_NO_FLOW_CONTROL),
    _setting(
        "static-usage-limit-policy", PluginKind.USAGE_LIMIT_POLICY, StaticUsageLimitParameters, why=_NO_FLOW_CONTROL
    ),
)
