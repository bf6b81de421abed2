"""A configuration as a person reads it: what was declared, what was filled in, what has no effect."""

from collections.abc import Iterator

import msgspec

from epp.core.config.describe_flow import describe_flow
from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.config.sections import FlowControlSection
from epp.core.config.settings import PickerConfig, ProfileSettings


def describe(config: PickerConfig) -> list[str]:
    """Lines of the resolved policy, for `epp check`."""
    return [config.source, *_policy(config), *_surroundings(config), *_notices(config)]


def _policy(config: PickerConfig) -> Iterator[str]:
    control = config.request_control
    for kind, names in (
        ("request headers", control.request_header_processors),
        ("screener", control.screeners),
        ("admitter", control.admitters),
        ("response headers", control.response_header_processors),
        ("reporter", control.reporters),
    ):
        for name in names:
            yield f"  {kind} {_name(config, name)}{_parameters(config, name)}"
    yield f"  profile handler: {_name(config, config.handler)}{_parameters(config, config.handler)}"
    for name in config.deciders:
        yield f"  decider {_name(config, name)}{_parameters(config, name)}"
    for profile in config.profiles:
        yield from _profile(config, profile)
    for name in config.producers:
        yield f"  producer {_name(config, name)}{_parameters(config, name)}"


def _profile(config: PickerConfig, profile: ProfileSettings) -> Iterator[str]:
    yield f"  profile {profile.name}"
    for name in profile.filters:
        yield f"    filter {_name(config, name)}{_parameters(config, name)}"
    for scorer in profile.scorers:
        name = scorer.name
        needs = "".join(f", reads {need}" for need in config.plugin(name).needs)
        yield f"    scorer {_name(config, name)}, weight {scorer.weight:g}{needs}{_parameters(config, name)}"
    yield f"    picker {_name(config, profile.picker)}{_parameters(config, profile.picker)}"


def _surroundings(config: PickerConfig) -> Iterator[str]:
    yield f"  saturated at {_limits(config)} on the average endpoint"
    if config.gates.flow_control:
        yield from describe_flow(config.flow_control or FlowControlSection())
    if config.metrics is None:
        yield "  metrics: nothing is scraped"
    else:
        page, engine = config.metrics.source, f"engine {config.metrics.extractor.default_engine}"
        if config.metrics.clusters is not None:
            engine = "averages of the cluster's picker"
        port = "<endpoint port>" if page.port is None else page.port
        yield f"  metrics: {page.scheme}://<endpoint>:{port}{page.path}, {engine}"
        for described in config.metrics.extractor.engine_configs:
            for metric in described.custom_metrics:
                yield f"    attribute {metric.attribute_key}: {metric.metric_spec} of engine {described.name}"
    if config.discovery is not None:
        yield f"  endpoints from the file {config.discovery.path}{', watched' if config.discovery.watch_file else ''}"
    if config.parsers:
        yield f"  parsers: {', '.join(config.parsers)}"


def _limits(config: PickerConfig) -> str:
    limits = config.saturation
    if isinstance(limits, UtilizationDetectorParameters):
        return f"queue {limits.queue_depth_threshold} or KV cache {limits.kv_cache_util_threshold:g}"
    requests = f"{limits.max_concurrency} requests of ours"
    tokens = f"{limits.max_token_concurrency} prompt tokens of ours"
    return {"requests": requests, "tokens": tokens, "hybrid": f"{requests} or {tokens}"}[limits.concurrency_mode]


def _notices(config: PickerConfig) -> Iterator[str]:
    for notice in config.notices:
        yield f"  notice: {notice}"


def _name(config: PickerConfig, name: str) -> str:
    settings = config.plugin(name)
    kind = "" if settings.type == name else f" ({settings.type})"
    return f"{name}{kind}{'' if settings.line else ' (filled in)'}"


def _parameters(config: PickerConfig, name: str) -> str:
    """The parameters that differ from their defaults, as they are written in the file."""
    parameters = config.plugin(name).parameters
    given = []
    for field in msgspec.structs.fields(parameters):
        value = getattr(parameters, field.name)
        if value != field.default and value not in config.plugin(name).needs:
            given.append(f"{field.encode_name}={msgspec.json.encode(value, enc_hook=float).decode()}")
    return f" [{', '.join(given)}]" if given else ""
