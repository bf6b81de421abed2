"""`flowControl`: queues before the scheduler. Without the feature gate it is checked and has no effect."""

from epp.core.config.catalogue import PluginKind
from epp.core.config.plugins import PluginTable
from epp.core.config.sections import FlowControlSection
from epp.core.config.settings import FeatureGates
from epp.core.config.structure import read_at, value_at
from epp.core.yaml import Path

ALWAYS_THERE = frozenset(("global-strict-fairness-policy", "fcfs-ordering-policy", "static-usage-limit-policy"))
"""policies that may be referred to without being declared, as in the reference"""

_SECTION = "flowControl"


def read_flow_control(table: PluginTable, gates: FeatureGates) -> FlowControlSection | None:
    """The section; reports unknown policies, policies of the wrong kind and bands that share a priority."""
    findings = table.findings
    section = read_at((_SECTION,), FlowControlSection, findings)
    _check((_SECTION, "usageLimitPolicyPluginRef"), PluginKind.USAGE_LIMIT_POLICY, table)
    bands = value_at((_SECTION, "priorityBands"), findings)
    seen: dict[object, int] = {}
    for index, band in enumerate(bands if isinstance(bands, list) else ()):
        path = (_SECTION, "priorityBands", index)
        _check_band(path, table)
        priority = band.get("priority") if isinstance(band, dict) else None
        if isinstance(priority, int) and seen.setdefault(priority, index) != index:
            problem = f"priority {priority} has a band already, priorityBands[{seen[priority]}]"
            findings.mistake((*path, "priority"), problem)
    for name in ("defaultPriorityBand", "defaultNegativePriorityBand"):
        _check_band((_SECTION, name), table)
    if section is not None and not gates.flow_control:
        findings.notice((_SECTION,), "no effect without `featureGates: [flowControl]`: requests never wait")
    return section


def _check_band(path: Path, table: PluginTable) -> None:
    _check((*path, "fairnessPolicyRef"), PluginKind.FAIRNESS_POLICY, table)
    _check((*path, "orderingPolicyRef"), PluginKind.ORDERING_POLICY, table)


def _check(path: Path, kind: PluginKind, table: PluginTable) -> None:
    """Looks at the text itself, so that a fault elsewhere in the section does not hide a wrong reference."""
    name = value_at(path, table.findings)
    if isinstance(name, str) and name and (name not in ALWAYS_THERE or table.knows(name)):
        table.refer(path, name, kind)
