"""`dataLayer` (v1.5) or `data` (v1.3): what is scraped and where endpoints come from.

The metrics source and extractor are added unless a source already is one; it is told by its type, not by its name.
"""

import msgspec

from epp.core.config.attributes import check_custom_metrics
from epp.core.config.catalogue import PluginKind
from epp.core.config.data_layer_types import NOTIFICATION_SOURCES
from epp.core.config.multicluster import MULTICLUSTER_EXTRACTOR, MULTICLUSTER_SOURCE
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    FileDiscoveryParameters,
    MetricsDataSourceParameters,
    MulticlusterMetricsExtractorParameters,
    MulticlusterMetricsSourceParameters,
)
from epp.core.config.plugins import Declared, PluginTable
from epp.core.config.sections import DataLayerSection, DataSection, SourceEntry
from epp.core.config.settings import MetricsSettings, parameters_as
from epp.core.config.settings_types import METRICS_EXTRACTOR, METRICS_SOURCE
from epp.core.config.structure import read_at, read_entries, value_at
from epp.core.yaml import Path

KNOWN_ENGINES = ("vllm", "sglang", "trtllm-serve", "triton-tensorrt-llm", "triton")
"""engines whose metric names need not be described"""


class DataLayer(msgspec.Struct, frozen=True):
    """Both halves; None: not scraped, not discovered from a file."""

    metrics: MetricsSettings | None
    discovery: FileDiscoveryParameters | None


class Pair(msgspec.Struct, frozen=True):
    """A data source with its extractors."""

    path: Path
    source: Declared
    extractors: tuple[Declared, ...]


def read_data_layer(table: PluginTable) -> DataLayer:
    """What the file says of the data layer; reports unknown references and references of the wrong kind."""
    findings = table.findings
    older = read_at(("data",), DataSection, findings)
    section = read_at(("dataLayer",), DataLayerSection, findings)
    name = "dataLayer"
    if older is not None:
        if value_at((name,), findings) is not None:
            findings.mistake(("data",), "`data` is the older name of `dataLayer`; the file has both")
        name = "data"
    if section is None:
        section = DataLayerSection()
    pairs = [_pair(path, source, table) for path, source in read_entries((name, "sources"), SourceEntry, findings)]
    metrics = _metrics([pair for pair in pairs if pair is not None], section, table)
    _check_unsupported(section, table)
    return DataLayer(metrics, _discovery(section, table))


def _pair(path: Path, entry: SourceEntry, table: PluginTable) -> Pair | None:
    source = table.refer((*path, "pluginRef"), entry.plugin_ref, PluginKind.DATA_SOURCE)
    is_notifying = source is not None and source.type.name in NOTIFICATION_SOURCES
    extractors = []
    for index, extractor in enumerate(entry.extractors):
        place, name = (*path, "extractors", index, "pluginRef"), extractor.plugin_ref
        found = table.find(place, name) if is_notifying else table.refer(place, name, PluginKind.EXTRACTOR)
        extractors.append(found)
    if source is None:
        return None
    return Pair(path, source, tuple(extractor for extractor in extractors if extractor is not None))


def _metrics(pairs: list[Pair], section: DataLayerSection, table: PluginTable) -> MetricsSettings | None:
    of_clusters = [pair for pair in pairs if pair.source.type.name == MULTICLUSTER_SOURCE]
    scraped = [*of_clusters, *(pair for pair in pairs if pair.source.type.name == METRICS_SOURCE)]
    for pair in scraped[1:]:
        table.findings.notice(pair.path, f"no effect: {scraped[0].source.settings.name!r} is scraped already")
    if not scraped and not section.inject_defaults:
        table.findings.notice(
            ("dataLayer", "injectDefaults"), "nothing is scraped: every endpoint looks idle to scorers of its metrics"
        )
        return None
    source = scraped[0].source if scraped else table.first_of_types(MULTICLUSTER_SOURCE, METRICS_SOURCE)
    extractor = _extractor(scraped, source, table)
    settings = MetricsSettings()
    if extractor is not None and extractor.type.name == MULTICLUSTER_EXTRACTOR:
        averages = parameters_as(MulticlusterMetricsExtractorParameters, extractor.settings)
        settings = MetricsSettings(MulticlusterMetricsSourceParameters(), clusters=averages)
    elif extractor is not None:
        engines = parameters_as(CoreMetricsExtractorParameters, extractor.settings)
        _note_engines((*extractor.path, "parameters"), engines, table)
        check_custom_metrics(extractor, engines, table)
        settings = msgspec.structs.replace(settings, extractor=engines)
    if source is not None:
        page = parameters_as(MetricsDataSourceParameters, source.settings)
        settings = msgspec.structs.replace(settings, source=page)
        if extractor is None and source.type.name == MULTICLUSTER_SOURCE:
            settings = msgspec.structs.replace(settings, clusters=MulticlusterMetricsExtractorParameters())
    return settings


def _extractor(scraped: list[Pair], source: Declared | None, table: PluginTable) -> Declared | None:
    """The one that is listed beside the source, else a declared one that fits the source."""
    listed = [extractor for pair in scraped[:1] for extractor in pair.extractors]
    known = [extractor for extractor in listed if extractor.type.name in (METRICS_EXTRACTOR, MULTICLUSTER_EXTRACTOR)]
    if known:
        return known[0]
    if source is None:
        return table.first_of_types(MULTICLUSTER_EXTRACTOR, METRICS_EXTRACTOR)
    is_of_clusters = source.type.name == MULTICLUSTER_SOURCE
    return table.first_of_type(MULTICLUSTER_EXTRACTOR if is_of_clusters else METRICS_EXTRACTOR)


def _note_engines(path: Path, engines: CoreMetricsExtractorParameters, table: PluginTable) -> None:
    """An engine that nobody describes is read as vLLM."""
    known = (*KNOWN_ENGINES, *(engine.name for engine in engines.engine_configs))
    if engines.default_engine not in known:
        default = engines.default_engine
        text = f"the metric names of {default!r} are not known, vLLM's are used; describe it in engineConfigs"
        table.findings.notice((*path, "defaultEngine"), text)


def _discovery(section: DataLayerSection, table: PluginTable) -> FileDiscoveryParameters | None:
    if section.discovery is None:
        return None
    path: Path = ("dataLayer", "discovery")
    named, endpoints = section.discovery.plugin_ref, section.discovery.endpoints
    if bool(named) is (endpoints is not None):
        table.findings.mistake(path, "expected either 'pluginRef' or 'endpoints'")
        return None
    if endpoints is not None:
        path, named = (*path, "endpoints"), endpoints.plugin_ref
    declared = table.refer((*path, "pluginRef"), named, PluginKind.DISCOVERY)
    return parameters_as(FileDiscoveryParameters, declared.settings) if declared else None


def _check_unsupported(section: DataLayerSection, table: PluginTable) -> None:
    for field, is_given in (
        ("peerDiscovery", section.peer_discovery is not None),
        ("crossReplicaSyncerPluginRef", bool(section.cross_replica_syncer_plugin_ref)),
    ):
        if is_given:
            table.findings.mistake(("dataLayer", field), "there is no plugin type that does this", "remove the field")
    if value_at(("dataLayer", "crossReplicaSyncInterval"), table.findings) is not None:
        table.findings.notice(("dataLayer", "crossReplicaSyncInterval"), "no effect: replicas do not exchange state")
