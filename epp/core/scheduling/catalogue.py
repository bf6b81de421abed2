"""Every built-in plugin type. A new plugin is one new file and one line in BUILT_INS."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from epp.core.config.catalogue import Catalogue, Need, NoParameters, PluginKind, PluginType, no_needs
from epp.core.config.settings import PluginSettings, parameters_as
from epp.core.config.settings_types import IN_FLIGHT_LOAD, SETTINGS_TYPES
from epp.core.scheduling.filters.header_based_testing import HeaderBasedTestingFilter
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.pickers.random import RandomPicker
from epp.core.scheduling.pickers.weighted_random import WeightedRandomPicker
from epp.core.scheduling.plugins import Filter, Picker, Producer, ProfileHandler, Scorer
from epp.core.scheduling.producers.approx_prefix_cache import ApproxPrefixCacheParameters, ApproxPrefixCacheProducer
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scorers.active_request import ActiveRequestParameters, ActiveRequestScorer
from epp.core.scheduling.scorers.kv_cache import KvCacheScorer
from epp.core.scheduling.scorers.lora_affinity import LoraAffinityScorer
from epp.core.scheduling.scorers.prefix_cache import PrefixCacheParameters, PrefixCacheScorer
from epp.core.scheduling.scorers.queue import QueueScorer
from epp.core.scheduling.scorers.running_requests import RunningRequestsScorer

P = TypeVar("P", bound=msgspec.Struct)
Plugin = Filter | Scorer | Picker | Producer | ProfileHandler

_FILTER, _SCORER, _PICKER = PluginKind.FILTER, PluginKind.SCORER, PluginKind.PICKER
_PREFIX_PRODUCER = "approx-prefix-cache-producer"


class BuiltIn(msgspec.Struct, frozen=True):
    """A plugin type and how to make an instance of it from its settings."""

    type: PluginType
    build: Callable[[PluginSettings], Plugin]


def built_in(
    name: str,
    kinds: PluginKind | tuple[PluginKind, ...],
    parameters: type[P],
    make: Callable[[str, P], Plugin],
    *,
    needs: Callable[[P], tuple[Need, ...]] = no_needs,
    **more: Any,
) -> BuiltIn:
    """An entry of BUILT_INS; `make` takes the instance's name and parameters, `more` are fields of PluginType."""

    def build(settings: PluginSettings) -> Plugin:
        return make(settings.name, parameters_as(parameters, settings))

    all_kinds = frozenset(kinds if isinstance(kinds, tuple) else (kinds,))
    return BuiltIn(PluginType(name, all_kinds, parameters, needs=needs, **more), build)


def _in_flight_load(parameters: ActiveRequestParameters) -> tuple[Need, ...]:
    return (Need("in_flight_load_producer_name", IN_FLIGHT_LOAD),) if parameters.in_flight_load_producer_name else ()


def _prefix_matches(parameters: PrefixCacheParameters) -> tuple[Need, ...]:
    return (Need("prefix_match_info_producer_name", _PREFIX_PRODUCER, parameters.index_parameters),)


BUILT_INS: tuple[BuiltIn, ...] = (
    built_in("header-based-testing-filter", _FILTER, NoParameters, lambda _name, _p: HeaderBasedTestingFilter()),
    built_in("queue-scorer", _SCORER, NoParameters, lambda _name, _p: QueueScorer()),
    built_in("kv-cache-utilization-scorer", _SCORER, NoParameters, lambda _name, _p: KvCacheScorer()),
    built_in("running-requests-size-scorer", _SCORER, NoParameters, lambda _name, _p: RunningRequestsScorer()),
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
        needs=_prefix_matches,
    ),
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
    built_in(_PREFIX_PRODUCER, PluginKind.PRODUCER, ApproxPrefixCacheParameters, ApproxPrefixCacheProducer),
)

CATALOGUE = Catalogue((*(entry.type for entry in BUILT_INS), *SETTINGS_TYPES))
BUILDERS = {entry.type.name: entry.build for entry in BUILT_INS}
