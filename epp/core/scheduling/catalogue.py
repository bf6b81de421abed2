"""Every built-in plugin type. A new plugin is one new file and one line in BUILT_INS."""

from typing import Protocol

import msgspec

from epp.core.config.catalogue import Catalogue, Need, NoParameters, PluginKind, Stability
from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.config.parameters import TokenProducerParameters, UtilizationDetectorParameters
from epp.core.config.settings_types import (
    CONCURRENCY_DETECTOR,
    IN_FLIGHT_LOAD,
    SETTINGS_TYPES,
    STALENESS_IS_A_FLAG,
    TOKEN_PRODUCER,
    UTILIZATION_DETECTOR,
)
from epp.core.scheduling.attributes import PRODUCER_IS_IMPLIED
from epp.core.scheduling.built_in import BuiltIn, built_in
from epp.core.scheduling.burst_catalogue import BURST_PREFIX_PRODUCER, BURST_TYPES
from epp.core.scheduling.control_catalogue import REQUEST_CONTROL
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.filters.by_label import ByLabelFilter, ByLabelParameters
from epp.core.scheduling.filters.concurrency_detector import ConcurrencyDetectorFilter
from epp.core.scheduling.filters.endpoint_attribute import EndpointAttributeFilter, EndpointAttributeFilterParameters
from epp.core.scheduling.filters.header_based_testing import HeaderBasedTestingFilter
from epp.core.scheduling.filters.label_selector import LabelSelectorFilter, LabelSelectorParameters
from epp.core.scheduling.filters.prefix_cache_affinity import PrefixCacheAffinityFilter, PrefixCacheAffinityParameters
from epp.core.scheduling.filters.roles import decode_filter, encode_filter, prefill_filter
from epp.core.scheduling.filters.session_affinity import SessionAffinityFilter
from epp.core.scheduling.filters.utilization import UtilizationFilter, UtilizationFilterParameters
from epp.core.scheduling.filters.utilization_detector import UtilizationDetectorFilter
from epp.core.scheduling.multicluster_catalogue import MULTICLUSTER
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.pickers.random import RandomPicker
from epp.core.scheduling.pickers.weighted_random import WeightedRandomPicker
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheProducer
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.scheduling.producers.p2p_source import P2pSourceParameters, P2pSourceProducer
from epp.core.scheduling.producers.precise_prefix_cache import (
    INERT_FIELDS,
    PrecisePrefixCacheParameters,
    PrecisePrefixCacheProducer,
)
from epp.core.scheduling.profiles.header_profile import HeaderProfileHandler, HeaderProfileParameters
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from epp.core.scheduling.scorers.context_length_aware import ContextLengthAware, ContextLengthAwareParameters
from epp.core.scheduling.scorers.endpoint_attribute import EndpointAttributeScorer, EndpointAttributeScorerParameters
from epp.core.scheduling.scorers.expected_cost import ExpectedCostScorer
from epp.core.scheduling.scorers.header_label_affinity import HeaderLabelAffinityParameters, HeaderLabelAffinityScorer
from epp.core.scheduling.scorers.kv_cache import KvCacheScorer
from epp.core.scheduling.scorers.load_aware import LoadAwareParameters, LoadAwareScorer
from epp.core.scheduling.scorers.lora_affinity import LoraAffinityScorer
from epp.core.scheduling.scorers.no_hit_lru import NoHitLruParameters, NoHitLruScorer
from epp.core.scheduling.scorers.precise_prefix_cache import (
    PrecisePrefixCacheScorer,
    PrecisePrefixCacheScorerParameters,
)
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.scheduling.scorers.running_requests import RunningRequestsScorer
from epp.core.scheduling.scorers.scraped_signal import ScrapedSignalParameters
from epp.core.scheduling.scorers.session_affinity import SessionAffinityScorer
from epp.core.scheduling.scorers.token_load import TokenLoadParameters, TokenLoadScorer
from epp.core.scheduling.session_types import session_affinity
from epp.core.scheduling.stage_catalogue import STAGE_TYPES, any_prefix_matches


class InFlightLoadConsumer(Protocol):
    """Parameters that may name an inflight-load-producer."""

    @property
    def in_flight_load_producer_name(self) -> str:
        """Empty: the picker's own books, which are what every such producer stands for."""
        ...


_FILTER, _SCORER, _PICKER = PluginKind.FILTER, PluginKind.SCORER, PluginKind.PICKER
_PREFIX_PRODUCER = "approx-prefix-cache-producer"
_PRECISE_PREFIX_PRODUCER = "precise-prefix-cache-producer"


def _in_flight_load(parameters: InFlightLoadConsumer) -> tuple[Need, ...]:
    return (Need("in_flight_load_producer_name", IN_FLIGHT_LOAD),) if parameters.in_flight_load_producer_name else ()


def _prefix_matches(_parameters: msgspec.Struct) -> tuple[Need, ...]:
    return (_prefix_matches_made_with(ApproxPrefixCacheParameters()),)


def _prefix_matches_made_with(parameters: ApproxPrefixCacheParameters) -> Need:
    field, other = "prefix_match_info_producer_name", _PRECISE_PREFIX_PRODUCER
    return Need(field, _PREFIX_PRODUCER, parameters, or_type=other, or_named=BURST_PREFIX_PRODUCER)


def _tokens(_parameters: msgspec.Struct) -> tuple[Need, ...]:
    return (Need("token_producer_name", TOKEN_PRODUCER, TokenProducerParameters()),)


def _tokens_to_compute(parameters: InFlightLoadConsumer) -> tuple[Need, ...]:
    return (_prefix_matches_made_with(ApproxPrefixCacheParameters()), *_in_flight_load(parameters))


BUILT_INS: tuple[BuiltIn, ...] = (
    built_in("header-based-testing-filter", _FILTER, NoParameters, lambda _name, _p: HeaderBasedTestingFilter()),
    built_in("decode-filter", _FILTER, NoParameters, lambda _name, _p: decode_filter(), ignores_parameters=True),
    built_in("prefill-filter", _FILTER, NoParameters, lambda _name, _p: prefill_filter(), ignores_parameters=True),
    built_in("encode-filter", _FILTER, NoParameters, lambda _name, _p: encode_filter(), ignores_parameters=True),
    built_in("by-label", _FILTER, ByLabelParameters, lambda _name, p: ByLabelFilter(p)),
    built_in(
        "label-selector-filter",
        _FILTER,
        LabelSelectorParameters,
        lambda _name, p: LabelSelectorFilter(p),
        aliases=("by-label-selector",),
    ),
    session_affinity("session-affinity-filter", _FILTER, SessionAffinityFilter),
    built_in(
        "utilization-filter",
        _FILTER,
        UtilizationFilterParameters,
        lambda _name, p: UtilizationFilter(p),
        needs=_in_flight_load,
        stability=Stability.ALPHA,
    ),
    built_in(
        "endpoint-attribute-filter",
        _FILTER,
        EndpointAttributeFilterParameters,
        lambda _name, p: EndpointAttributeFilter(p),
        stability=Stability.ALPHA,
        attribute_field="attribute",
        inert_fields={"producer": PRODUCER_IS_IMPLIED},
    ),
    built_in(
        "prefix-cache-affinity-filter",
        _FILTER,
        PrefixCacheAffinityParameters,
        lambda _name, p: PrefixCacheAffinityFilter(p),
        needs=_tokens_to_compute,
    ),
    built_in(
        UTILIZATION_DETECTOR,
        (_FILTER, PluginKind.SATURATION_DETECTOR),
        UtilizationDetectorParameters,
        lambda _name, p: UtilizationDetectorFilter(p),
        inert_fields={"metricsStalenessThreshold": STALENESS_IS_A_FLAG},
    ),
    built_in(
        CONCURRENCY_DETECTOR,
        (_FILTER, PluginKind.SATURATION_DETECTOR),
        ConcurrencyDetectorParameters,
        lambda _name, p: ConcurrencyDetectorFilter(p),
        needs=_in_flight_load,
    ),
    built_in("queue-scorer", _SCORER, ScrapedSignalParameters, lambda _name, p: QueueScorer(p)),
    built_in("kv-cache-utilization-scorer", _SCORER, ScrapedSignalParameters, lambda _name, p: KvCacheScorer(p)),
    built_in(
        "running-requests-size-scorer", _SCORER, ScrapedSignalParameters, lambda _name, p: RunningRequestsScorer(p)
    ),
    built_in("lora-affinity-scorer", _SCORER, NoParameters, lambda _name, _p: LoraAffinityScorer()),
    built_in(
        "active-request-scorer",
        _SCORER,
        ActiveRequestParameters,
        lambda _name, p: ActiveRequestScorer(p),
        needs=_in_flight_load,
        inert_fields={"requestTimeout": "a request counts until it is over, nothing expires"},
    ),
    built_in(
        "prefix-cache-scorer",
        _SCORER,
        PrefixCacheParameters,
        lambda _name, p: PrefixCacheScorer(p),
        needs=lambda p: (_prefix_matches_made_with(p.index_parameters),),
    ),
    built_in(
        "precise-prefix-cache-scorer",
        _SCORER,
        PrecisePrefixCacheScorerParameters,
        lambda _name, p: PrecisePrefixCacheScorer(p),
        needs=lambda p: (Need("prefix_match_info_producer_name", _PRECISE_PREFIX_PRODUCER, p.producer_parameters),),
        deprecated="write precise-prefix-cache-producer and prefix-cache-scorer",
        inert_fields=INERT_FIELDS,
    ),
    built_in("load-aware-scorer", _SCORER, LoadAwareParameters, lambda _name, p: LoadAwareScorer(p)),
    built_in(
        "token-load-scorer", _SCORER, TokenLoadParameters, lambda _name, p: TokenLoadScorer(p), needs=_tokens_to_compute
    ),
    built_in(
        "no-hit-lru-scorer",
        _SCORER,
        NoHitLruParameters,
        NoHitLruScorer,
        needs=_prefix_matches,
        inert_fields=dict.fromkeys(
            ("prefixPluginType", "prefixPluginName"), "name the producer in prefixMatchInfoProducerName"
        ),
    ),
    built_in(
        "context-length-aware",
        (_FILTER, _SCORER),
        ContextLengthAwareParameters,
        lambda _name, p: ContextLengthAware(p),
    ),
    built_in(
        "header-label-affinity-scorer",
        _SCORER,
        HeaderLabelAffinityParameters,
        lambda _name, p: HeaderLabelAffinityScorer(p),
        stability=Stability.ALPHA,
    ),
    built_in(
        "endpoint-attribute-scorer",
        _SCORER,
        EndpointAttributeScorerParameters,
        lambda _name, p: EndpointAttributeScorer(p),
        stability=Stability.ALPHA,
        attribute_field="attribute_key",
        inert_fields={"producer": PRODUCER_IS_IMPLIED},
    ),
    built_in(
        "expected-cost-scorer",
        _SCORER,
        ExpectedCostParameters,
        lambda _name, p: ExpectedCostScorer(p),
        needs=_prefix_matches,
    ),
    session_affinity("session-affinity-scorer", _SCORER, SessionAffinityScorer),
    built_in("max-score-picker", _PICKER, PickerParameters, lambda _name, p: MaxScorePicker(p)),
    built_in("random-picker", _PICKER, PickerParameters, lambda _name, p: RandomPicker(p)),
    built_in("weighted-random-picker", _PICKER, PickerParameters, lambda _name, p: WeightedRandomPicker(p)),
    built_in(
        "single-profile-handler",
        PluginKind.PROFILE_HANDLER,
        NoParameters,
        lambda _name, _p: SingleProfileHandler(),
        ignores_parameters=True,
        most_profiles=1,
    ),
    built_in(
        "header-profile-handler",
        PluginKind.PROFILE_HANDLER,
        HeaderProfileParameters,
        lambda _name, p: HeaderProfileHandler(p),
        stability=Stability.ALPHA,
    ),
    built_in(_PREFIX_PRODUCER, PluginKind.PRODUCER, ApproxPrefixCacheParameters, ApproxPrefixCacheProducer),
    built_in(
        "p2p-source-producer",
        PluginKind.PRODUCER,
        P2pSourceParameters,
        P2pSourceProducer,
        needs=any_prefix_matches,
        runs_unasked=True,
        stability=Stability.ALPHA,
    ),
    built_in(
        _PRECISE_PREFIX_PRODUCER,
        PluginKind.PRODUCER,
        PrecisePrefixCacheParameters,
        PrecisePrefixCacheProducer,
        needs=_tokens,
        inert_fields=INERT_FIELDS,
    ),
    *BURST_TYPES,
    *STAGE_TYPES,
    *REQUEST_CONTROL,
    *MULTICLUSTER,
)

CATALOGUE = Catalogue((*(entry.type for entry in BUILT_INS), *SETTINGS_TYPES))
BUILDERS = {entry.type.name: entry.build for entry in BUILT_INS}
