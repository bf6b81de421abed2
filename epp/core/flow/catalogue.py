"""The plugin types of flow control, for the configuration to know them."""

from epp.core.config.catalogue import NoParameters, PluginKind, PluginType
from epp.core.config.parameters import StaticUsageLimitParameters
from epp.core.flow.concurrency import ConcurrencyDetectorParameters
from epp.core.flow.fairness.program_aware import ProgramAwareParameters
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldbackParameters

_FAIRNESS = frozenset((PluginKind.FAIRNESS_POLICY,))
_ORDERING = frozenset((PluginKind.ORDERING_POLICY,))
_USAGE_LIMIT = frozenset((PluginKind.USAGE_LIMIT_POLICY,))

FLOW_TYPES: tuple[PluginType, ...] = (
    PluginType("global-strict-fairness-policy", _FAIRNESS, NoParameters),
    PluginType("round-robin-fairness-policy", _FAIRNESS, NoParameters),
    PluginType(
        "program-aware-fairness",
        _FAIRNESS,
        ProgramAwareParameters,
        inert_fields={"evictionSweepSeconds": "tenants are forgotten as soon as they are due, without a sweep"},
    ),
    PluginType("fcfs-ordering-policy", _ORDERING, NoParameters),
    PluginType("edf-ordering-policy", _ORDERING, NoParameters),
    PluginType("slo-deadline-ordering-policy", _ORDERING, NoParameters),
    PluginType("static-usage-limit-policy", _USAGE_LIMIT, StaticUsageLimitParameters),
    PluginType("priority-holdback-policy", _USAGE_LIMIT, PriorityHoldbackParameters),
    PluginType("soft-reflective-ceiling-policy", _USAGE_LIMIT, NoParameters),
    PluginType(
        "concurrency-detector",
        frozenset((PluginKind.SATURATION_DETECTOR,)),
        ConcurrencyDetectorParameters,
        inert_fields={"inFlightLoadProducerName": "the picker counts what it has in flight by itself"},
    ),
)
"""replace the entries of the same names in `epp.core.config.settings_types`, which say that they have no effect"""
