"""Who may see /metrics and /debug: everybody, holders of the token in a file, or nobody."""

import hmac
import ipaddress
from pathlib import Path
from typing import Protocol

import structlog

from epp.core.domain.errors import InvalidInput

OPTION = "--metrics-token-file"


class Gate(Protocol):
    """Decides on a request by its Authorization header."""

    async def refusal(self, authorization: str) -> str | None:
        """Why the request is not let in, None when it is."""


class OpenGate:
    """Lets everybody in."""

    async def refusal(self, authorization: str) -> str | None:  # noqa: ARG002  one protocol for all gates
        """None (Gate)."""
        return None


class ClosedGate:
    """Lets nobody in: the address is not loopback and there is no token."""

    async def refusal(self, authorization: str) -> str | None:  # noqa: ARG002  one protocol for all gates
        """Always the same (Gate)."""
        return (
            f"this page is open on loopback addresses only; start the picker with {OPTION} to reach it from elsewhere"
        )


class TokenFileGate:
    """Lets in who sends `Authorization: Bearer <content of the file>`.

    The file is read again when it changes; while it is missing, unreadable or empty the last good token holds.
    Raises InvalidInput when that is so at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._logger = structlog.get_logger(component="admin")
        self._stamp: tuple[int, int, int] | None = None
        self._token = b""
        self._is_lost = False
        self._read()

    async def refusal(self, authorization: str) -> str | None:
        """See the class (Gate)."""
        try:
            self._read()
        except InvalidInput as problem:
            if not self._is_lost:
                self._logger.warning("the token file became unusable; its last token holds", problem=str(problem))
            self._is_lost = True
        else:
            self._is_lost = False
        scheme, _, token = authorization.partition(" ")
        if not authorization:
            return f"send the token of {OPTION} in the header 'Authorization: Bearer <token>'"
        if scheme.lower() != "bearer":
            return f"the Authorization header must be 'Bearer <token>', not {scheme[:20]!r}"
        given = token.strip().encode("utf-8", "replace")
        return None if hmac.compare_digest(given, self._token) else f"the token is not that of {OPTION}"

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


def gate_for(host: str, token_file: Path | None) -> Gate:
    """A token file is obeyed everywhere; without one, loopback is open and everything else closed."""
    if token_file is not None:
        return TokenFileGate(token_file)
    return OpenGate() if is_loopback(host) else ClosedGate()
