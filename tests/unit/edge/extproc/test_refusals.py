"""The one table from a refusal to HTTP."""

import msgspec
import pytest

from epp.core.domain.errors import (
    BadRequest,
    DroppedReason,
    InternalError,
    PayloadTooLarge,
    Refusal,
    ResourceExhausted,
    ServiceUnavailable,
)
from epp.edge.extproc.refusals import TABLE, to_http


class OpenAiError(msgspec.Struct, forbid_unknown_fields=True):
    """`error` of OpenAI's API."""

    message: str
    type: str
    param: str | None
    code: int


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an error."""

    error: OpenAiError


def error_in(body: bytes) -> OpenAiError:
    return msgspec.json.decode(body, type=Answer).error


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (BadRequest("no model"), 400, "invalid_request_error"),
        (PayloadTooLarge("long"), 413, "invalid_request_error"),
        (ResourceExhausted("full"), 429, "rate_limit_error"),
        (InternalError("fault"), 500, "server_error"),
        (ServiceUnavailable("nobody"), 503, "service_unavailable_error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_refusal(refusal: Refusal, status: int, kind: str) -> None:
    http = to_http(refusal, "")
    assert http.status == status
    assert http.headers == (("content-type", "application/json"),)
    error = error_in(http.body)
    assert error == OpenAiError(f"inference error: {refusal.code} - {refusal.message}", kind, None, status)


@pytest.mark.parametrize(
    ("code", "status"),
    [("Unauthorized", 401), ("Forbidden", 403), ("NotFound", 404), ("PreconditionFailed", 412)],
)
def test_codes_of_the_reference_that_plugins_may_use(code: str, status: int) -> None:
    refusal = Refusal("no")
    refusal.code = code
    http = to_http(refusal, "")
    assert http.status == error_in(http.body).code == status
    assert error_in(http.body).message == f"inference error: {code} - no"


def test_every_kind_of_refusal_has_a_row() -> None:
    kinds = [Refusal]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.code in TABLE


def test_hint_and_request_id_follow_the_text_of_the_reference() -> None:
    http = to_http(BadRequest("model not found", hint="name a model", param="model"), "r-1")
    error = error_in(http.body)
    assert error.message == "inference error: BadRequest - model not found (name a model; request r-1)"
    assert error.param == "model"
    assert ("x-request-id", "r-1") in http.headers


@pytest.mark.parametrize(("hint", "request_id", "tail"), [("h", "", " (h)"), ("", "r", " (request r)"), ("", "", "")])
def test_only_what_is_known_is_said(hint: str, request_id: str, tail: str) -> None:
    assert error_in(to_http(BadRequest("no", hint=hint), request_id).body).message.endswith(f"no{tail}")


@pytest.mark.parametrize("reason", list(DroppedReason))
def test_the_reason_of_a_dropped_request(reason: DroppedReason) -> None:
    headers = dict(to_http(ServiceUnavailable("no", reason=reason), "").headers)
    assert headers["x-llm-d-request-dropped-reason"] == reason.value


def test_retry_after() -> None:
    assert dict(to_http(ResourceExhausted("full", retry_after_s=3), "").headers)["retry-after"] == "3"
    assert "retry-after" not in dict(to_http(ResourceExhausted("full"), "").headers)


def test_a_message_may_hold_anything() -> None:
    text = 'quote " backslash \\ line\n caf\xe9 日本'
    assert text in error_in(to_http(BadRequest(text), "r").body).message


@pytest.mark.parametrize(
    ("code", "grpc_status"),
    [
        ("BadRequest", 3),
        ("Unauthorized", 16),
        ("Forbidden", 7),
        ("NotFound", 5),
        ("PreconditionFailed", 9),
        ("PayloadTooLarge", 8),
        ("ResourceExhausted", 8),
        ("Internal", 13),
        ("ServiceUnavailable", 14),
    ],
)
def test_what_a_grpc_client_gets(code: str, grpc_status: int) -> None:
    refusal = Refusal("no", hint="try this", reason=DroppedReason.SATURATED, retry_after_s=2)
    refusal.code = code
    answer = to_http(refusal, "r-1", is_grpc=True)
    assert (answer.status, answer.grpc_status) == (TABLE[code].status, grpc_status)
    assert answer.body.decode() == f"inference error: {code} - no (try this; request r-1)"
    assert dict(answer.headers) == {
        "x-request-id": "r-1",
        "x-llm-d-request-dropped-reason": "rejected-saturated",
        "retry-after": "2",
        "grpc-retry-pushback-ms": "2000",
    }
