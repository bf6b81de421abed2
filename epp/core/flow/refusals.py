"""The refusals of flow control, with the texts of the reference. 429: capacity is contended; 503: there is none."""

from epp.core.domain.errors import (
    DroppedReason,
    InternalError,
    Refusal,
    ResourceExhausted,
    ServiceUnavailable,
)

NO_ENDPOINT = "no ready endpoint"


def no_room(limit: str, *, has_endpoints: bool) -> Refusal:
    """The queue is full; `limit` names which limit was met."""
    if has_endpoints:
        return ResourceExhausted(
            "request rejected by flow control", hint=limit, reason=DroppedReason.SATURATED, retry_after_s=1
        )
    return ServiceUnavailable(
        "no endpoints available: request rejected by flow control",
        hint=f"the pool has {NO_ENDPOINT}, and {limit}",
        reason=DroppedReason.NO_ENDPOINTS,
        retry_after_s=1,
    )


def timed_out(waited_s: float, *, has_endpoints: bool) -> Refusal:
    """The waiting time is over."""
    text = f"request timed out in queue: waited {waited_s:.3f} s"
    if has_endpoints:
        return ResourceExhausted(text, hint="the pool is saturated", reason=DroppedReason.TTL_EXPIRED, retry_after_s=1)
    return ServiceUnavailable(
        text, hint=f"the pool has {NO_ENDPOINT}", reason=DroppedReason.NO_ENDPOINTS, retry_after_s=1
    )


def client_gone(waited_s: float) -> Refusal:
    """Nobody reads it; it is there for metrics and the log."""
    return ServiceUnavailable(
        f"client disconnected: waited {waited_s:.3f} s in queue", reason=DroppedReason.CONTEXT_CANCELLED
    )


def shutting_down() -> Refusal:
    """The picker ends."""
    return ServiceUnavailable(
        "the endpoint picker is shutting down", reason=DroppedReason.SHUTTING_DOWN, retry_after_s=1
    )


def fault(error: Exception) -> Refusal:
    """Scheduling a request that had been queued raised something that is no Refusal: the cause of the result."""
    return _caused_by(error, "internal flow control error: the request could not be scheduled")


def unscheduled(error: Exception) -> Refusal:
    """The same for a request that was not queued."""
    return _caused_by(error, "the request could not be scheduled")


def _caused_by(error: Exception, message: str) -> Refusal:
    refusal = InternalError(message, hint="a scheduling plugin raised an error")
    refusal.__cause__ = error
    return refusal


def evicted() -> Refusal:
    """A dispatched request is broken off for one that matters more."""
    return ResourceExhausted(
        "request evicted to make room for requests of higher priority",
        hint="requests of priority below 0 may be broken off while the pool is saturated",
        reason=DroppedReason.EVICTED,
        retry_after_s=1,
    )
