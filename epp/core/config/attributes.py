"""Endpoint attributes: numbers of an endpoint that parameters may name.

Some the picker always has; further ones are what `customMetrics` of the core-metrics-extractor in force extracts.
"""

from collections.abc import Iterator

import msgspec

from epp.core.config.mistakes import did_you_mean
from epp.core.config.parameters import CoreMetricsExtractorParameters
from epp.core.config.plugins import Declared, PluginTable
from epp.core.config.settings import MetricsSettings

BUILT_IN_ATTRIBUTES = ("WaitingQueueSize", "RunningRequestsSize", "KVCacheUsage", "InFlightRequests", "InFlightTokens")
MOST_CUSTOM_ATTRIBUTES = 32
"""each is a column over all endpoints, and a search on every metrics page"""
_EXTRACT_IT = "extract it: customMetrics of core-metrics-extractor"


def check_custom_metrics(extractor: Declared, engines: CoreMetricsExtractorParameters, table: PluginTable) -> None:
    """Reports attributes of `engines` that cannot be had: too many, twice in one engine, or with a built-in name."""
    keys: set[str] = set()
    for number, engine in enumerate(engines.engine_configs):
        seen: set[str] = set()
        for index, metric in enumerate(engine.custom_metrics):
            step = ("parameters", "engineConfigs", number, "customMetrics", index, "attributeKey")
            path, key = (*extractor.path, *step), metric.attribute_key
            if key in BUILT_IN_ATTRIBUTES:
                table.findings.mistake(path, f"{key!r} is an attribute of the picker's own", "choose another name")
            elif key in seen:
                table.findings.mistake(path, f"{key!r} is extracted twice from the same engine")
            elif key not in keys and len(keys) == MOST_CUSTOM_ATTRIBUTES:
                table.findings.mistake(path, f"there are more than {MOST_CUSTOM_ATTRIBUTES} custom attributes")
                return
            seen.add(key)
            keys.add(key)


def check_attributes(table: PluginTable, metrics: MetricsSettings | None) -> tuple[str, ...]:
    """The custom attributes that plugins read; reports those that nobody extracts."""
    known = (*BUILT_IN_ATTRIBUTES, *(metrics.custom_attributes if metrics else ()))
    custom: list[str] = []
    for declared, field, key in _readers(table):
        if key not in BUILT_IN_ATTRIBUTES:
            custom.append(key)
        if key not in known:
            problem = f"nobody extracts the attribute {key!r}"
            suggestion = did_you_mean(key, known)
            if not suggestion.startswith("did you mean"):
                suggestion = "; ".join(filter(None, (suggestion, _EXTRACT_IT)))
            table.findings.mistake((*declared.path, "parameters", field), problem, suggestion)
    return tuple(dict.fromkeys(custom))


def _readers(table: PluginTable) -> Iterator[tuple[Declared, str, str]]:
    """Who reads an attribute, the field that names it as it is written, and what it names."""
    for settings in table.settings():
        declared = table[settings.name]
        for field in msgspec.structs.fields(settings.parameters):
            if field.name == declared.type.attribute_field:
                yield declared, field.encode_name, getattr(settings.parameters, field.name)
