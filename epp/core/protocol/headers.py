"""Names of headers that have a meaning here, and what is changed on a routed request."""

from typing import Final

from epp.core.protocol.events import Headers

DESTINATION: Final = "x-gateway-destination-endpoint"
"""also the key in the dynamic metadata of namespace `envoy.lb` (endpoint picker protocol, proposal 004)"""
METADATA_NAMESPACE: Final = "envoy.lb"
"""of the dynamic metadata"""
DESTINATION_SCORES: Final = "x-gateway-destination-endpoint-scores"
"""key in the same metadata, with --emit-endpoint-scores: a number by destination"""
PICKED_BY: Final = "x-picked-by"
"""lets a route tell picked requests from those that passed by the picker (FailClose)"""
PICKED_BY_VALUE: Final = "epp"
REQUEST_ID: Final = "x-request-id"
FAIRNESS_ID: Final = ("x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id")
LONGEST_NUMBER: Final = 18
"""digits; below 2**63"""
CONTROL_HEADERS: Final = (
    "x-gateway-destination-endpoint-subset",
    "x-gateway-destination-endpoint-served",
    "x-gateway-inference-objective",
    "x-llm-d-inference-objective",
    *FAIRNESS_ID,
    "x-gateway-model-name-rewrite",
    "x-llm-d-model-name-rewrite",
    "x-prefiller-host-port",
    "x-prefiller-url",
    "x-encoder-hosts-ports",
    "x-data-parallel-host-port",
    "x-kv-cache-source-host-port",
)
"""ours or the picker's word to the sidecar: removed when a client sent them, because a sidecar calls whom they name"""
_CONTROL_SET: Final = frozenset(CONTROL_HEADERS)


_FREQUENT: Final = {str(number): number for number in range(1_000)}


def whole_number(text: str) -> int | None:
    """`content-length` or `:status` as a number; None when it is absent or anything but at most 18 ASCII digits."""
    number = _FREQUENT.get(text)
    if number is not None:
        return number
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else None


def control_headers_in(headers: Headers) -> tuple[str, ...]:
    """Those of CONTROL_HEADERS that the client sent."""
    if _CONTROL_SET.isdisjoint(headers):
        return ()
    return tuple(name for name in CONTROL_HEADERS if name in headers)
