"""What waits: one request with everything that flow control may look at, read once when it arrives."""

import math
from collections.abc import Mapping, Sequence

import msgspec

from epp.core.domain.request import InferenceRequest

SLO_TTFT_MS = ("x-llm-d-slo-ttft-ms", "x-slo-ttft-ms")
"""wanted time to the first token; names of the reference, the newer one first"""
QUEUE_TTL_MS = ("x-llm-d-request-ttl-ms", "x-gateway-request-ttl-ms")
"""how long the client is ready to wait, counted from the arrival of the request; the reference has no such header"""

_MOST_DIGITS = 12
"""30 years of milliseconds; a longer number is no deadline"""


class FlowKey(msgspec.Struct, frozen=True):
    """A flow: the requests of one tenant at one priority."""

    fairness_id: str
    priority: int


class FlowItem(msgspec.Struct, frozen=True, eq=False):
    """One request on its way through flow control; told apart by identity."""

    request: InferenceRequest
    key: FlowKey
    body_bytes: int
    received_at: float
    """monotonic seconds"""
    slo_ttft_s: float | None = None
    ttl_s: float | None = None
    """the request's own budget, from `received_at`; 0 means go at once or not at all"""

    @classmethod
    def of(cls, request: InferenceRequest, received_at: float) -> "FlowItem":
        """The item of a request whose priority is final."""
        return cls(
            request=request,
            key=FlowKey(request.fairness_id, request.priority),
            body_bytes=request.body_bytes,
            received_at=received_at,
            slo_ttft_s=_seconds(request.headers, SLO_TTFT_MS),
            ttl_s=own_budget_s(request),
        )

    @property
    def deadline(self) -> float:
        """When the request itself wants to be given up, in monotonic seconds; infinity when it does not say."""
        return math.inf if self.ttl_s is None else self.received_at + self.ttl_s


def own_budget_s(request: InferenceRequest) -> float | None:
    """How long the client is ready to wait, in seconds from the arrival; None when it does not say."""
    return _seconds(request.headers, QUEUE_TTL_MS)


def _seconds(headers: Mapping[str, str], names: Sequence[str]) -> float | None:
    """The first header that is there; None also for what is no whole number of milliseconds, as in the reference."""
    for name in names:
        text = headers.get(name)
        if text is not None:
            digits = text.strip()
            fits = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
            return int(digits) / 1000 if fits else None
    return None
