"""The file as it is written: its sections, in the union of all dialects."""

from typing import Any

import msgspec

from epp.core.config.durations import Seconds
from epp.core.config.parameters import BandDefaults, Fraction, Positive, PriorityBand
from epp.core.config.quantities import Quantity
from epp.core.config.structure import Section

TOP_LEVEL = (
    "apiVersion",
    "kind",
    "featureGates",
    "plugins",
    "schedulingProfiles",
    "dataLayer",
    "data",
    "saturationDetector",
    "requestHandler",
    "parser",
    "flowControl",
)


class PluginRef(Section, frozen=True):
    """Names a plugin of the `plugins` list."""

    plugin_ref: str


class PluginEntry(Section, frozen=True):
    """One entry of `plugins`; `parameters` are read later, when the type is known."""

    type: str
    name: str = ""
    """the type when left out"""
    parameters: Any = None


class ProfileEntry(Section, frozen=True):
    """One entry of `schedulingProfiles`; its plugins are read one by one."""

    name: str
    plugins: Any = None


class ProfilePluginEntry(Section, frozen=True):
    """One plugin of a profile."""

    plugin_ref: str
    weight: float | None = None


class SourceEntry(Section, frozen=True):
    """A data source and what is extracted from it."""

    plugin_ref: str
    extractors: tuple[PluginRef, ...] = ()


class DiscoverySection(Section, frozen=True):
    """Where endpoints come from: one of both, the second one in llm-d.ai/v1."""

    plugin_ref: str = ""
    endpoints: PluginRef | None = None


class DataLayerSection(Section, frozen=True):
    """`dataLayer` (v1.5)."""

    inject_defaults: bool = True
    """add the metrics source and extractor when no source is one"""
    sources: Any = None
    """SourceEntry each, read one by one"""
    discovery: DiscoverySection | None = None
    peer_discovery: PluginRef | None = None
    cross_replica_syncer_plugin_ref: str = ""
    cross_replica_sync_interval: Seconds = Seconds(0.2)


class DataSection(Section, frozen=True):
    """`data` (v1.3 and v1.4), the older form of `dataLayer`."""

    sources: Any = None


class SaturationSection(Section, frozen=True):
    """`saturationDetector`: thresholds (v1.2 to v1.4) or the name of a plugin (v1.5)."""

    plugin_ref: str = ""
    queue_depth_threshold: Positive | None = None
    kv_cache_util_threshold: Fraction | None = None
    metrics_staleness_threshold: Seconds | None = None


class RequestHandlerSection(Section, frozen=True):
    """`requestHandler`."""

    parsers: tuple[PluginRef, ...] = ()


class FlowControlSection(Section, frozen=True):
    """`flowControl`: queues before the scheduler. Sizes and counts of 0 mean unlimited."""

    max_bytes: Quantity = Quantity(0)
    max_requests: Quantity = Quantity(0)
    default_request_ttl: Seconds | None = msgspec.field(default=None, name="defaultRequestTTL")
    no_endpoint_request_ttl: Seconds | None = msgspec.field(default=None, name="noEndpointRequestTTL")
    default_priority_band: BandDefaults = BandDefaults()
    default_negative_priority_band: BandDefaults = BandDefaults()
    priority_bands: tuple[PriorityBand, ...] = ()
    usage_limit_policy_plugin_ref: str = ""
    saturation_detector: PluginRef | None = None
    enable_eviction: bool = False
    evict_after_response_headers: bool = False
    """ours: evict also requests whose answer has begun; their clients see a cut answer"""
