"""The plugin types that split a request into stages: profile handlers, deciders, topology, sources of KV cache."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from epp.core.config.catalogue import Need, NoParameters, PluginKind, PluginType, Stability
from epp.core.config.settings import PluginSettings, parameters_as
from epp.core.scheduling.built_in import BuiltIn, DeciderByName, Plugin, no_decider
from epp.core.scheduling.deciders.always_disagg import AlwaysDecider, MultimodalDecider
from epp.core.scheduling.deciders.prefix_based_pd import PrefixBasedPdDecider, PrefixBasedPdParameters
from epp.core.scheduling.filters.topology_affinity import TopologyAffinityFilter, TopologyAffinityFilterParameters
from epp.core.scheduling.producers.approx_prefix_parameters import ApproxPrefixCacheParameters
from epp.core.scheduling.producers.topology import TopologyExtractor, TopologyExtractorParameters
from epp.core.scheduling.profiles.data_parallel import DataParallelParameters, DataParallelProfileHandler
from epp.core.scheduling.profiles.disagg_parameters import DisaggProfileParameters, PdProfileParameters, StagePlan
from epp.core.scheduling.profiles.disagg_profile import DisaggProfileHandler
from epp.core.scheduling.scorers.topology_affinity import TopologyAffinityScorer, TopologyAffinityScorerParameters
from epp.core.scheduling.session_token import NO_KEY, SessionKey

P = TypeVar("P", bound=msgspec.Struct)

_HANDLER, _DECIDER = PluginKind.PROFILE_HANDLER, PluginKind.DECIDER
_TOPOLOGY = "topology-extractor"
_NAMED_BY_THE_DECIDER = "the decider names its producer itself"


def _entry(
    name: str,
    kinds: PluginKind | tuple[PluginKind, ...],
    parameters: type[P],
    make: Callable[[P, DeciderByName], Plugin],
    **more: Any,
) -> BuiltIn:
    """`more` are fields of PluginType."""

    def build(
        settings: PluginSettings,
        session_key: SessionKey = NO_KEY,  # noqa: ARG001  only sessions need it
        decider: DeciderByName = no_decider,
    ) -> Plugin:
        return make(parameters_as(parameters, settings), decider)

    all_kinds = frozenset(kinds if isinstance(kinds, tuple) else (kinds,))
    return BuiltIn(PluginType(name, all_kinds, parameters, **more), build)


def _handler(plan: StagePlan, decider: DeciderByName) -> DisaggProfileHandler:
    return DisaggProfileHandler(
        plan,
        decider(plan.prefill_decider) if plan.prefill_decider else None,
        decider(plan.encode_decider) if plan.encode_decider else None,
    )


def any_prefix_matches(_parameters: msgspec.Struct) -> tuple[Need, ...]:
    """The prefix matches that others consume too, or some of its own."""
    return (
        Need(
            "prefix_match_info_producer_name",
            "approx-prefix-cache-producer",
            ApproxPrefixCacheParameters(),
            takes_any=True,
        ),
    )


def _topology(_parameters: msgspec.Struct) -> tuple[Need, ...]:
    return (Need("topology_producer_name", _TOPOLOGY, TopologyExtractorParameters()),)


STAGE_TYPES: tuple[BuiltIn, ...] = (
    _entry(
        "disagg-profile-handler",
        _HANDLER,
        DisaggProfileParameters,
        lambda p, decider: _handler(p.plan, decider),
        references=lambda p: p.references,
    ),
    _entry(
        "pd-profile-handler",
        _HANDLER,
        PdProfileParameters,
        lambda p, decider: _handler(p.plan, decider),
        references=lambda p: p.references,
        deprecated="write disagg-profile-handler",
        inert_fields=dict.fromkeys(
            ("prefixPluginType", "prefixPluginName", "prefixMatchInfoProducerName"), _NAMED_BY_THE_DECIDER
        ),
    ),
    _entry(
        "data-parallel-profile-handler",
        _HANDLER,
        DataParallelParameters,
        lambda p, _decider: DataParallelProfileHandler(p),
        most_profiles=1,
        deprecated="every rank is an endpoint, which any handler picks and Envoy reaches directly",
    ),
    _entry("always-disagg-pd-decider", _DECIDER, NoParameters, lambda _p, _decider: AlwaysDecider()),
    _entry("always-disagg-multimodal-decider", _DECIDER, NoParameters, lambda _p, _decider: MultimodalDecider()),
    _entry(
        "prefix-based-pd-decider",
        _DECIDER,
        PrefixBasedPdParameters,
        lambda p, _decider: PrefixBasedPdDecider(p),
        needs=any_prefix_matches,
    ),
    _entry(
        _TOPOLOGY,
        (PluginKind.EXTRACTOR, PluginKind.PRODUCER),
        TopologyExtractorParameters,
        lambda p, _decider: TopologyExtractor(p),
        stability=Stability.ALPHA,
    ),
    _entry(
        "topology-affinity-scorer",
        PluginKind.SCORER,
        TopologyAffinityScorerParameters,
        lambda p, _decider: TopologyAffinityScorer(p),
        needs=_topology,
        stability=Stability.ALPHA,
    ),
    _entry(
        "topology-affinity-filter",
        PluginKind.FILTER,
        TopologyAffinityFilterParameters,
        lambda p, _decider: TopologyAffinityFilter(p),
        needs=_topology,
        stability=Stability.ALPHA,
    ),
)
