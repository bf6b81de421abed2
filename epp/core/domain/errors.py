"""Errors that cross package borders.

PickerError
├── Refusal                    a request is answered with an error; one class per code of the reference
│   ├── BadRequest             the request can never succeed as it is
│   ├── PreconditionFailed     what the request insists on is not so
│   ├── PayloadTooLarge        the body is over the limit
│   ├── ResourceExhausted      saturated: try later
│   ├── ServiceUnavailable     nobody can serve it now
│   └── InternalError          a fault of ours
└── InvalidInput               a file or an object cannot be used; says file, line and field

Codes are mapped to HTTP in exactly one table, `epp.edge.extproc.refusals`.
"""

from enum import Enum


class DroppedReason(Enum):
    """Value of the header `x-llm-d-request-dropped-reason`."""

    SATURATED = "rejected-saturated"
    NO_ENDPOINTS = "rejected-no-endpoints"
    TTL_EXPIRED = "rejected-ttl-expired"
    CONTEXT_CANCELLED = "rejected-context-cancelled"
    SHUTTING_DOWN = "rejected-shutting-down"
    EVICTED = "evicted"


class PickerError(Exception):
    """Base of every error that this project raises on purpose."""


class Refusal(PickerError):
    """A request that gets an error instead of an endpoint.

    `message` is the reference's text; `hint` adds where the fault is and what to do; `retry_after_s` is set when the
    same request may succeed later.
    """

    code = "Internal"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        param: str | None = None,
        reason: DroppedReason | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.reason = reason
        self.retry_after_s = retry_after_s


class BadRequest(Refusal):
    """The request can never succeed as it is: not JSON, no model, wrong types."""

    code = "BadRequest"


class PreconditionFailed(Refusal):
    """What the request insists on is not so."""

    code = "PreconditionFailed"


class PayloadTooLarge(Refusal):
    """The body is over `--max-body-bytes`."""

    code = "PayloadTooLarge"


class ResourceExhausted(Refusal):
    """The pool (or a filter's choice of it) has no room for this request now."""

    code = "ResourceExhausted"


class ServiceUnavailable(Refusal):
    """No endpoint can serve the request now."""

    code = "ServiceUnavailable"


class InternalError(Refusal):
    """A fault of the picker itself."""

    code = "Internal"


class InvalidInput(PickerError):
    """A file or object that cannot be used; the last good one stays in force."""

    def __init__(self, source: str, problem: str, *, line: int | None = None, field: str = "") -> None:
        self.source = source
        self.problem = problem
        self.line = line
        self.field = field
        super().__init__(source, problem, line, field)

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.field}: {self.problem}" if self.field else f"{where}: {self.problem}"
