"""Loads an EndpointPickerConfig: every dialect from v1.0 of the reference on, every mistake at once."""

from epp.core.config.attributes import check_attributes
from epp.core.config.built_in_policies import DEFAULT_POLICY, POLICIES
from epp.core.config.catalogue import Catalogue
from epp.core.config.data_layer import read_data_layer
from epp.core.config.flow_control import read_flow_control
from epp.core.config.gates import read_gates
from epp.core.config.handlers import resolve_references
from epp.core.config.mistakes import Findings, did_you_mean
from epp.core.config.multicluster import check_scorers, judge_clusters
from epp.core.config.needs import NeedResolver
from epp.core.config.parsers import read_parsers
from epp.core.config.plugins import PluginTable
from epp.core.config.profiles import choose_handler, read_profiles
from epp.core.config.request_control import read_request_control
from epp.core.config.saturation import read_saturation
from epp.core.config.sections import TOP_LEVEL
from epp.core.config.settings import PickerConfig
from epp.core.config.single_document import single_document
from epp.core.config.structure import check_keys

API_VERSION = "llm-d.ai/v1alpha1"
NEXT_API_VERSION = "llm-d.ai/v1"
"""the same fields, but for where some of `dataLayer` are"""
OLD_API_VERSION = "inference.networking.x-k8s.io/v1alpha1"
KIND = "EndpointPickerConfig"


def built_in_policy(name: str, catalogue: Catalogue) -> PickerConfig:
    """The settings of a built-in policy; raises KeyError."""
    return load_config(POLICIES[name], f"built-in policy {name}", catalogue)


def default_config(catalogue: Catalogue) -> PickerConfig:
    """What applies without a configuration."""
    return built_in_policy(DEFAULT_POLICY, catalogue)


def load_config(
    text: str | bytes, source: str, catalogue: Catalogue, *, allow_experimental: bool = True
) -> PickerConfig:
    """The settings that `text` resolves to; `source` names it in messages. Raises ConfigurationError.

    Experimental plugin types get a notice, or are a mistake where they are not allowed.
    """
    findings = Findings(single_document(text, source, KIND))
    _check_head(findings)
    table = PluginTable(catalogue, findings, allow_experimental=allow_experimental)
    table.read()
    gates = read_gates(findings)
    profiles = read_profiles(table)
    handler = choose_handler(table)
    request_control = read_request_control(table)
    consumers = [name for profile in profiles for name in profile.plugin_names]
    deciders = resolve_references(handler, profiles, table)
    unasked = table.unasked()
    needed = NeedResolver(table).resolve((*consumers, handler, *deciders, *request_control.plugin_names, *unasked))
    producers = (*needed, *(name for name in unasked if name not in needed))
    flow_control = read_flow_control(table, gates)
    data_layer = read_data_layer(table)
    saturation = judge_clusters(table, data_layer.metrics, read_saturation(table, flow_control))
    check_scorers(table, data_layer.metrics)
    attributes_read = check_attributes(table, data_layer.metrics)
    parsers = read_parsers(table)
    table.note_idle()
    findings.raise_mistakes()
    return PickerConfig(
        source=source,
        gates=gates,
        plugins=table.settings(),
        profiles=profiles,
        handler=handler,
        deciders=deciders,
        producers=producers,
        saturation=saturation,
        metrics=data_layer.metrics,
        discovery=data_layer.discovery,
        parsers=parsers,
        flow_control=flow_control,
        request_control=request_control,
        attributes_read=attributes_read,
        notices=tuple(findings.notices),
    )


def _check_head(findings: Findings) -> None:
    head = findings.document.value
    if not isinstance(head, dict):
        return
    check_keys(head, TOP_LEVEL, (), findings)
    version, kind = head.get("apiVersion"), head.get("kind")
    if version is None:
        findings.mistake((), "the field 'apiVersion' is missing", f"add `apiVersion: {API_VERSION}`")
    elif version == OLD_API_VERSION:
        findings.notice(("apiVersion",), f"{OLD_API_VERSION} is deprecated; write {API_VERSION}")
    elif version not in (API_VERSION, NEXT_API_VERSION):
        suggestion = did_you_mean(str(version), (API_VERSION, NEXT_API_VERSION, OLD_API_VERSION))
        findings.mistake(("apiVersion",), f"{version!r} is not a known version", suggestion)
    if kind is None:
        findings.mistake((), "the field 'kind' is missing", f"add `kind: {KIND}`")
    elif kind != KIND:
        findings.mistake(("kind",), f"{kind!r} is not {KIND}", f"write `kind: {KIND}`")
