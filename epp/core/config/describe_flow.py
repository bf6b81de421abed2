"""Flow control as a person reads it: who may wait, for how long, and who goes first."""

from collections.abc import Iterator

from epp.core.config.flow_parameters import (
    DEFAULT_BAND_BYTES,
    DEFAULT_BAND_REQUESTS,
    DEFAULT_FAIRNESS,
    DEFAULT_ORDERING,
    DEFAULT_TTL_S,
    DEFAULT_USAGE_LIMIT,
)
from epp.core.config.parameters import BandDefaults
from epp.core.config.sections import FlowControlSection


def describe_flow(section: FlowControlSection) -> Iterator[str]:
    """Lines for `epp check`."""
    ttl_s = DEFAULT_TTL_S if section.default_request_ttl is None else float(section.default_request_ttl)
    no_endpoint = section.no_endpoint_request_ttl
    yield (
        f"  flow control: {_room(int(section.max_requests), int(section.max_bytes))}; a request waits {_wait(ttl_s)}, "
        f"{_wait(ttl_s if no_endpoint is None else float(no_endpoint))} while the pool has no endpoint"
    )
    yield f"    usage limit {section.usage_limit_policy_plugin_ref or DEFAULT_USAGE_LIMIT}"
    for band in sorted(section.priority_bands, key=lambda band: -band.priority):
        yield f"    priority {band.priority}: {_band(band)}"
    yield f"    other priorities from 0: {_band(section.default_priority_band)}"
    yield f"    other priorities below 0: {_band(section.default_negative_priority_band)}"
    if section.enable_eviction:
        when = "whenever" if section.evict_after_response_headers else "before their answer has begun"
        yield f"    requests below 0 are broken off for higher ones, {when}"


def _band(band: BandDefaults) -> str:
    requests = DEFAULT_BAND_REQUESTS if band.max_requests is None else int(band.max_requests)
    size = DEFAULT_BAND_BYTES if band.max_bytes is None else int(band.max_bytes)
    fairness, ordering = band.fairness_policy_ref or DEFAULT_FAIRNESS, band.ordering_policy_ref or DEFAULT_ORDERING
    return f"{_room(requests, size)}; {fairness}, {ordering}"


def _room(requests: int, size: int) -> str:
    limits = [f"{requests} requests" if requests else "", f"{size} bytes" if size else ""]
    return f"at most {' and '.join(filter(None, limits))} wait" if any(limits) else "any number may wait"


def _wait(seconds: float) -> str:
    return f"at most {seconds:g} s" if seconds else "without limit"
