"""Why an API server did not do what it was asked.

ApiError
├── Unreachable       no answer, or one that broke off
│   └── Silent            a watch says nothing any more
└── StatusError       an answer with an error status
    ├── Unauthorized      401: credentials are missing, expired or unknown
    ├── Forbidden         403: RBAC gives no right to it
    ├── NotFound          404: no such object, or no such resource because its CRD is not installed
    ├── Conflict          409: somebody else changed or created the object first
    ├── Gone              410: the version to go on from is too old, everything has to be listed anew
    └── TooManyRequests   429: ask later

Errors of the HTTP library end here, and answers that are no Status object are not repeated in messages.
"""

from http import HTTPStatus

import msgspec

from epp.core.domain.errors import PickerError
from epp.edge.objects.kubernetes.messages import Status


class ApiError(PickerError):
    """Base of all."""

    retry_after_s: float | None = None
    """how long the server wants to be left alone"""


class Unreachable(ApiError):
    """No answer, or one that broke off."""


class Silent(Unreachable):
    """A watch says nothing any more, not even that nothing happens."""


class StatusError(ApiError):
    """An answer with an error status."""

    def __init__(self, status: int, asked: str, message: str, retry_after_s: float | None = None) -> None:
        """`asked` is method and path, `message` the server's own words if it sent any."""
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s
        super().__init__(f"{asked}: {status} {_phrase(status)}" + (f": {message}" if message else ""))


class Unauthorized(StatusError):
    """401."""


class Forbidden(StatusError):
    """403."""


class NotFound(StatusError):
    """404."""


class Conflict(StatusError):
    """409."""


class Gone(StatusError):
    """410."""


class TooManyRequests(StatusError):
    """429."""


_BY_STATUS: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    429: TooManyRequests,
}


def status_error(status: int, asked: str, body: bytes, retry_after: str = "") -> StatusError:
    """The error for an answer with `status`; `retry_after` is that header."""
    try:
        told = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = Status()
    seconds = float(retry_after) if retry_after.isdecimal() else told.retry_after_s
    return _BY_STATUS.get(status, StatusError)(status, asked, told.message, seconds)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
