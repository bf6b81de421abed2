"""Bearer tokens: static ones, and those of service accounts, which are JSON Web Tokens signed with the server's key."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.storage import Store
from epp.lab.kube_api.users import ALL_AUTHENTICATED, User, service_account

API_AUDIENCE = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER = "kubernetes/serviceaccount"
_LEGACY = "kubernetes.io/serviceaccount/"


class Authenticated(msgspec.Struct, frozen=True):
    """The user behind a token, and the audiences that it is good for."""

    user: User
    audiences: tuple[str, ...]


class Tokens:
    """Makes and checks tokens. `clock() -> unix seconds`; `key` signs."""

    def __init__(self, store: Store, key: bytes, clock: Callable[[], float]) -> None:
        self._store = store
        self._key = key
        self._clock = clock
        self._static: dict[str, User] = {}

    def add_static(self, token: str, user: User) -> None:
        """A token that is good until it is removed."""
        groups = dict.fromkeys((*user.groups, ALL_AUTHENTICATED))
        self._static[token] = msgspec.structs.replace(user, groups=tuple(groups))

    def remove_static(self, token: str) -> None:
        """Ends a static token."""
        self._static.pop(token, None)

    def static(self) -> dict[str, User]:
        """All static tokens."""
        return dict(self._static)

    def issue(self, account: Json, audiences: Sequence[str], lifetime_s: int, bound: Json | None) -> str:
        """A token of a service account, as TokenRequest gives it. `bound` is the boundObjectRef."""
        now_s = int(self._clock())
        metadata = metadata_of(account)
        kubernetes: Json = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound:
            kubernetes[bound["kind"].lower()] = {"name": bound["name"], "uid": bound.get("uid", "")}
        claims = {
            "aud": list(audiences) or [API_AUDIENCE],
            "exp": now_s + lifetime_s,
            "iat": now_s,
            "iss": API_AUDIENCE,
            "kubernetes.io": kubernetes,
            "nbf": now_s,
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return self._signed(claims)

    def issue_legacy(self, account: Json, secret_name: str) -> str:
        """The token that a Secret of type service-account-token holds: good as long as that Secret is there."""
        metadata = metadata_of(account)
        claims = {
            "iss": LEGACY_ISSUER,
            f"{_LEGACY}namespace": metadata["namespace"],
            f"{_LEGACY}secret.name": secret_name,
            f"{_LEGACY}service-account.name": metadata["name"],
            f"{_LEGACY}service-account.uid": metadata["uid"],
            "sub": f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}",
        }
        return self._signed(claims)

    def check(self, token: str) -> Authenticated | None:
        """Who it is; None for a token that is unknown, expired, or of something that was deleted."""
        if token in self._static:
            return Authenticated(self._static[token], (API_AUDIENCE,))
        claims = self._verified(token)
        if claims is None:
            return None
        if claims.get("iss") == LEGACY_ISSUER:
            namespace, secret = claims[f"{_LEGACY}namespace"], claims[f"{_LEGACY}secret.name"]
            if self._store.get("/secrets", (namespace, secret)) is None:
                return None
            user = self._account(
                namespace, claims[f"{_LEGACY}service-account.name"], claims[f"{_LEGACY}service-account.uid"], {}
            )
            return Authenticated(user, (API_AUDIENCE,)) if user else None
        if not claims["nbf"] <= self._clock() < claims["exp"]:
            return None
        return self._of_request(claims)

    def _of_request(self, claims: Json) -> Authenticated | None:
        kubernetes = claims["kubernetes.io"]
        extra = {}
        for kind, shelf in (("pod", "/pods"), ("secret", "/secrets")):
            if kind in kubernetes:
                bound = self._store.get(shelf, (kubernetes["namespace"], kubernetes[kind]["name"]))
                if bound is None or metadata_of(bound.value)["uid"] != kubernetes[kind]["uid"]:
                    return None
                extra[f"authentication.kubernetes.io/{kind}-name"] = [kubernetes[kind]["name"]]
                extra[f"authentication.kubernetes.io/{kind}-uid"] = [kubernetes[kind]["uid"]]
        account = kubernetes["serviceaccount"]
        user = self._account(kubernetes["namespace"], account["name"], account["uid"], extra)
        return Authenticated(user, tuple(claims["aud"])) if user else None

    def _account(self, namespace: str, name: str, uid: str, extra: dict[str, list[str]]) -> User | None:
        account = self._store.get("/serviceaccounts", (namespace, name))
        if account is None or metadata_of(account.value)["uid"] != uid:
            return None
        return service_account(namespace, name, uid, extra)

    def _signed(self, claims: Json) -> str:
        header = _encoded(msgspec.json.encode({"alg": "HS256", "typ": "JWT"}))
        text = f"{header}.{_encoded(msgspec.json.encode(claims))}"
        return f"{text}.{self._signature(text)}"

    def _signature(self, text: str) -> str:
        return _encoded(hmac.digest(self._key, text.encode(), hashlib.sha256))

    def _verified(self, token: str) -> Any:
        text, _, signature = token.rpartition(".")
        if not text or not hmac.compare_digest(self._signature(text).encode(), signature.encode()):
            return None
        payload = text.partition(".")[2]
        try:
            return msgspec.json.decode(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (Base64Error, msgspec.DecodeError):
            return None


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
