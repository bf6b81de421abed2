"""From the `flowControl` section to settings and policies. Names were checked when the file was read."""

from collections.abc import Callable

import msgspec

from epp.core.config.flow_parameters import (
    DEFAULT_FAIRNESS,
    DEFAULT_ORDERING,
    DEFAULT_TTL_S,
    DEFAULT_USAGE_LIMIT,
    ConcurrencyDetectorParameters,
    PriorityHoldbackParameters,
    ProgramAwareParameters,
    StaticUsageLimitParameters,
)
from epp.core.config.parameters import BandDefaults
from epp.core.config.sections import FlowControlSection
from epp.core.config.settings import PickerConfig, PluginSettings, parameters_as
from epp.core.flow.band import BandLimits, FairnessPolicy, OrderingPolicy
from epp.core.flow.eviction import EvictionSettings
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.fairness.program_aware import ProgramAwareFairness, ServiceBook
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.ordering.edf import EdfOrdering
from epp.core.flow.ordering.fcfs import FcfsOrdering
from epp.core.flow.ordering.slo_deadline import SloDeadlineOrdering
from epp.core.flow.settings import BandSettings, FlowSettings
from epp.core.flow.usage_limits.policy import UsageLimitPolicy
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldback
from epp.core.flow.usage_limits.soft_reflective_ceiling import SoftReflectiveCeiling
from epp.core.flow.usage_limits.static import StaticUsageLimit

_ORDERINGS: dict[str, Callable[[], OrderingPolicy]] = {
    DEFAULT_ORDERING: FcfsOrdering,
    "edf-ordering-policy": EdfOrdering,
    "slo-deadline-ordering-policy": SloDeadlineOrdering,
}


SCRAPED_SETTLE_S = 0.25
"""with scrape interval and staleness threshold: until scraped saturation shows that a request is gone (reference)"""


class FlowPolicy(msgspec.Struct, frozen=True):
    """What a configuration says about flow control."""

    settings: FlowSettings
    usage_limits: UsageLimitPolicy
    service_books: tuple[ServiceBook, ...]
    """to be told of the tokens of every request that ends; empty unless a band is program-aware"""
    eviction: EvictionSettings | None
    """how dispatched requests of priority < 0 are broken off when higher ones wait; None: never"""


def flow_policy(config: PickerConfig, scrape_s: float = 0.05) -> FlowPolicy:
    """The flow control of a configuration, with the defaults of the reference where the section is missing.

    `scrape_s`: seconds between two scrapes of an endpoint.
    """
    return _Builder(config, scrape_s).build(config.flow_control or FlowControlSection())


class _Builder:
    """A program-aware plugin is one book, however many bands name it."""

    def __init__(self, config: PickerConfig, scrape_s: float) -> None:
        self._scrape_s = scrape_s
        self._saturation = config.saturation
        self._plugins = {plugin.name: plugin for plugin in config.plugins}
        self._books: dict[str, ServiceBook] = {}

    def build(self, section: FlowControlSection) -> FlowPolicy:
        settings = FlowSettings(
            bands={band.priority: self._band(band) for band in section.priority_bands},
            default_band=self._band(section.default_priority_band),
            default_negative_band=self._band(section.default_negative_priority_band),
            limits=BandLimits(max_bytes=int(section.max_bytes), max_requests=int(section.max_requests)),
            default_ttl_s=DEFAULT_TTL_S if section.default_request_ttl is None else float(section.default_request_ttl),
            no_endpoint_ttl_s=(
                None if section.no_endpoint_request_ttl is None else float(section.no_endpoint_request_ttl)
            ),
        )
        limits = self._usage_limits(section.usage_limit_policy_plugin_ref or DEFAULT_USAGE_LIMIT)
        return FlowPolicy(settings, limits, tuple(self._books.values()), self._eviction(section))

    def _eviction(self, section: FlowControlSection) -> EvictionSettings | None:
        if not section.enable_eviction:
            return None
        settings = EvictionSettings(spare_begun=not section.evict_after_response_headers)
        if isinstance(self._saturation, ConcurrencyDetectorParameters):
            return settings
        settle_s = self._scrape_s + float(self._saturation.metrics_staleness_threshold) + SCRAPED_SETTLE_S
        return msgspec.structs.replace(settings, settle_s=settle_s)

    def _band(self, band: BandDefaults) -> BandSettings:
        default = BandLimits()
        return BandSettings(
            limits=BandLimits(
                max_bytes=default.max_bytes if band.max_bytes is None else int(band.max_bytes),
                max_requests=default.max_requests if band.max_requests is None else int(band.max_requests),
            ),
            new_fairness=self._fairness(band.fairness_policy_ref or DEFAULT_FAIRNESS),
            ordering=_ORDERINGS[self._plugin(band.ordering_policy_ref or DEFAULT_ORDERING).type](),
        )

    def _fairness(self, name: str) -> Callable[[], FairnessPolicy]:
        plugin = self._plugin(name)
        if plugin.type == "round-robin-fairness-policy":
            return RoundRobinFairness
        if plugin.type == "program-aware-fairness":
            parameters = parameters_as(ProgramAwareParameters, plugin)
            book = self._books.setdefault(name, ServiceBook(parameters))
            return lambda: ProgramAwareFairness(book, parameters)
        return GlobalStrictFairness

    def _usage_limits(self, name: str) -> UsageLimitPolicy:
        plugin = self._plugin(name)
        if plugin.type == "priority-holdback-policy":
            return PriorityHoldback(parameters_as(PriorityHoldbackParameters, plugin))
        if plugin.type == "soft-reflective-ceiling-policy":
            return SoftReflectiveCeiling()
        return StaticUsageLimit(parameters_as(StaticUsageLimitParameters, plugin))

    def _plugin(self, name: str) -> PluginSettings:
        """A default policy need not be declared."""
        return self._plugins.get(name) or PluginSettings(name, name, StaticUsageLimitParameters())
