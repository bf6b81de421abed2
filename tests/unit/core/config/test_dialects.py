"""The same policy in every dialect of the reference: sample files that must load, and what they come to."""

from pathlib import Path

import pytest

from epp.core.config.durations import Seconds
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    EngineConfig,
    FileDiscoveryParameters,
    MetricsDataSourceParameters,
    UtilizationDetectorParameters,
)
from epp.core.config.settings import FeatureGates, MetricsSettings, PickerConfig, WeightedPlugin
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.pickers.weighted_random import WeightedRandomPicker
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters

DIALECTS = Path(__file__).parent / "dialects"
OLD_VERSION = "inference.networking.x-k8s.io/v1alpha1 is deprecated; write llm-d.ai/v1alpha1"


def load(name: str) -> PickerConfig:
    return load_config((DIALECTS / name).read_bytes(), name, CATALOGUE)


def notices(config: PickerConfig) -> list[tuple[str, str]]:
    return [(notice.field, notice.text) for notice in config.notices]


def test_v1_0_sizes_of_the_scorer_go_to_a_producer_of_its_own() -> None:
    config = load("v1_0.yaml")

    (profile,) = config.profiles
    assert profile.scorers == (
        WeightedPlugin("queue-scorer", 1.0),
        WeightedPlugin("kv-cache-utilization-scorer", 1.0),
        WeightedPlugin("prefix-cache-scorer", 1.0),
    )
    assert (profile.filters, profile.picker) == ((), "max-score-picker")
    assert config.handler == "single-profile-handler"
    assert config.producers == ("approx-prefix-cache-producer",)
    assert config.plugin("approx-prefix-cache-producer").parameters == ApproxPrefixCacheParameters(
        hash_block_size=64, max_prefix_blocks_to_match=256, lru_capacity_per_server=31250
    )
    assert config.saturation == UtilizationDetectorParameters()
    assert config.metrics == MetricsSettings()
    assert notices(config) == [("apiVersion", OLD_VERSION)]


def test_v1_2_thresholds() -> None:
    config = load("v1_2.yaml")

    assert config.saturation == UtilizationDetectorParameters(
        queue_depth_threshold=10, kv_cache_util_threshold=0.7, metrics_staleness_threshold=Seconds(0.15)
    )
    assert config.gates == FeatureGates(flow_control=True)
    (profile,) = config.profiles
    assert [scorer.weight for scorer in profile.scorers] == [2.0, 1.0, 3.0]
    assert isinstance(build_policy(config).profiles[0].picker, WeightedRandomPicker)
    assert notices(config) == [
        ("apiVersion", OLD_VERSION),
        (
            "saturationDetector.metricsStalenessThreshold",
            "no effect: the age of metrics that still count is set by --metrics-staleness-threshold",
        ),
    ]


def test_v1_3_data_layer_under_its_first_name() -> None:
    config = load("v1_3.yaml")

    assert config.metrics == MetricsSettings(
        MetricsDataSourceParameters(scheme="https", path="/custom/metrics", insecure_skip_verify=False),
        CoreMetricsExtractorParameters(),
    )
    assert config.plugin("extract").type == "core-metrics-extractor"
    assert config.profiles[0].scorers == (WeightedPlugin("load", 0.5), WeightedPlugin("queue", 1.5))
    assert config.profiles[0].picker == "max-score-picker"
    flow = config.flow_control
    assert flow is not None
    assert (flow.max_bytes, flow.default_request_ttl) == (10**9, 90.0)
    assert flow.default_priority_band.fairness_policy_ref == "global-strict-fairness-policy"
    assert [(band.priority, band.max_bytes) for band in flow.priority_bands] == [(100, None), (-1, 1000)]
    assert notices(config) == [
        ("apiVersion", OLD_VERSION),
        (
            "plugins[3].type",
            "the plugin type 'model-server-protocol-metrics' is deprecated; write 'core-metrics-extractor'",
        ),
        ("flowControl", "no effect without `featureGates: [flowControl]`: requests never wait"),
    ]


def test_v1_5_everything_is_a_plugin() -> None:
    config = load("v1_5.yaml")

    assert config.producers == ("approx-prefix-cache-producer",)
    scorer = config.plugin("prefix-cache-scorer")
    assert scorer.needs == config.producers
    assert scorer.parameters == PrefixCacheParameters(
        prefix_match_info_producer_name="approx-prefix-cache-producer",
        match_length_weight=0.25,
        match_length_scale_tokens=4096,
    )
    assert config.plugin("approx-prefix-cache-producer").line == 8
    assert config.saturation == UtilizationDetectorParameters(
        queue_depth_threshold=7,
        kv_cache_util_threshold=0.9,
        metrics_staleness_threshold=Seconds(1.5),
    )
    assert config.metrics is not None
    assert config.metrics.extractor.default_engine == "in-house"
    assert config.metrics.extractor.engine_configs == (
        EngineConfig(name="in-house", queued_requests_spec="ours_waiting{kind=all}", kv_usage_spec="ours_cache_ratio"),
    )
    assert config.discovery == FileDiscoveryParameters("/etc/epp/endpoints.yaml", watch_file=True)
    assert config.parsers == ("openai-parser",)
    assert config.gates == FeatureGates(flow_control=True)
    flow = config.flow_control
    assert flow is not None
    assert (flow.max_bytes, flow.max_requests) == (10 * 2**30, 5000)
    assert (flow.default_request_ttl, flow.no_endpoint_request_ttl) == (60.0, 0.0)
    assert notices(config) == [
        (
            "plugins[9].parameters.metricsStalenessThreshold",
            "no effect: the age of metrics that still count is set by --metrics-staleness-threshold",
        ),
    ]


@pytest.mark.parametrize("path", sorted(DIALECTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_dialect_comes_to_a_policy(path: Path) -> None:
    config = load(path.name)
    policy = build_policy(config)

    assert [profile.name for profile in policy.profiles] == ["default"]
    assert [scorer.name for scorer in policy.profiles[0].scorers] == [
        scorer.name for scorer in config.profiles[0].scorers
    ]


def test_llm_d_v1_says_elsewhere_where_endpoints_come_from() -> None:
    v1 = "apiVersion: llm-d.ai/v1\nkind: EndpointPickerConfig\n"
    plugins = "plugins: [{type: queue-scorer}, {type: file-discovery, name: file, parameters: {path: /e.yaml}}]\n"
    config = load_config(
        v1 + plugins + "dataLayer: {discovery: {endpoints: {pluginRef: file}}}\n", "epp.yaml", CATALOGUE
    )
    assert config.discovery == FileDiscoveryParameters("/e.yaml")
    assert config.notices == ()


@pytest.mark.parametrize("discovery", ["{}", "{pluginRef: file, endpoints: {pluginRef: file}}"])
def test_endpoints_come_from_one_place(discovery: str) -> None:
    text = "plugins: [{type: queue-scorer}, {type: file-discovery, name: file, parameters: {path: /e.yaml}}]\n"
    text += f"dataLayer: {{discovery: {discovery}}}\n"
    with pytest.raises(ConfigurationError, match=r"dataLayer\.discovery: expected either 'pluginRef' or 'endpoints'"):
        load_config("apiVersion: llm-d.ai/v1\nkind: EndpointPickerConfig\n" + text, "epp.yaml", CATALOGUE)
