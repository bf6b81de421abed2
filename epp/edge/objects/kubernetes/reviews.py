"""Who may read a page: the API server says who a bearer token belongs to, and whether that user may `get` the path.

TokenReview (authentication.k8s.io/v1), then SubjectAccessReview for the non-resource path (authorization.k8s.io/v1).
Answers are remembered: scrapers come every few seconds. While the server cannot be asked, whom it let in lately is
still let in.
"""

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any

import msgspec

from epp.core.domain.ports import AccessDenied, Clock
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.errors import ApiError, Forbidden

ALLOWED_FOR_S = 60.0
DENIED_FOR_S = 10.0
STILL_ALLOWED_FOR_S = 600.0
"""after the last good answer, while the API server cannot be asked"""
MOST_REMEMBERED = 1_000
ANSWER_WITHIN_S = 5.0

_Key = tuple[bytes, str]


class _User(msgspec.Struct, frozen=True):
    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _User = _User()
    error: str = ""


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False
    reason: str = ""


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class _Remembered(msgspec.Struct, frozen=True):
    denied: AccessDenied | None
    asked_at: float


class KubernetesReviewer:
    """AccessReviewer that asks an API server."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._remembered: OrderedDict[_Key, _Remembered] = OrderedDict()
        self._asking: dict[_Key, asyncio.Future[AccessDenied | None]] = {}

    async def denied(self, token: str, path: str) -> AccessDenied | None:
        """See AccessReviewer."""
        key = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), path
        known = self._remembered.get(key)
        now = self._clock()
        if known is not None and now - known.asked_at < (DENIED_FOR_S if known.denied else ALLOWED_FOR_S):
            return known.denied
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(key, token, path))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def _ask(self, key: _Key, token: str, path: str) -> AccessDenied | None:
        asked_at = self._clock()
        try:
            denied = await self._review(token, path)
        except ApiError as error:
            known = self._remembered.get(key)
            if known is not None and known.denied is None and asked_at - known.asked_at < STILL_ALLOWED_FOR_S:
                return None
            return _not_asked(error)
        self._remembered[key] = _Remembered(denied, asked_at)
        self._remembered.move_to_end(key)
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return denied

    async def _review(self, token: str, path: str) -> AccessDenied | None:
        told = await self._create("authentication.k8s.io", "TokenReview", {"token": token}, _TokenReview)
        if not told.status.authenticated:
            return AccessDenied(is_unknown=True, message="the API server does not know the token, or it has expired")
        user = told.status.user
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": user.groups,
            "extra": user.extra,
            "nonResourceAttributes": {"path": path, "verb": "get"},
        }
        access = await self._create("authorization.k8s.io", "SubjectAccessReview", spec, _AccessReview)
        if access.status.allowed:
            return None
        return AccessDenied(
            message=f"user {user.username} may not get {path}: bind it to a ClusterRole with nonResourceURLs "
            f"[{path}] and verbs [get]"
        )

    async def _create(self, group: str, kind: str, spec: dict[str, Any], type_: type[Any]) -> Any:
        path = f"/apis/{group}/v1/{kind.lower()}s"
        body = {"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}
        answer = await self._api.request("POST", path, body=body, timeout_s=ANSWER_WITHIN_S)
        try:
            return msgspec.json.decode(answer, type=type_)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(f"the answer is no {kind}: {error}") from error


def _not_asked(error: ApiError) -> AccessDenied:
    if isinstance(error, Forbidden):
        advice = "the picker's service account needs the verb create on tokenreviews and subjectaccessreviews"
        return AccessDenied(is_unavailable=True, message=f"{advice} ({error.message})")
    return AccessDenied(is_unavailable=True, message=f"the API server cannot be asked about the token: {error}")
