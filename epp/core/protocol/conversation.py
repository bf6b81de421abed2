"""One ext_proc stream, which is one HTTP request: joins the request half and the response half.

Whatever happens, a decision is followed by exactly one Release, and a stream that ends early is nothing special.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import Outcome
from epp.core.domain.record import replaced
from epp.core.protocol.commands import (
    CancelRouting,
    Command,
    ExtendTimeout,
    FollowServed,
    NoteBypass,
    Refuse,
    Release,
    Route,
)
from epp.core.protocol.events import (
    BodyMode,
    Decided,
    Event,
    Held,
    RequestBodyChunk,
    RequestHeaders,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
    StreamEnded,
)
from epp.core.protocol.grpc_frames import is_grpc
from epp.core.protocol.headers import REQUEST_ID
from epp.core.protocol.request_side import SIDES, BufferedRequest, ConversationSettings, RequestSide
from epp.core.protocol.response_side import ResponseSide, unread

TIMEOUT_MARGIN_S: Final = 1.0
"""the proxy waits this much longer than the picker promises to take"""


class Conversation:
    """Feed events to `receive`, execute the commands it returns, in order."""

    _response: ResponseSide | None = None
    _request_id = ""
    _is_grpc = False
    _is_routing = False
    _was_held = False
    _decision: Decision | None = None
    _is_over = False
    """refused, released or only observed: nothing more to do"""
    _is_broken_off = False
    """refused after its decision: only the end of the stream is awaited"""

    def __init__(self, settings: ConversationSettings, new_request_id: Callable[[], str], *, sampled: bool) -> None:
        self._settings = settings
        self._new_request_id = new_request_id
        self._sampled = sampled
        self._request: RequestSide | None = None
        self._response_mode = BodyMode.NONE

    @property
    def request_id(self) -> str:
        """`x-request-id` of the client or the proxy, empty before the request headers came and where there is none."""
        return self._request_id

    @property
    def is_grpc(self) -> bool:
        """Whether the client speaks gRPC, so that it wants errors as gRPC has them."""
        return self._is_grpc

    @property
    def held_bytes(self) -> int:
        """Request body bytes kept in memory."""
        return self._request.held_bytes if self._request and not self._is_over else 0

    @property
    def is_answering(self) -> bool:
        """Whether the response has begun, so that the proxy can finish it without the picker."""
        return self._response is not None

    def sees_answer(self, decision: Decision) -> bool:
        """Whether the body of the answer to a request with this decision will be shown, as far as that is known."""
        return self._response_mode is not BodyMode.NONE or self._sampled or bool(decision.reporters)

    def receive(self, event: Event) -> list[Command]:
        """The commands that follow from `event`."""
        if self._is_over:
            return []
        if self._is_broken_off:
            return self._after_break_off(event)
        try:
            return self._handled(event)
        except Refusal as refusal:
            return self._refused(refusal)

    def _body_chunk(self, event: RequestBodyChunk) -> list[Command]:
        return self._mark_routing(self._request.chunk(event)) if self._request else []

    def _request_trailers(self) -> list[Command]:
        return self._mark_routing(self._request.trailers()) if self._request else []

    def _response_chunk(self, event: ResponseBodyChunk) -> list[Command]:
        return self._ended(self._response_side().chunk(event))

    def _response_trailers(self, event: ResponseTrailers) -> list[Command]:
        return self._ended(self._response_side().trailers(event))

    def _refused(self, refusal: Refusal) -> list[Command]:
        self._request = None  # and with it the body
        if self._decision is None:
            self._is_over = True
        else:
            self._is_broken_off = True
        return [Refuse(refusal)]

    def _after_break_off(self, event: Event) -> list[Command]:
        """The model server works until the proxy has ended the stream, so the place is kept as long."""
        if not isinstance(event, StreamEnded):
            return []
        self._is_over = True
        return [replaced(self._response_side().release(), outcome=Outcome.ERROR)]

    def _handled(self, event: Any) -> list[Command]:
        """By the exact type, the frequent ones first: a comparison is cheaper than a table when compiled."""
        kind = type(event)
        if kind is Decided:
            return self._decided(event)
        if kind is RequestHeaders:
            return self._request_headers(event)
        if kind is RequestBodyChunk:
            return self._body_chunk(event)
        if kind is ResponseBodyChunk:
            return self._response_chunk(event)
        if kind is ResponseHeaders:
            return self._response_headers(event)
        if kind is StreamEnded:
            return self._stream_ended()
        if kind is ResponseTrailers:
            return self._response_trailers(event)
        if kind is RequestTrailers:
            return self._request_trailers()
        return self._held(event) if kind is Held else self._refused(event.refusal)

    def _request_headers(self, event: RequestHeaders) -> list[Command]:
        if self._request is not None:
            return []  # no proxy begins twice; a second decision would leave the first one's place taken
        if event.observed_only:
            self._is_over = True
            return []
        self._request_id = event.headers.get(REQUEST_ID, "")
        self._is_grpc = is_grpc(event.headers.get("content-type", ""))
        mode, self._response_mode = self._modes(event)
        self._request = SIDES[mode](self._settings, self._new_request_id)
        return self._mark_routing(self._request.begin(event))

    def _modes(self, event: RequestHeaders) -> tuple[BodyMode, BodyMode]:
        if event.protocol is not None:
            return event.protocol.request_body, event.protocol.response_body
        assumed = self._settings.assume_body_mode
        duplex = assumed is BodyMode.FULL_DUPLEX_STREAMED
        return assumed, BodyMode.FULL_DUPLEX_STREAMED if duplex else BodyMode.NONE

    def _mark_routing(self, commands: list[Command]) -> list[Command]:
        if commands and type(commands[-1]) is Route:
            self._is_routing = True
        return commands

    def _held(self, event: Held) -> list[Command]:
        if self._was_held or self._request is None or self._request.waits_for_body:
            return []
        self._was_held = True
        return [ExtendTimeout(event.wait_s + TIMEOUT_MARGIN_S)]

    def _decided(self, event: Decided) -> list[Command]:
        self._is_routing = False
        self._decision = event.decision
        return self._request.decided(event.decision) if self._request else []

    def _response_headers(self, event: ResponseHeaders) -> list[Command]:
        commands: list[Command] = []
        if self._decision is not None:
            commands.append(FollowServed(event.served))
        elif self._is_routing:
            commands.append(CancelRouting())
            self._is_routing = False
        elif event.served:
            commands.append(NoteBypass(event.served))
        decision = self._decision
        self._response = ResponseSide(
            self._response_mode,
            may_override=isinstance(self._request, BufferedRequest),
            sampled=decision is not None and (self._sampled or bool(decision.reporters)),
            streaming=decision is not None and decision.request.streaming,
            client_model=self._client_model(),
            grpc_usage=partial(self._settings.parsers.grpc_usage, decision.request.path)
            if decision is not None and self._is_grpc
            else unread,
            reporters=decision.reporters if decision is not None else (),
        )
        return self._ended(commands + self._response.headers(event, self._markers(event.served)))

    def _client_model(self) -> str:
        """The name that the client used for a model that was rewritten, empty for any other."""
        if self._decision is None:
            return ""
        request = self._decision.request
        return request.model if request.target_model != request.model else ""

    def _markers(self, served: str) -> tuple[tuple[str, str], ...]:
        """Headers that plugins put on the response of the endpoint that served, if it is one that we named."""
        decision = self._decision
        if decision is None or not (decision.response_markers or decision.served_markers):
            return ()
        said = (marker(served) for marker in decision.served_markers)
        of_gateway = tuple(header for header in said if header is not None)
        if not served or served == decision.destination:
            return (*decision.response_headers(decision.endpoint), *of_gateway)
        for endpoint in decision.endpoints:
            if endpoint.destination == served:
                return (*decision.response_headers(endpoint), *of_gateway)
        return of_gateway

    def _response_side(self) -> ResponseSide:
        """The response half; a stream may begin in the middle of a response when the request half is switched off."""
        if self._response is None:
            self._response = ResponseSide(self._response_mode, may_override=False, sampled=False)
        return self._response

    def _ended(self, commands: list[Command]) -> list[Command]:
        """Adds the release when the response is over."""
        if self._response is not None and self._response.is_over and self._decision is not None:
            commands.append(self._release())
        return commands

    def _stream_ended(self) -> list[Command]:
        if self._is_routing:
            self._is_over = True
            return [CancelRouting()]
        if self._decision is None:
            self._is_over = True
            return []
        return [self._release()]

    def _release(self) -> Release:
        self._is_over = True
        return self._response_side().release()
