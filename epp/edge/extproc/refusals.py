"""The one table from a refusal to HTTP: status, error type, headers, JSON body.

The body is shaped like OpenAI's errors; its message contains the reference's text `inference error: <Code> - <msg>`.
"""

from typing import NamedTuple

import msgspec

from epp.core.domain.errors import DroppedReason, Refusal, ServiceUnavailable

DROPPED_REASON = "x-llm-d-request-dropped-reason"


class HttpError(NamedTuple):
    """An HTTP response for a refusal."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Row(NamedTuple):
    status: int
    type: str


TABLE: dict[str, _Row] = {
    "BadRequest": _Row(400, "invalid_request_error"),
    "Unauthorized": _Row(401, "authentication_error"),
    "Forbidden": _Row(403, "permission_error"),
    "NotFound": _Row(404, "not_found_error"),
    "PreconditionFailed": _Row(412, "precondition_failed_error"),
    "PayloadTooLarge": _Row(413, "invalid_request_error"),
    "ResourceExhausted": _Row(429, "rate_limit_error"),
    "Internal": _Row(500, "server_error"),
    "ServiceUnavailable": _Row(503, "service_unavailable_error"),
}


def to_http(refusal: Refusal, request_id: str) -> HttpError:
    """Status, headers and body for a refusal; `request_id` is empty when the request could not be read that far."""
    row = TABLE[refusal.code]
    message = f"inference error: {refusal.code} - {refusal.message}"
    details = [text for text in (refusal.hint, request_id and f"request {request_id}") if text]
    if details:
        message = f"{message} ({'; '.join(details)})"
    body = {"error": {"message": message, "type": row.type, "param": refusal.param, "code": row.status}}
    headers = [("content-type", "application/json")]
    if request_id:
        headers.append(("x-request-id", request_id))
    if refusal.reason is not None:
        headers.append((DROPPED_REASON, refusal.reason.value))
    if refusal.retry_after_s is not None:
        headers.append(("retry-after", str(refusal.retry_after_s)))
    return HttpError(row.status, tuple(headers), msgspec.json.encode(body))


def shutting_down() -> ServiceUnavailable:
    """For a request that waits while the server stops."""
    return ServiceUnavailable(
        "the endpoint picker is shutting down", reason=DroppedReason.SHUTTING_DOWN, retry_after_s=1
    )
