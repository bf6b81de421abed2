"""Scripts for the ext_proc conversation: `>>` is what happens, `<<` is what the picker must do next.

    (
        Playbook()
        >> post(BodyMode.BUFFERED)
        << Continue(Phase.REQUEST_HEADERS)
        >> RequestBodyChunk(b'{"model":"m","prompt":"x"}', end_of_stream=True)
        << ANY_ROUTE
        >> decided("10.0.0.1:8000")
        << routing(Phase.REQUEST_BODY, "10.0.0.1:8000")
    ).nothing()

A command that the script does not mention fails at the next event or at `nothing()`; the message shows the script.
"""

from collections.abc import Callable
from typing import Any, Self, cast

import numpy as np

from epp.core.domain.decision import Decision, Reservation, ScoreCard
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import Refusal
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.commands import Command, Mutation, Phase, Refuse, Route, SendRouting
from epp.core.protocol.conversation import Conversation
from epp.core.protocol.events import BodyMode, Decided, Event, Headers, ProtocolConfig, RequestHeaders, ResponseHeaders
from epp.core.protocol.request_side import ConversationSettings

PICKED = "10.0.0.1:8000"
REQUEST_ID = "req-1"
GENERATED_ID = "generated-1"
DEFAULTS = ConversationSettings()
LONGEST_LINE = 240


class Playbook:
    """One conversation under script; `routed` is the last request that it asked routing about."""

    def __init__(self, settings: ConversationSettings = DEFAULTS, *, sampled: bool = False) -> None:
        self.conversation = Conversation(settings, lambda: GENERATED_ID, sampled=sampled)
        self._script: list[str] = []
        self._pending: list[Command] = []
        self._routed: InferenceRequest | None = None

    @property
    def routed(self) -> InferenceRequest:
        """The request of the last Route."""
        assert self._routed is not None, "nothing was routed"
        return self._routed

    def __rshift__(self, event: Event) -> Self:
        """Something happens."""
        self.nothing()
        self._script.append(_line(">>", event))
        self._pending = self.conversation.receive(event)
        for command in self._pending:
            if isinstance(command, Route):
                self._routed = command.request
        return self

    def __lshift__(self, expected: Command) -> Self:
        """The next command is this one."""
        if not self._pending:
            raise self._fail(f"expected {_line('<<', expected)}\n     got nothing")
        command = self._pending.pop(0)
        if command != expected:
            raise self._fail(f"expected {_line('<<', expected)}\n     got {_line('<<', command)}")
        self._script.append(_line("<<", command))
        return self

    def nothing(self) -> Self:
        """No command is left over."""
        if self._pending:
            surplus = "\n         ".join(_line("<<", command) for command in self._pending)
            raise self._fail(f"expected nothing\n     got {surplus}")
        return self

    def _fail(self, difference: str) -> AssertionError:
        return AssertionError("\n".join(["the script so far:", *self._script, difference]))


def _line(arrow: str, what: object) -> str:
    text = repr(what)
    return f"{arrow} {text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + '...'}"


class _Matcher:
    """Equal to whatever the test accepts."""

    def __init__(self, name: str, accepts: Callable[[Any], bool]) -> None:
        self._name = name
        self._accepts = accepts

    def __eq__(self, other: object) -> bool:
        return self._accepts(other)

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return self._name


def a_route(**fields: object) -> Command:
    """Equal to every Route of a request with these fields."""
    name = ", ".join(f"{field}={value!r}" for field, value in fields.items())
    matcher = _Matcher(
        f"a_route({name})",
        lambda other: (
            isinstance(other, Route) and all(getattr(other.request, field) == value for field, value in fields.items())
        ),
    )
    return cast("Command", matcher)


ANY_ROUTE = a_route()


def a_refusal(kind: type[Refusal], text: str = "") -> Command:
    """Equal to every Refuse with exactly this kind of refusal, in whose message, hint or parameter `text` is found."""

    def accepts(other: object) -> bool:
        refusal = other.refusal if isinstance(other, Refuse) else None
        return type(refusal) is kind and text in f"{refusal.message} {refusal.hint} {refusal.param}"

    return cast("Command", _Matcher(f"a_refusal({kind.__name__}, {text!r})", accepts))


def post(
    mode: BodyMode | None,
    *,
    response: BodyMode = BodyMode.NONE,
    path: str = "/v1/completions",
    headers: Headers | None = None,
    end_of_stream: bool = False,
    method: str = "POST",
    subset: tuple[str, ...] | None = None,
    observed_only: bool = False,
) -> RequestHeaders:
    """A request begins; `mode` None: the proxy does not say how it is configured (before Envoy 1.34)."""
    return RequestHeaders(
        {":method": method, ":path": path, "x-request-id": REQUEST_ID, **(headers or {})},
        end_of_stream,
        subset,
        None if mode is None else ProtocolConfig(mode, response),
        observed_only,
    )


def get(mode: BodyMode | None, *, path: str = "/v1/models", response: BodyMode = BodyMode.NONE) -> RequestHeaders:
    """A request without a body."""
    return post(mode, response=response, path=path, end_of_stream=True, method="GET")


def response(
    status: int = 200,
    content_type: str = "application/json",
    *,
    length: int | None = None,
    end_of_stream: bool = False,
    served: str = PICKED,
) -> ResponseHeaders:
    """The model server's answer begins."""
    headers = {":status": str(status), "content-type": content_type}
    if length is not None:
        headers["content-length"] = str(length)
    return ResponseHeaders(headers, end_of_stream, served)


def decision_for(destinations: str, request: InferenceRequest | None = None) -> Decision:
    """A decision for these destinations (comma list), without scores."""
    endpoints = tuple(
        Endpoint.create(namespace="default", pod=f"pod-{number}", rank=0, address=address, port=int(port))
        for number, (address, port) in enumerate(entry.rsplit(":", 1) for entry in destinations.split(","))
    )
    card = ScoreCard("default", endpoints, (), np.zeros(len(endpoints)))
    return Decision(
        request or InferenceRequest(REQUEST_ID), endpoints, destinations, Reservation(0, 1, 1, tokens=0), card
    )


def decided(destinations: str = PICKED, request: InferenceRequest | None = None) -> Decided:
    """Routing answers."""
    return Decided(decision_for(destinations, request))


def routing(
    phase: Phase,
    destinations: str = PICKED,
    *,
    new_request_id: str | None = None,
    content_length: int | None = None,
    removed: tuple[str, ...] = (),
    body: bytes | None = None,
) -> SendRouting:
    """The answer that carries the decision."""
    headers = [("x-gateway-destination-endpoint", destinations), ("x-picked-by", "epp")]
    if new_request_id is not None:
        headers.append(("x-request-id", new_request_id))
    if content_length is not None:
        headers.append(("content-length", str(content_length)))
    return SendRouting(phase, destinations, Mutation(tuple(headers), removed, clear_route_cache=True), body)
