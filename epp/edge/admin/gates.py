"""Who may see /metrics and /debug: everybody, holders of a token in a file, whom the API server lets in, or nobody."""

import hmac
import ipaddress
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import msgspec

from epp.core.domain.errors import InvalidInput
from epp.core.domain.ports import AccessReviewer

OPTION = "--metrics-token-file"


class Denial(msgspec.Struct, frozen=True):
    """Why a request is not let in."""

    message: str
    status: HTTPStatus = HTTPStatus.UNAUTHORIZED


class Gate(Protocol):
    """Decides on a request by its Authorization header and its path."""

    async def refusal(self, authorization: str, path: str) -> Denial | None:
        """Why the request is not let in, None when it is."""


class OpenGate:
    """Lets everybody in."""

    async def refusal(self, authorization: str, path: str) -> Denial | None:  # noqa: ARG002  one protocol for all gates
        """None (Gate)."""
        return None


class ClosedGate:
    """Lets nobody in: the address is not loopback and there is no token."""

    async def refusal(self, authorization: str, path: str) -> Denial | None:  # noqa: ARG002  one protocol for all gates
        """Always the same (Gate)."""
        return Denial(
            f"this page is open on loopback addresses only; start the picker with {OPTION} to reach it from elsewhere"
        )


class ReviewGate:
    """Lets in whom the API server lets in."""

    def __init__(self, reviewer: AccessReviewer) -> None:
        self._reviewer = reviewer

    async def refusal(self, authorization: str, path: str) -> Denial | None:
        """401 for an unknown token, 403 for a user without the right, 503 while nobody can be asked (Gate)."""
        token = _bearer_token(authorization, "of a user or service account that may get this page")
        if isinstance(token, Denial):
            return token
        if not token:
            return Denial("the token in the Authorization header is empty")
        denied = await self._reviewer.denied(token, path)
        if denied is None:
            return None
        if denied.is_unavailable:
            return Denial(denied.message, HTTPStatus.SERVICE_UNAVAILABLE)
        return Denial(denied.message, HTTPStatus.UNAUTHORIZED if denied.is_unknown else HTTPStatus.FORBIDDEN)


class TokenFileGate:
    """Lets in who sends `Authorization: Bearer <content of the file>`.

    The file is read again when it changes; while it is missing, unreadable or empty the last good token holds.
    Raises InvalidInput when that is so at the start.
    """

    def __init__(self, path: Path, on_unusable: Callable[[InvalidInput], None]) -> None:
        """`on_unusable` is told once each time that the file becomes so."""
        self._path = path
        self._on_unusable = on_unusable
        self._stamp: tuple[int, int, int] | None = None
        self._token = b""
        self._is_lost = False
        self._read()

    async def refusal(self, authorization: str, path: str) -> Denial | None:  # noqa: ARG002  one protocol for all gates
        """See the class (Gate)."""
        try:
            self._read()
        except InvalidInput as problem:
            if not self._is_lost:
                self._on_unusable(problem)
            self._is_lost = True
        else:
            self._is_lost = False
        token = _bearer_token(authorization, f"of {OPTION}")
        if isinstance(token, Denial):
            return token
        if hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            return None
        return Denial(f"the token is not that of {OPTION}")

    def _read(self) -> None:
        try:
            status = self._path.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stamp == self._stamp:
                return
            token = self._path.read_bytes().strip()
        except OSError as error:
            raise InvalidInput(str(self._path), f"cannot be read: {error.strerror}", field=OPTION) from error
        if not token:
            raise InvalidInput(str(self._path), "is empty; write the token into it", field=OPTION)
        self._token, self._stamp = token, stamp


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def gate_for(
    host: str,
    token_file: Path | None,
    reviewer: AccessReviewer | None = None,
    *,
    on_unusable: Callable[[InvalidInput], None],
    is_open: bool = False,
) -> Gate:
    """A token file is obeyed everywhere, else a reviewer; without both, loopback is open and everything else closed.

    `on_unusable` as of TokenFileGate. `is_open`: the operator wants no questions asked, wherever they come from.
    """
    if token_file is not None:
        return TokenFileGate(token_file, on_unusable)
    if reviewer is not None:
        return ReviewGate(reviewer)
    return OpenGate() if is_open or is_loopback(host) else ClosedGate()


def _bearer_token(authorization: str, whose: str) -> str | Denial:
    scheme, _, token = authorization.partition(" ")
    if not authorization:
        return Denial(f"send the token {whose} in the header 'Authorization: Bearer <token>'")
    if scheme.lower() != "bearer":
        return Denial(f"the Authorization header must be 'Bearer <token>', not {scheme[:20]!r}")
    return token.strip()
