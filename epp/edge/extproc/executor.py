"""The executor: runs the commands of one conversation against routing, transport and signals."""

import asyncio
from typing import Any, Final

from epp.core.domain.decision import Decision
from epp.core.domain.errors import DroppedReason, InternalError, Refusal, ResourceExhausted, ServiceUnavailable
from epp.core.domain.ports import RequestReport
from epp.core.domain.request import InferenceRequest
from epp.core.flow.refusals import shutting_down, unscheduled
from epp.core.flow.ticket import Answer, Ticket
from epp.core.protocol.commands import (
    CancelRouting,
    Continue,
    ExtendTimeout,
    FollowServed,
    NoteBypass,
    NoteFirstToken,
    OverrideMode,
    Refuse,
    Release,
    Route,
    SendBody,
    SendRouting,
)
from epp.core.protocol.conversation import Conversation
from epp.core.protocol.events import Decided, Event, Held, Refused, StreamEnded
from epp.edge.extproc import codec, encode
from epp.edge.extproc.refusals import to_http
from epp.edge.extproc.services import Services
from epp.edge.extproc.token_wait import TokenWait
from epp.edge.extproc.transport import GrpcStatus, Message, ServerStream

LONGEST_WAIT_S: Final = 119.0
"""with the conversation's margin just below the max_message_timeout of our Envoy configurations, 120 s"""
OVERDUE_AFTER_S: Final = 0.2
"""whoever holds a request answers it in time and says why; only when that has not happened, the executor does. This is
less than the margin that the proxy was told to wait beyond that"""
BUDGET_WAIT_S: Final = 5.0
"""how long a stream waits for room in the body budget before it is refused"""


class StreamExecutor:
    """StreamHandler of one ext_proc stream."""

    # Most requests leave these as they are.
    _request: InferenceRequest | None = None
    _decision: Decision | None = None
    _is_released = False
    _ticket: Ticket | None = None
    _token_wait: TokenWait | None = None
    _waited_s = 0.0
    """for token ids; the wait for a place must end that much earlier"""
    _deadline: asyncio.TimerHandle | None = None
    _first_token_at: float | None = None
    _served = ""
    _held_bytes = 0
    _announced_bytes = 0
    """of a message that is not whole yet"""
    _waits_for_room = False

    def __init__(self, services: Services, stream: ServerStream) -> None:
        self._services = services
        self._stream = stream
        self._conversation = Conversation(services.settings, services.new_request_id, sampled=services.wants_sample())
        self._started_at = services.clock()

    def message_announced(self, message_bytes: int) -> None:
        """A long message is on its way, which takes as much room (StreamHandler)."""
        self._announced_bytes = message_bytes
        self._account()

    def message_received(self, message: Message) -> None:
        """One message of the proxy (StreamHandler)."""
        try:
            event = codec.decode(message)
        except codec.MalformedMessage as malformed:
            self._services.faults.fault("malformed ext_proc message", self._request_id, malformed)
            self._stream.fail(GrpcStatus.INVALID_ARGUMENT, str(malformed))
            return
        try:
            self._receive(event)
            if self._conversation.held_bytes != self._held_bytes or self._announced_bytes:
                self._announced_bytes = 0
                self._account()
        except Exception as error:  # noqa: BLE001  a fault of ours must not lose the request: Envoy goes on without us
            self._fault(error)

    def half_closed(self) -> None:
        """The proxy wants nothing more of this stream (StreamHandler)."""
        self._stream.finish()

    def drain(self) -> None:
        """The server is stopping (StreamHandler): a begun answer goes on without us, a waiting request is refused."""
        if self._conversation.is_answering:
            self._stream.finish()
        elif self._token_wait is not None:
            self._drop_token_wait()
            self._ticket_answered(shutting_down())
        else:
            self._give_up_waiting(shutting_down())

    def closed(self) -> None:
        """The stream is over (StreamHandler)."""
        try:
            self._receive(StreamEnded())
        finally:
            self._drop_deadline()
            if self._held_bytes or self._waits_for_room:
                self._services.budget.leave(self)
                self._services.budget.change(-self._held_bytes)
                self._held_bytes = 0
            decision = self._decision
            if decision is not None and not self._is_released and self._services.routing.release(decision):
                error = RuntimeError("the conversation ended without a release")
                self._services.faults.fault("reservation released late", self._request_id, error)

    @property
    def _request_id(self) -> str:
        return self._request.request_id if self._request else self._conversation.request_id

    def _receive(self, event: Event) -> None:
        for command in self._conversation.receive(event):
            self._execute(command)

    def _execute(self, command: Any) -> None:
        """By the exact type, the frequent ones first: a comparison is cheaper than a table when compiled."""
        kind = type(command)
        if kind is Continue:
            self._stream.send(encode.encode_continue(command))
        elif kind is SendRouting:
            self._send_routing(command)
        elif kind is Route:
            self._route(command.request)
        elif kind is SendBody:
            self._send_body(command)
        elif kind is FollowServed:
            self._follow(command)
        elif kind is NoteFirstToken:
            self._note_first_token()
        elif kind is Release:
            self._release(command)
        else:
            self._execute_rarely(command)

    def _execute_rarely(self, command: Any) -> None:
        kind = type(command)
        if kind is OverrideMode:
            self._stream.send(encode.encode_override(command))
        elif kind is ExtendTimeout:
            self._stream.send(encode.encode_extension(command))
        elif kind is NoteBypass:
            self._services.metrics.picker_bypassed(command.destination)
        elif kind is CancelRouting:
            self._withdraw()
        elif kind is Refuse:
            self._refuse(command)
        else:
            raise TypeError(f"no such command: {kind.__name__}")

    def _send_routing(self, command: SendRouting) -> None:
        self._stream.send(*encode.encode_routing(command))

    def _send_body(self, command: SendBody) -> None:
        self._stream.send(*encode.encode_body(command))

    def _route(self, request: InferenceRequest) -> None:
        self._request = request
        self._services.metrics.request_started(request)
        tokens = self._services.tokens
        if tokens is not None and tokens.wants(request):
            self._token_wait = TokenWait(tokens, request, self._tokens_told, self._tokens_failed)
            self._receive(Held(LONGEST_WAIT_S))  # the proxy's timer is extended once, whatever else comes
        else:
            self._decide(request)

    def _tokens_failed(self, error: Exception) -> None:
        self._services.faults.fault("token source failed", self._request_id, error)

    def _tokens_told(self, request: InferenceRequest) -> None:
        self._token_wait = None
        self._waited_s = self._services.clock() - self._started_at
        try:
            self._decide(request)
            self._account()
        except Exception as error:  # noqa: BLE001  nobody else would hear of it
            self._fault(error)

    def _decide(self, request: InferenceRequest) -> None:
        services = self._services
        answer: Decision | Ticket | Refusal
        try:
            answer = services.routing.decide(request)
        except Refusal as refusal:
            answer = refusal
        except Exception as error:  # noqa: BLE001  a plugin's fault becomes a clear 500 for this request alone
            answer = unscheduled(error)
        if isinstance(answer, Ticket):
            self._hold(answer)
        else:
            self._answered(answer)

    def _hold(self, ticket: Ticket) -> None:
        self._ticket = ticket
        ticket.on_answer(self._ticket_answered)
        wait_s = max(0.0, min(ticket.wait_s, LONGEST_WAIT_S - self._waited_s))
        self._deadline = asyncio.get_running_loop().call_later(wait_s + OVERDUE_AFTER_S, self._overdue, wait_s)
        self._receive(Held(wait_s))

    def _overdue(self, waited: float) -> None:
        """The picker's own deadline: under full-duplex the proxy has none."""
        self._give_up_waiting(
            ServiceUnavailable(
                f"request timed out in queue: no endpoint within {waited:g} s",
                reason=DroppedReason.TTL_EXPIRED,
                retry_after_s=1,
            )
        )

    def _give_up_waiting(self, refusal: Refusal) -> None:
        if self._ticket is not None and self._ticket.is_open:
            self._ticket.withdraw()
            self._ticket_answered(refusal)

    def _ticket_answered(self, answer: Answer) -> None:
        self._drop_deadline()
        try:
            self._answered(answer)
            self._account()
        except Exception as error:  # noqa: BLE001  who grants tickets must not suffer for one stream
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        self._services.faults.fault("unexpected error in a request", self._request_id, error)
        self._stream.fail(GrpcStatus.INTERNAL, "endpoint picker fault; see its log")

    def _answered(self, answer: Answer) -> None:
        services = self._services
        if isinstance(answer, Refusal):
            if isinstance(answer, InternalError) and answer.__cause__ is not None:
                services.faults.fault("routing failed", self._request_id, answer.__cause__)
            self._receive(Refused(answer))
            return
        lessons = answer.lessons
        self._decision = answer
        self._request = answer.request
        services.metrics.request_routed(answer)
        services.routing.dispatched(answer, self._break_off)
        if lessons:  # they hold the prompt, but the decision stays until the response is over
            services.lessons.add(tuple(lessons), sees_answer=self._conversation.sees_answer(answer))
            lessons.clear()
        self._receive(Decided(answer))

    def _break_off(self, refusal: Refusal) -> None:
        """Ends a dispatched request (BreakOff)."""
        try:
            self._receive(Refused(refusal))
        except Exception as error:  # noqa: BLE001  who makes room must not suffer for one stream
            self._fault(error)

    def _refuse(self, command: Refuse) -> None:
        refusal = command.refusal
        self._drop_token_wait()
        if self._request is not None:
            self._request = self._request.without_prompt()
        self._services.metrics.request_refused(self._request, refusal)
        self._stream.send(encode.encode_refusal(to_http(refusal, self._request_id, is_grpc=self._conversation.is_grpc)))

    def _withdraw(self) -> None:
        self._drop_deadline()
        self._drop_token_wait()
        if self._ticket is not None:
            self._ticket.withdraw()

    def _drop_token_wait(self) -> None:
        if self._token_wait is not None:
            self._token_wait.withdraw()
            self._token_wait = None

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _follow(self, command: FollowServed) -> None:
        destination = command.destination
        if self._decision is not None:
            self._served = destination
            self._services.routing.response_begun(self._decision, destination)

    def _note_first_token(self) -> None:
        self._first_token_at = self._services.clock()
        if self._decision is not None:
            self._services.routing.first_token(self._decision)

    def _release(self, command: Release) -> None:
        services, decision = self._services, self._decision
        if decision is None:
            return
        self._is_released = True
        if not services.routing.release(decision):
            return
        started = self._started_at
        report = RequestReport(
            outcome=command.outcome,
            status=command.status,
            duration_s=services.clock() - started,
            request_bytes=decision.request.body_bytes,
            response_bytes=command.response_bytes,
            first_token_s=None if self._first_token_at is None else self._first_token_at - started,
            usage=command.usage,
            served=self._served,
        )
        services.metrics.request_finished(decision, report)
        services.routing.finished(decision, report)

    def _account(self) -> None:
        """Brings the body budget up to date and stops reading where it is exceeded."""
        held = self._conversation.held_bytes + self._announced_bytes
        delta = held - self._held_bytes
        if not delta:
            return
        self._held_bytes = held
        budget = self._services.budget
        budget.change(delta)
        if delta > 0 and budget.is_full and self._deadline is None and self._token_wait is None:
            self._stream.pause_reading()
            self._waits_for_room = True
            budget.wait(self, self._room_again)
            self._deadline = asyncio.get_running_loop().call_later(BUDGET_WAIT_S, self._no_room)

    def _room_again(self) -> None:
        self._drop_deadline()
        self._stream.resume_reading()

    def _no_room(self) -> None:
        self._services.budget.leave(self)
        self._receive(
            Refused(
                ResourceExhausted(
                    "too many request bytes are buffered",
                    hint="all requests together may hold --max-buffered-bytes",
                    reason=DroppedReason.SATURATED,
                    retry_after_s=1,
                )
            )
        )
        self._account()
        self._stream.resume_reading()
