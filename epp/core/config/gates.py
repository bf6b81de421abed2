"""`featureGates`: `name` or `name=true|false`. Who asks for what the picker does not do gets a notice."""

import msgspec

from epp.core.config.mistakes import Findings, did_you_mean
from epp.core.config.settings import FeatureGates
from epp.core.config.structure import read_entries
from epp.core.yaml import Path


class Gate(msgspec.Struct, frozen=True):
    """A known gate."""

    field: str
    """attribute of FeatureGates"""
    ours: bool | None = None
    """the only way the picker works; None when it can do both"""
    notice: str = ""
    """for a file that asks for the other way"""


GATES = {
    "flowControl": Gate("flow_control"),
    "dataLayer": Gate("data_layer", ours=True, notice="the data layer cannot be turned off"),
    "prepareDataPlugins": Gate("prepare_data_plugins", ours=True, notice="producers always run before scorers"),
    "enableLegacyMetrics": Gate(
        "enable_legacy_metrics", ours=False, notice="only the current metric names are written"
    ),
    "haPopulateNonLeaderDatastore": Gate(
        "ha_populate_non_leader_datastore", ours=True, notice="every replica always follows the objects"
    ),
}
_VALUES = {"true": True, "false": False}


def read_gates(findings: Findings) -> FeatureGates:
    """The gates in force; reports unknown ones, values other than true and false, and gates given twice."""
    given: dict[str, bool] = {}
    for path, text in read_entries(("featureGates",), str, findings):
        name, has_value, value = text.partition("=")
        gate = GATES.get(name)
        if gate is None:
            findings.mistake(path, f"there is no feature gate {name!r}", did_you_mean(name, GATES))
        elif has_value and value.lower() not in _VALUES:
            findings.mistake(path, f"{value!r} is neither true nor false")
        elif gate.field in given:
            findings.mistake(path, f"the feature gate {name!r} is given twice")
        else:
            given[gate.field] = _VALUES[value.lower()] if has_value else True
            _note(gate, path, given[gate.field], findings)
    return FeatureGates(**given)


def _note(gate: Gate, path: Path, value: bool, findings: Findings) -> None:
    if gate.ours is not None and value is not gate.ours:
        findings.notice(path, f"no effect: {gate.notice}")
