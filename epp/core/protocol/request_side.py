"""The request half of the conversation, one class per body mode.

FULL_DUPLEX_STREAMED: nothing is answered until the body is whole; then headers with the decision, the whole body in
pieces, and trailers if there were any. BUFFERED: headers are answered at once, the decision rides on the body.
STREAMED and NONE: the body is not seen before the headers must be answered, so the decision is made without it.

The body is edited once the decision is known: the target model goes in, an integer `priority` comes out.
"""

from collections.abc import Callable
from typing import Final, Protocol

from epp.core.domain.decision import Decision
from epp.core.domain.errors import PayloadTooLarge, ServiceUnavailable
from epp.core.domain.record import Record
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.apis.parsers import DEFAULT_TABLE, ParserTable
from epp.core.protocol.body_edit import with_text, without_field
from epp.core.protocol.chunks import cut
from epp.core.protocol.commands import Command, Continue, Mutation, Phase, Route, SendBody, SendRouting
from epp.core.protocol.events import BodyMode, Data, RequestBodyChunk, RequestHeaders
from epp.core.protocol.headers import (
    DESTINATION,
    PICKED_BY,
    PICKED_BY_VALUE,
    REQUEST_ID,
    control_headers_in,
    whole_number,
)
from epp.core.protocol.request_assembly import MayRewrite, RequestAssembly, Subset


class ConversationSettings(Record):
    """What `epp serve` was told about the conversation."""

    def __init__(
        self,
        *,
        max_body_bytes: int = 32 << 20,
        assume_body_mode: BodyMode = BodyMode.FULL_DUPLEX_STREAMED,
        parsers: ParserTable = DEFAULT_TABLE,
        cut_priority: bool = True,
        may_rewrite: MayRewrite = lambda _: False,
        emit_endpoint_scores: bool = False,
    ) -> None:
        self.max_body_bytes: Final = max_body_bytes
        self.assume_body_mode: Final = assume_body_mode
        """where the proxy does not say how it is configured"""
        self.parsers: Final = parsers
        """who reads the body of which path"""
        self.cut_priority: Final = cut_priority
        """remove an integer `priority` from the forwarded body"""
        self.may_rewrite: Final = may_rewrite
        """asked right before routing: whether it may give a request another model, so that its body has to be kept"""
        self.emit_endpoint_scores: Final = emit_endpoint_scores
        """tell the proxy with the decision what every candidate scored"""


class RequestSide(Protocol):
    """What the conversation needs of a body mode. Methods may raise a Refusal."""

    waits_for_body: bool
    """the proxy's message timer does not run while the body is collected and judged"""
    held_bytes: int
    """body bytes kept in memory"""

    def begin(self, event: RequestHeaders) -> list[Command]: ...
    def chunk(self, event: RequestBodyChunk) -> list[Command]: ...
    def trailers(self) -> list[Command]: ...
    def decided(self, decision: Decision) -> list[Command]: ...


class _Side:
    """State that all modes share."""

    waits_for_body = False
    held_bytes = 0
    _headers: RequestHeaders
    _routed_at: Phase | None = None
    """the message whose answer carries the decision; None until routing was asked"""
    _is_decided = False
    _has_priority = False
    """a `priority` is to be cut out of the body"""

    def __init__(self, settings: ConversationSettings, new_request_id: Callable[[], str]) -> None:
        self._settings = settings
        self._assembly = RequestAssembly(settings.parsers, new_request_id, settings.may_rewrite)
        self._unanswered: list[Command] = []
        """answers that must not overtake the decision"""

    def _route(self, request: InferenceRequest, phase: Phase) -> list[Command]:
        self._routed_at = phase
        return [Route(request)]

    def _route_bodyless(self) -> list[Command]:
        return self._route(self._assembly.bodyless(self._headers), Phase.REQUEST_HEADERS)

    def _routing(
        self,
        decision: Decision,
        phase: Phase,
        content_length: int | None = None,
        body: bytes | memoryview | None = None,
    ) -> SendRouting:
        headers = [(DESTINATION, decision.destinations), (PICKED_BY, PICKED_BY_VALUE)]
        if not self._headers.headers.get(REQUEST_ID):
            headers.append((REQUEST_ID, decision.request.request_id))
        if content_length is not None:
            headers.append(("content-length", str(content_length)))
        removed = control_headers_in(self._headers.headers)
        if decision.request_headers:
            headers += decision.request_headers
            removed = tuple(name for name in removed if all(name != ours for ours, _ in decision.request_headers))
        mutation = Mutation(tuple(headers), removed, clear_route_cache=True)
        scores = decision.endpoint_scores if self._settings.emit_endpoint_scores else ()
        return SendRouting(phase, decision.destinations, mutation, body, scores)

    def _check_size(self, size: int) -> None:
        if size > self._settings.max_body_bytes:
            raise PayloadTooLarge(
                f"the request body is larger than {self._settings.max_body_bytes} bytes",
                hint="send a smaller prompt, or raise --max-body-bytes",
            )

    def _check_declared_size(self, event: RequestHeaders) -> None:
        """Refuses before the body has come, which spares the proxy its buffering."""
        self._check_size(whole_number(event.headers.get("content-length", "")) or 0)

    def _whole(self, data: Data, subset: Subset) -> InferenceRequest:
        request = self._assembly.whole(self._headers, data, subset)
        self._has_priority = request.claimed_priority is not None and self._settings.cut_priority
        return request

    def _edited(self, data: Data, decided: InferenceRequest) -> Data:
        """The body to forward; the very same object when nothing is to be changed."""
        if decided.target_model != decided.model:
            data = with_text(bytes(data), "model", decided.target_model, is_there=bool(decided.model))
        return without_field(bytes(data), "priority") if self._has_priority else data

    def _in_order(self, answer: Command) -> list[Command]:
        """Now, or right after the decision if that is still due."""
        if self._is_decided:
            return [answer]
        self._unanswered.append(answer)
        return []


class FullDuplexRequest(_Side):
    """Collects the body, answers everything at the end."""

    waits_for_body = True

    def __init__(self, settings: ConversationSettings, new_request_id: Callable[[], str]) -> None:
        super().__init__(settings, new_request_id)
        self._chunks: list[Data] = []
        self._subset: Subset = None
        self._data: Data = b""
        self._ends_with_trailers = False

    def begin(self, event: RequestHeaders) -> list[Command]:
        """No answer yet unless there is no body."""
        self._headers = event
        if event.end_of_stream:
            self.waits_for_body = False
            return self._route_bodyless()
        self._check_declared_size(event)
        return []

    def chunk(self, event: RequestBodyChunk) -> list[Command]:
        """Keeps the piece; a piece after the end is Envoy repeating itself (issue 46237) and is ignored."""
        if self._routed_at is not None:
            return []
        self._chunks.append(event.data)
        self.held_bytes += len(event.data)
        if event.subset is not None:
            self._subset = event.subset
        self._check_size(self.held_bytes)
        return self._complete() if event.end_of_stream else []

    def trailers(self) -> list[Command]:
        """Trailers end a body that had no end of stream of its own."""
        answer = self._in_order(Continue(Phase.REQUEST_TRAILERS))
        if self._routed_at is not None:
            return answer
        self._ends_with_trailers = True
        return self._complete()

    def decided(self, decision: Decision) -> list[Command]:
        """Headers with the decision, then the whole body, then the trailers."""
        self._is_decided = True
        if self._routed_at is Phase.REQUEST_HEADERS:
            return [self._routing(decision, Phase.REQUEST_HEADERS), *self._unanswered]
        data = self._edited(self._data, decision.request)
        self._data = b""
        self.held_bytes = 0
        pieces = list(cut(data))
        last = len(pieces) - 1
        return [
            self._routing(decision, Phase.REQUEST_HEADERS, content_length=len(data)),
            *(
                SendBody(Phase.REQUEST_BODY, piece, end_of_stream=number == last and not self._ends_with_trailers)
                for number, piece in enumerate(pieces)
            ),
            *self._unanswered,
        ]

    def _complete(self) -> list[Command]:
        if not self._chunks:
            return self._route_bodyless()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        request = self._whole(data, self._subset)
        self._data = data
        self.held_bytes = len(data)
        return self._route(request, Phase.REQUEST_BODY)


class BufferedRequest(_Side):
    """Envoy collects the body and sends it in one message. It is dropped here once it was read, unless it may have to
    be edited: then after the decision.
    """

    def __init__(self, settings: ConversationSettings, new_request_id: Callable[[], str]) -> None:
        super().__init__(settings, new_request_id)
        self._data: Data | None = None

    def begin(self, event: RequestHeaders) -> list[Command]:
        """Answered at once, so that the proxy goes on to the body."""
        self._headers = event
        if event.end_of_stream:
            return self._route_bodyless()
        self._check_declared_size(event)
        return [Continue(Phase.REQUEST_HEADERS)]

    def chunk(self, event: RequestBodyChunk) -> list[Command]:
        """The whole body; `end_of_stream` is false when trailers follow."""
        if self._routed_at is not None:
            return []
        self._check_size(len(event.data))
        request = self._whole(event.data, event.subset)
        if self._has_priority or self._settings.may_rewrite(request):
            self._data = event.data
            self.held_bytes = len(event.data)
        return self._route(request, Phase.REQUEST_BODY)

    def trailers(self) -> list[Command]:
        """Only metadata can still be set if the body never came; otherwise there is nothing to change."""
        if self._routed_at is None:
            return self._route(self._assembly.bodyless(self._headers), Phase.REQUEST_TRAILERS)
        return self._in_order(Continue(Phase.REQUEST_TRAILERS))

    def decided(self, decision: Decision) -> list[Command]:
        """The decision rides on the answer to the message that was routed."""
        self._is_decided = True
        body = self._replacement(decision.request)
        self.held_bytes = 0
        length = None if body is None else len(body)
        return [self._routing(decision, self._routed_at or Phase.REQUEST_BODY, length, body), *self._unanswered]

    def _replacement(self, decided: InferenceRequest) -> Data | None:
        """The body to forward; None when it is the client's."""
        data, self._data = self._data, None
        if data is None and decided.target_model == decided.model:
            return None
        if data is None:
            raise ServiceUnavailable(
                "the model rewrites of the pool changed while the request waited", hint="try again", retry_after_s=1
            )
        edited = self._edited(data, decided)
        return None if edited is data else edited


class HeadersOnlyRequest(_Side):
    """STREAMED and NONE: decided by headers alone; pieces of the body pass unseen."""

    def begin(self, event: RequestHeaders) -> list[Command]:
        """Routed at once."""
        self._headers = event
        if event.end_of_stream:
            return self._route_bodyless()
        return self._route(self._assembly.unseen(event), Phase.REQUEST_HEADERS)

    def chunk(self, event: RequestBodyChunk) -> list[Command]:  # noqa: ARG002  unseen by design
        """One answer per piece, after the headers were answered."""
        return self._in_order(Continue(Phase.REQUEST_BODY))

    def trailers(self) -> list[Command]:
        """Answered after the headers."""
        return self._in_order(Continue(Phase.REQUEST_TRAILERS))

    def decided(self, decision: Decision) -> list[Command]:
        """The headers' answer, then those that had to wait for it."""
        self._is_decided = True
        return [self._routing(decision, Phase.REQUEST_HEADERS), *self._unanswered]


SIDES: Final[dict[BodyMode, type[FullDuplexRequest] | type[BufferedRequest] | type[HeadersOnlyRequest]]] = {
    BodyMode.NONE: HeadersOnlyRequest,
    BodyMode.STREAMED: HeadersOnlyRequest,
    BodyMode.BUFFERED: BufferedRequest,
    BodyMode.BUFFERED_PARTIAL: BufferedRequest,
    BodyMode.FULL_DUPLEX_STREAMED: FullDuplexRequest,
    BodyMode.GRPC: FullDuplexRequest,
}
