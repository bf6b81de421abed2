"""What goes wrong on purpose: rules that match requests and say how they fail."""

from collections.abc import Iterator

import msgspec

from epp.lab.kube_api.request_info import RequestInfo
from epp.lab.kube_api.status import ApiError, bad_request, internal_error, too_many_requests


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A rule; empty fields match everything.

    times            how many requests it meets, None for all
    delay_s          seconds before the request is looked at
    forbidden        403 as if no role allowed it
    status           this answer instead: 401, 404, 410, 429, 500, 503 or any other error status
    retry_after_s    of a 429 or a 503
    cut_after_bytes  the connection is cut after that many bytes of the answer's body; 0: before the answer
    silent           a watch answers its headers and then nothing, with the connection open
    """

    verb: str = ""
    resource: str = ""
    """`pods`, `leases`, without group; `pods/status` for a subresource"""
    namespace: str = ""
    user: str = ""
    times: int | None = None
    delay_s: float = 0.0
    forbidden: bool = False
    status: int | None = None
    retry_after_s: int = 1
    cut_after_bytes: int | None = None
    silent: bool = False

    def meets(self, request: RequestInfo, user: str) -> bool:
        """Whether the request is one of those."""
        return (
            self.verb in ("", request.verb)
            and self.resource in ("", request.resource_text)
            and self.namespace in ("", request.namespace)
            and self.user in ("", user)
        )

    def error(self) -> ApiError | None:
        """The answer that it wants, if any."""
        match self.status:
            case None:
                return None
            case 429:
                return too_many_requests(self.retry_after_s)
            case 500:
                return internal_error("injected fault")
            case 410:
                return ApiError(410, "Expired", "The resourceVersion for the provided list is too old.")
            case 400:
                return bad_request("injected fault")
            case 503:
                text = "the server is currently unable to handle the request"
                headers = {"Retry-After": str(self.retry_after_s)}
                return ApiError(503, "ServiceUnavailable", text, {}, headers=headers)
            case code:
                reason = {401: "Unauthorized", 404: "NotFound"}.get(code, "")
                return ApiError(code, reason, f"injected fault {code}")


class Faults:
    """The rules in force; the first that meets a request counts."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> Fault:
        """Puts a rule in force, behind the others."""
        self._rules.append((fault, [0]))
        return fault

    def remove(self, fault: Fault) -> None:
        """Takes a rule back; harmless when its times are over."""
        self._rules = [(rule, met) for rule, met in self._rules if rule is not fault]

    def clear(self) -> None:
        """Takes all rules back."""
        self._rules.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter([rule for rule, _ in self._rules])

    def met(self, request: RequestInfo, user: str) -> Fault | None:
        """The rule for a request, None without one; counts it."""
        for rule, met in self._rules:
            if rule.meets(request, user) and (rule.times is None or met[0] < rule.times):
                met[0] += 1
                return rule
        return None
