"""From a configuration file to the policies of flow control."""

import pytest

from epp.core.config.load import default_config, load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import PickerConfig
from epp.core.flow.band import BandLimits
from epp.core.flow.build import flow_policy
from epp.core.flow.eviction import EvictionSettings
from epp.core.flow.fairness.global_strict import GlobalStrictFairness
from epp.core.flow.fairness.program_aware import ProgramAwareFairness
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.flow.ordering.edf import EdfOrdering
from epp.core.flow.ordering.fcfs import FcfsOrdering
from epp.core.flow.ordering.slo_deadline import SloDeadlineOrdering
from epp.core.flow.usage_limits.priority_holdback import PriorityHoldback
from epp.core.flow.usage_limits.soft_reflective_ceiling import SoftReflectiveCeiling
from epp.core.flow.usage_limits.static import StaticUsageLimit
from epp.core.scheduling.catalogue import CATALOGUE

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def load(text: str) -> PickerConfig:
    return load_config(HEAD + text, "epp.yaml", CATALOGUE)


def test_without_the_section_the_defaults_apply() -> None:
    policy = flow_policy(default_config(CATALOGUE))
    band = policy.settings.band(0)
    assert isinstance(policy.usage_limits, StaticUsageLimit)
    assert list(policy.usage_limits.ceilings(0.0, (0,))) == [1.0]
    assert isinstance(band.new_fairness(), GlobalStrictFairness)
    assert isinstance(band.ordering, FcfsOrdering)
    assert band.limits == BandLimits(1_000_000_000, 5000)
    assert (policy.settings.default_ttl_s, policy.settings.no_endpoint_ttl_s) == (60.0, None)
    assert (policy.service_books, policy.eviction) == ((), None)


def test_everything_at_once() -> None:
    policy = flow_policy(
        load("""\
plugins:
- type: round-robin-fairness-policy
- type: program-aware-fairness
  name: programs
  parameters: {lasHalfLifeSeconds: 30}
- type: edf-ordering-policy
- type: slo-deadline-ordering-policy
- type: priority-holdback-policy
  name: holdback
  parameters: {minCeiling: 0.5, domain: value}
flowControl:
  maxBytes: 1Gi
  maxRequests: 900
  defaultRequestTTL: 30s
  noEndpointRequestTTL: 5m
  enableEviction: true
  usageLimitPolicyPluginRef: holdback
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, maxRequests: 0}
  defaultNegativePriorityBand: {maxBytes: 10M}
  priorityBands:
  - {priority: 10, orderingPolicyRef: slo-deadline-ordering-policy, fairnessPolicyRef: programs}
  - {priority: -10, orderingPolicyRef: edf-ordering-policy, fairnessPolicyRef: programs}
""")
    )
    settings = policy.settings
    assert settings.limits == BandLimits(max_bytes=2**30, max_requests=900)
    assert (settings.default_ttl_s, settings.no_endpoint_ttl_s) == (30.0, 300.0)
    assert policy.eviction == EvictionSettings(settle_s=0.05 + 0.2 + 0.25)
    assert isinstance(policy.usage_limits, PriorityHoldback)
    assert list(policy.usage_limits.ceilings(0.0, (10, 0, -10))) == [1.0, 0.75, 0.5]
    assert [type(settings.band(p).new_fairness()) for p in (10, 3, 0, -3, -10)] == [
        ProgramAwareFairness,
        RoundRobinFairness,
        RoundRobinFairness,
        GlobalStrictFairness,
        ProgramAwareFairness,
    ]
    assert [type(settings.band(p).ordering) for p in (10, 0, -10)] == [SloDeadlineOrdering, FcfsOrdering, EdfOrdering]
    assert settings.band(0).limits == BandLimits(1_000_000_000, 0)
    assert settings.band(-1).limits == BandLimits(10_000_000, 5000)
    assert len(policy.service_books) == 1, "one book for all bands of one plugin"
    first, second = settings.band(10).new_fairness(), settings.band(10).new_fairness()
    assert first is not second


@pytest.mark.parametrize(
    ("declared", "expected"),
    [("soft-reflective-ceiling-policy", SoftReflectiveCeiling), ("static-usage-limit-policy", StaticUsageLimit)],
)
def test_usage_limits_by_name(declared: str, expected: type[object]) -> None:
    text = f"plugins:\n- type: {declared}\n  name: limit\nflowControl: {{usageLimitPolicyPluginRef: limit}}\n"
    assert isinstance(flow_policy(load(text)).usage_limits, expected)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("{}", "minCeiling"),
        ("{minCeiling: 1.0}", "minCeiling"),
        ("{minCeiling: 0.5, shape: sigmoid}", "linear"),
        ("{minCeiling: 0.9, maxCeiling: 0.5}", "above maxCeiling"),
    ],
)
def test_a_holdback_that_makes_no_sense(parameters: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load(f"plugins:\n- type: priority-holdback-policy\n  parameters: {parameters}\n")
