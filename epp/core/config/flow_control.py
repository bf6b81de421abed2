"""`flowControl`: read and checked in full, so that files load; without effect until queues are built."""

from epp.core.config.catalogue import PluginKind
from epp.core.config.parameters import BandDefaults
from epp.core.config.plugins import PluginTable
from epp.core.config.sections import FlowControlSection
from epp.core.config.structure import read_at
from epp.core.yaml import Path

ALWAYS_THERE = frozenset(("global-strict-fairness-policy", "fcfs-ordering-policy", "static-usage-limit-policy"))
"""policies that may be referred to without being declared, as in the reference"""

_SECTION = "flowControl"


def read_flow_control(table: PluginTable) -> FlowControlSection | None:
    """The section; reports unknown policies, policies of the wrong kind and bands that share a priority."""
    section = read_at((_SECTION,), FlowControlSection, table.findings)
    if section is None:
        return None
    limit = section.usage_limit_policy_plugin_ref
    _check((_SECTION, "usageLimitPolicyPluginRef"), limit, PluginKind.USAGE_LIMIT_POLICY, table)
    _check_band((_SECTION, "defaultPriorityBand"), section.default_priority_band, table)
    _check_band((_SECTION, "defaultNegativePriorityBand"), section.default_negative_priority_band, table)
    seen: set[int] = set()
    for index, band in enumerate(section.priority_bands):
        path = (_SECTION, "priorityBands", index)
        _check_band(path, band, table)
        if band.priority in seen:
            table.findings.mistake((*path, "priority"), f"priority {band.priority} has a band already")
        seen.add(band.priority)
    table.findings.notice((_SECTION,), "no effect: flow control is not built yet, requests never wait")
    return section


def _check_band(path: Path, band: BandDefaults, table: PluginTable) -> None:
    _check((*path, "fairnessPolicyRef"), band.fairness_policy_ref, PluginKind.FAIRNESS_POLICY, table)
    _check((*path, "orderingPolicyRef"), band.ordering_policy_ref, PluginKind.ORDERING_POLICY, table)


def _check(path: Path, name: str, kind: PluginKind, table: PluginTable) -> None:
    if name and not (name in ALWAYS_THERE and not table.knows(name)):
        table.refer(path, name, kind)
