"""The `token` subresource of service accounts: TokenRequest."""

from collections.abc import Callable

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.reading import without_nulls
from epp.lab.kube_api.shapes import check_shape
from epp.lab.kube_api.status import Cause, bad_request, invalid, not_found
from epp.lab.kube_api.storage import Store
from epp.lab.kube_api.timestamps import timestamp
from epp.lab.kube_api.tokens import API_AUDIENCE, Tokens
from epp.lab.kube_api.writes import Target

LEAST_S = 600
MOST_S = 2**32
DEFAULT_S = 3600
_BOUND = {"Pod": "/pods", "Secret": "/secrets"}


class TokenRequests:
    """Issues tokens of service accounts. `clock() -> unix seconds`."""

    def __init__(self, store: Store, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def answer(self, target: Target, body: Json) -> Json:
        """The TokenRequest with its token; raises ApiError 400, 404, 409 or 422."""
        account = self._store.get("/serviceaccounts", target.key)
        if account is None:
            raise not_found("serviceaccounts", "", target.name)
        check_shape("TokenRequest", "v1", body)
        spec = without_nulls(body.get("spec") or {})
        lifetime_s = spec.get("expirationSeconds") or DEFAULT_S
        if not LEAST_S <= lifetime_s <= MOST_S:
            problem = f"Invalid value: {lifetime_s}: may not specify a duration less than 10 minutes"
            cause = Cause("spec.expirationSeconds", "FieldValueInvalid", problem)
            raise invalid("TokenRequest", "authentication.k8s.io", "", [cause])
        audiences = spec.get("audiences") or [API_AUDIENCE]
        bound = self._bound(target.namespace, spec.get("boundObjectRef"))
        token = self._tokens.issue(account.value, audiences, lifetime_s, bound)
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": target.name, "namespace": target.namespace},
            "spec": {**spec, "audiences": audiences, "expirationSeconds": lifetime_s},
            "status": {"token": token, "expirationTimestamp": timestamp(self._clock() + lifetime_s)},
        }

    def _bound(self, namespace: str, reference: Json | None) -> Json | None:
        if not reference:
            return None
        storage_key = _BOUND.get(reference.get("kind", ""))
        if storage_key is None:
            raise bad_request(f"cannot bind token to object of type {reference.get('kind')}")
        stored = self._store.get(storage_key, (namespace, reference.get("name", "")))
        if stored is None:
            raise not_found(storage_key.lstrip("/"), "", reference.get("name", ""))
        return {"kind": reference["kind"], "name": reference["name"], "uid": metadata_of(stored.value)["uid"]}
