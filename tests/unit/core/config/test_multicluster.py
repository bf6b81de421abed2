"""Which pages a picker in front of clusters reads, and what it makes of them."""

import pytest

from epp.core.config.describe import describe
from epp.core.config.load import load_config
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    MetricsDataSourceParameters,
    MulticlusterMetricsExtractorParameters,
    MulticlusterMetricsSourceParameters,
    UtilizationDetectorParameters,
)
from epp.core.config.settings import MetricsSettings, PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: multicluster-queue-scorer\n"
SOURCE = "- {type: multicluster-metrics-data-source, name: s, parameters: {port: 9090}}\n"
EXTRACTOR = "- {type: multicluster-metrics-extractor, name: e, parameters: {queueSizeMetric: q}}\n"
READ_FROM = MulticlusterMetricsSourceParameters(port=9090)
READ_AS = MulticlusterMetricsExtractorParameters(queue_size_metric="q")
OF_CLUSTERS = MetricsSettings(READ_FROM, clusters=READ_AS)


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "epp.yaml", CATALOGUE)


def notices(config: PickerConfig) -> list[str]:
    """All but those of experimental types."""
    return [str(notice) for notice in config.notices if not notice.text.endswith("is experimental")]


def metrics_of(text: str) -> MetricsSettings:
    metrics = load(text).metrics
    assert metrics is not None
    return metrics


@pytest.mark.parametrize(
    ("plugins", "sources", "expected"),
    [
        (SOURCE + EXTRACTOR, "{pluginRef: s, extractors: [{pluginRef: e}]}", OF_CLUSTERS),
        (SOURCE + EXTRACTOR, "{pluginRef: s}", OF_CLUSTERS),
        (SOURCE + EXTRACTOR, "", OF_CLUSTERS),
        (SOURCE, "", MetricsSettings(READ_FROM, clusters=MulticlusterMetricsExtractorParameters())),
        (EXTRACTOR, "", MetricsSettings(MulticlusterMetricsSourceParameters(), clusters=READ_AS)),
        (
            EXTRACTOR + "- type: metrics-data-source\n",
            "{pluginRef: metrics-data-source, extractors: [{pluginRef: e}]}",
            MetricsSettings(MetricsDataSourceParameters(), clusters=READ_AS),
        ),
        (
            SOURCE + "- {type: core-metrics-extractor, parameters: {defaultEngine: sglang}}\n",
            "{pluginRef: s, extractors: [{pluginRef: core-metrics-extractor}]}",
            MetricsSettings(READ_FROM, CoreMetricsExtractorParameters(default_engine="sglang")),
        ),
    ],
)
def test_the_source_says_where_and_the_extractor_what(plugins: str, sources: str, expected: MetricsSettings) -> None:
    assert metrics_of(f"{plugins}dataLayer: {{sources: [{sources}]}}\n") == expected


def test_where_both_kinds_of_source_are_listed_that_of_clusters_counts() -> None:
    config = load(
        f"{SOURCE}- type: metrics-data-source\n"
        "dataLayer: {sources: [{pluginRef: metrics-data-source}, {pluginRef: s}]}\n"
    )
    assert config.metrics is not None
    assert config.metrics.source == READ_FROM
    assert notices(config) == ["epp.yaml:7: dataLayer.sources[0]: no effect: 's' is scraped already"]


def test_clusters_may_be_found_by_the_file_discovery_of_their_own_name() -> None:
    config = load(
        f"{SOURCE}- {{type: multicluster-file-discovery, parameters: {{path: /c.yaml, watchFile: true}}}}\n"
        "dataLayer: {discovery: {pluginRef: multicluster-file-discovery}}\n"
    )
    assert config.discovery is not None
    assert (config.discovery.path, config.discovery.watch_file) == ("/c.yaml", True)
    assert notices(config) == []
    assert "  metrics: http://<endpoint>:9090/metrics, averages of the cluster's picker" in describe(config)


def test_a_scorer_that_takes_an_average_for_a_server_is_named_and_the_other_way_round() -> None:
    mixed = load(f"{SOURCE}- type: kv-cache-utilization-scorer\n")
    assert notices(mixed) == [
        (
            "epp.yaml:6: plugins[2]: it takes the average of a cluster for the number of one server; "
            "write multicluster-kv-cache-utilization-scorer"
        )
    ]
    assert notices(load("")) == [
        (
            "epp.yaml:4: plugins[0]: nobody reads the averages of clusters; declare multicluster-metrics-data-source "
            "and multicluster-metrics-extractor"
        )
    ]


def test_saturation_is_that_of_the_averages() -> None:
    detector = "- {type: utilization-detector, parameters: {queueDepthThreshold: 9, inflightCorrection: true}}\n"
    config = load(SOURCE + detector)
    assert config.saturation == UtilizationDetectorParameters(queue_depth_threshold=9, inflight_correction=False)
    assert notices(config) == [
        (
            "epp.yaml:6: plugins[2].parameters.inflightCorrection: no effect: our requests to a cluster are not the "
            "queue of one server"
        )
    ]
    assert load(SOURCE).saturation == UtilizationDetectorParameters(inflight_correction=False)
    assert load("").saturation == UtilizationDetectorParameters()
