"""What a configuration resolves to: validated, filled in, every reference checked."""

from typing import TypeVar

import msgspec

from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.config.mistakes import Notice
from epp.core.config.parameters import (
    CoreMetricsExtractorParameters,
    FileDiscoveryParameters,
    MetricsDataSourceParameters,
    MulticlusterMetricsExtractorParameters,
    UtilizationDetectorParameters,
)
from epp.core.config.sections import FlowControlSection

P = TypeVar("P", bound=msgspec.Struct)


def parameters_as(expected: type[P], plugin: "PluginSettings") -> P:
    """The parameters of `plugin` with their type; raises TypeError for a plugin of another type."""
    if not isinstance(plugin.parameters, expected):
        raise TypeError(f"plugin {plugin.name!r} has {type(plugin.parameters).__name__}, not {expected.__name__}")
    return plugin.parameters


class FeatureGates(msgspec.Struct, frozen=True):
    """The gates after their defaults; what each does here is said in `epp.core.config.gates`."""

    flow_control: bool = False
    data_layer: bool = True
    prepare_data_plugins: bool = True
    enable_legacy_metrics: bool = False
    ha_populate_non_leader_datastore: bool = True


class PluginSettings(msgspec.Struct, frozen=True):
    """One plugin instance."""

    name: str
    type: str
    """current name of the type, never a deprecated one"""
    parameters: msgspec.Struct
    line: int | None = None
    """where it is declared; None when it was filled in"""
    needs: tuple[str, ...] = ()
    """names of the producers that it consumes"""


class WeightedPlugin(msgspec.Struct, frozen=True):
    """A scorer of a profile."""

    name: str
    weight: float = 1.0


class ProfileSettings(msgspec.Struct, frozen=True):
    """A scheduling profile; plugins by name, in the order of the file."""

    name: str
    filters: tuple[str, ...]
    scorers: tuple[WeightedPlugin, ...]
    picker: str

    @property
    def plugin_names(self) -> tuple[str, ...]:
        """Everything that the profile uses."""
        return (*self.filters, *(scorer.name for scorer in self.scorers), self.picker)


class MetricsSettings(msgspec.Struct, frozen=True):
    """How model servers are scraped."""

    source: MetricsDataSourceParameters = MetricsDataSourceParameters()
    extractor: CoreMetricsExtractorParameters = CoreMetricsExtractorParameters()
    clusters: MulticlusterMetricsExtractorParameters | None = None
    """in place of `extractor`, where the pages are those of other clusters' pickers"""

    @property
    def custom_attributes(self) -> tuple[str, ...]:
        """Keys of the attributes that `customMetrics` extracts, each once, in the order of the file."""
        engines = self.extractor.engine_configs
        return tuple(dict.fromkeys(metric.attribute_key for engine in engines for metric in engine.custom_metrics))


class RequestControlSettings(msgspec.Struct, frozen=True):
    """Plugins that see every request whatever its profile, by name, in the order of the file."""

    request_header_processors: tuple[str, ...] = ()
    screeners: tuple[str, ...] = ()
    admitters: tuple[str, ...] = ()
    response_header_processors: tuple[str, ...] = ()
    reporters: tuple[str, ...] = ()

    @property
    def plugin_names(self) -> tuple[str, ...]:
        """All of them."""
        return (
            *self.request_header_processors,
            *self.screeners,
            *self.admitters,
            *self.response_header_processors,
            *self.reporters,
        )


class PickerConfig(msgspec.Struct, frozen=True):
    """A whole configuration."""

    source: str
    gates: FeatureGates
    plugins: tuple[PluginSettings, ...]
    """declared ones in the order of the file, then those filled in"""
    profiles: tuple[ProfileSettings, ...]
    handler: str
    """plugin that says which profiles run"""
    deciders: tuple[str, ...]
    """plugins that the handler asks"""
    producers: tuple[str, ...]
    """plugins whose products are consumed, each after those that it needs itself"""
    saturation: UtilizationDetectorParameters | ConcurrencyDetectorParameters
    metrics: MetricsSettings | None
    """None: nothing is scraped"""
    discovery: FileDiscoveryParameters | None
    """None: endpoints come from the objects"""
    parsers: tuple[str, ...]
    """empty: the built-in ones"""
    flow_control: FlowControlSection | None
    request_control: RequestControlSettings = RequestControlSettings()
    attributes_read: tuple[str, ...] = ()
    """custom attributes that plugins read"""
    notices: tuple[Notice, ...] = ()

    def plugin(self, name: str) -> PluginSettings:
        """The plugin of that name; raises KeyError."""
        for settings in self.plugins:
            if settings.name == name:
                return settings
        raise KeyError(name)
