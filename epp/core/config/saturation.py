"""`saturationDetector`: thresholds (v1.2 to v1.4), or the name of a detector (v1.5).

Both mean the same here: saturation is the mean over the endpoints of max(queue / queueDepthThreshold,
kv usage / kvCacheUtilThreshold), and the pool is full at 1.0. A name may also be that of a concurrency-detector.
"""

import msgspec

from epp.core.config.catalogue import PluginKind
from epp.core.config.flow_parameters import ConcurrencyDetectorParameters
from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.config.plugins import Declared, PluginTable
from epp.core.config.sections import FlowControlSection, SaturationSection
from epp.core.config.settings import parameters_as
from epp.core.config.settings_types import CONCURRENCY_DETECTOR, STALENESS_IS_A_FLAG, UTILIZATION_DETECTOR
from epp.core.config.structure import read_at, value_at

DetectorParameters = UtilizationDetectorParameters | ConcurrencyDetectorParameters
_SECTION = "saturationDetector"
_DEFAULT = UtilizationDetectorParameters()


def read_saturation(table: PluginTable, flow_control: FlowControlSection | None) -> DetectorParameters:
    """The detector in force; reports a detector that is given in two ways."""
    findings = table.findings
    section = read_at((_SECTION,), SaturationSection, findings)
    inner = flow_control.saturation_detector if flow_control else None
    if inner is not None:
        if value_at((_SECTION,), findings) is not None:
            findings.mistake((_SECTION,), "the file also has `flowControl.saturationDetector`", "remove one of the two")
        path = ("flowControl", _SECTION, "pluginRef")
        return _parameters(_detector(table, path, inner.plugin_ref))
    if section is None:
        return _parameters(table.first_of_type(UTILIZATION_DETECTOR))
    thresholds = {
        field: value
        for field, value in msgspec.structs.asdict(section).items()
        if field != "plugin_ref" and value is not None
    }
    if section.plugin_ref:
        if thresholds:
            findings.mistake((_SECTION,), "thresholds and `pluginRef` exclude one another", "move them to the plugin")
        return _parameters(_detector(table, (_SECTION, "pluginRef"), section.plugin_ref))
    if section.metrics_staleness_threshold is not None:
        findings.notice((_SECTION, "metricsStalenessThreshold"), f"no effect: {STALENESS_IS_A_FLAG}")
    return msgspec.structs.replace(_DEFAULT, **thresholds)


def _detector(table: PluginTable, path: tuple[str, ...], name: str) -> Declared | None:
    if name == UTILIZATION_DETECTOR and not table.knows(name):
        return None
    return table.refer(path, name, PluginKind.SATURATION_DETECTOR)


def _parameters(detector: Declared | None) -> DetectorParameters:
    if detector is None:
        return _DEFAULT
    if detector.settings.type == CONCURRENCY_DETECTOR:
        return parameters_as(ConcurrencyDetectorParameters, detector.settings)
    return parameters_as(UtilizationDetectorParameters, detector.settings)
