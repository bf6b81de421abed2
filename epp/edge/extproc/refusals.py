"""The one table from a refusal to HTTP: status, error type, headers, JSON body; and to gRPC: grpc-status, message.

The body is shaped like OpenAI's errors; its message contains the reference's text `inference error: <Code> - <msg>`.
A gRPC client gets the message as `grpc-message`, which Envoy makes of a plain text body, and when to try again as
`grpc-retry-pushback-ms` (gRFC A6).
"""

from typing import NamedTuple

import msgspec

from epp.core.domain.errors import Refusal
from epp.edge.extproc.transport import GrpcStatus

DROPPED_REASON = "x-llm-d-request-dropped-reason"
RETRY_PUSHBACK = "grpc-retry-pushback-ms"


class HttpError(NamedTuple):
    """An HTTP response for a refusal."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    grpc_status: int | None = None
    """of a gRPC request only"""


class _Row(NamedTuple):
    status: int
    type: str
    grpc: GrpcStatus


TABLE: dict[str, _Row] = {
    "BadRequest": _Row(400, "invalid_request_error", GrpcStatus.INVALID_ARGUMENT),
    "Unauthorized": _Row(401, "authentication_error", GrpcStatus.UNAUTHENTICATED),
    "Forbidden": _Row(403, "permission_error", GrpcStatus.PERMISSION_DENIED),
    "NotFound": _Row(404, "not_found_error", GrpcStatus.NOT_FOUND),
    "PreconditionFailed": _Row(412, "precondition_failed_error", GrpcStatus.FAILED_PRECONDITION),
    "PayloadTooLarge": _Row(413, "invalid_request_error", GrpcStatus.RESOURCE_EXHAUSTED),
    "ResourceExhausted": _Row(429, "rate_limit_error", GrpcStatus.RESOURCE_EXHAUSTED),
    "Internal": _Row(500, "server_error", GrpcStatus.INTERNAL),
    "ServiceUnavailable": _Row(503, "service_unavailable_error", GrpcStatus.UNAVAILABLE),
}


def to_http(refusal: Refusal, request_id: str, *, is_grpc: bool = False) -> HttpError:
    """Status, headers and body for a refusal; `request_id` is empty when the request could not be read that far.

    `is_grpc`: the client speaks gRPC.
    """
    row = TABLE[refusal.code]
    if is_grpc:
        return _to_grpc(refusal, row, request_id)
    error = {"message": _message(refusal, request_id), "type": row.type, "param": refusal.param, "code": row.status}
    headers = (("content-type", "application/json"), *_headers(refusal, request_id))
    return HttpError(row.status, headers, msgspec.json.encode({"error": error}))


def _to_grpc(refusal: Refusal, row: _Row, request_id: str) -> HttpError:
    """Without a content type: Envoy makes the gRPC answer of status and text."""
    headers = _headers(refusal, request_id)
    if refusal.retry_after_s is not None:
        headers += ((RETRY_PUSHBACK, str(refusal.retry_after_s * 1000)),)
    return HttpError(row.status, headers, _message(refusal, request_id).encode(), int(row.grpc))


def _message(refusal: Refusal, request_id: str) -> str:
    message = f"inference error: {refusal.code} - {refusal.message}"
    details = [text for text in (refusal.hint, request_id and f"request {request_id}") if text]
    return f"{message} ({'; '.join(details)})" if details else message


def _headers(refusal: Refusal, request_id: str) -> tuple[tuple[str, str], ...]:
    headers = []
    if request_id:
        headers.append(("x-request-id", request_id))
    if refusal.reason is not None:
        headers.append((DROPPED_REASON, refusal.reason.value))
    if refusal.retry_after_s is not None:
        headers.append(("retry-after", str(refusal.retry_after_s)))
    return tuple(headers)
