"""Every error an API server answers with, as a Status object: one tree, one constructor for each reason.

ApiError is the only exception that crosses module borders in this package; its texts are those that clients match on.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json


class Cause(msgspec.Struct, frozen=True):
    """One wrong field of a 422."""

    field: str
    reason: str
    """FieldValueRequired, FieldValueInvalid, FieldValueForbidden, FieldValueDuplicate, ..."""
    message: str
    """`Required value`, `Invalid value: 0: must be greater than 0`, ..."""


class ApiError(Exception):
    """A refused request: HTTP status, reason, message and details of the Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        *,
        headers: dict[str, str] | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}
        self.continue_token = continue_token

    def status(self) -> Json:
        """The Status object."""
        found: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }
        return {name: value for name, value in found.items() if value not in ("", None)}


class PageNotFound(Exception):
    """A path that nothing serves: answered as plain text, as the server's router does."""


def qualified(resource: str, group: str) -> str:
    """`pods`, `leases.coordination.k8s.io`: how messages name a resource or a kind."""
    return f"{resource}.{group}" if group else resource


def not_found(resource: str, group: str, name: str) -> ApiError:
    """404 of an object."""
    return ApiError(
        404, "NotFound", f'{qualified(resource, group)} "{name}" not found', _details(resource, group, name)
    )


def already_exists(resource: str, group: str, name: str) -> ApiError:
    """409 of a create."""
    text = f'{qualified(resource, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _details(resource, group, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: str, group: str, name: str, problem: str = MODIFIED) -> ApiError:
    """409 of an update, a patch or a precondition."""
    text = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {problem}'
    return ApiError(409, "Conflict", text, _details(resource, group, name))


def apply_conflict(message: str, causes: Sequence[Cause]) -> ApiError:
    """409 of a server-side apply, with the fields that others own."""
    return ApiError(409, "Conflict", message, {"causes": [msgspec.to_builtins(cause) for cause in causes]})


def forbidden(resource: str, group: str, name: str, problem: str, causes: Sequence[Cause] = ()) -> ApiError:
    """403, by authorisation or by admission."""
    subject = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    details = _details(resource, group, name)
    if causes:
        details["causes"] = [msgspec.to_builtins(cause) for cause in causes]
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {problem}", details)


def forbidden_path(problem: str) -> ApiError:
    """403 of a path that is no resource."""
    return ApiError(403, "Forbidden", f"forbidden: {problem}", {})


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422 that names every wrong field."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    problem = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(kind, group, name)
    details["causes"] = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return ApiError(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {problem}', details)


def method_not_allowed(action: str, resource: str, group: str) -> ApiError:
    """405: the resource exists, the verb does not."""
    text = f'{action} is not supported on resources of kind "{qualified(resource, group)}"'
    return ApiError(405, "MethodNotAllowed", text, _details(resource, group, ""))


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415."""
    listed = ", ".join(accepted)
    text = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    return ApiError(415, "UnsupportedMediaType", text)


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    """406."""
    text = f"only the following media types are accepted: {', '.join(accepted)}"
    return ApiError(406, "NotAcceptable", text)


def expired(message: str, continue_token: str = "") -> ApiError:
    """410: a version, or a continue token, older than what is kept."""
    return ApiError(410, "Expired", message, continue_token=continue_token)


def too_large_version(wanted: int, current: int) -> ApiError:
    """504: a version that the server has not reached."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {wanted}, current: {current}", details)


def too_many_requests(retry_after_s: int) -> ApiError:
    """429 with Retry-After."""
    text = "the server has received too many requests and has asked us to try again later"
    details = {"retryAfterSeconds": retry_after_s}
    return ApiError(429, "TooManyRequests", text, details, headers={"Retry-After": str(retry_after_s)})


def internal_error(problem: str) -> ApiError:
    """500 with a reason."""
    details = {"causes": [{"message": problem}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {problem}", details)


def required(field: str, detail: str = "") -> Cause:
    """A field that must be there."""
    return Cause(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def wrong_value(field: str, value: Any, problem: str) -> Cause:
    """A field with a value that cannot be."""
    shown = msgspec.json.encode(value).decode() if not isinstance(value, dict | list) else _compact(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {problem}")


def forbidden_field(field: str, problem: str) -> Cause:
    """A field that must not be there, or must not change."""
    return Cause(field, "FieldValueForbidden", f"Forbidden: {problem}")


def _compact(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _details(kind: str, group: str, name: str) -> Json:
    found = {"name": name, "group": group, "kind": kind}
    return {key: value for key, value in found.items() if value}
