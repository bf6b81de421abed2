"""A proxy that keeps to the protocol gets exactly one answer to each message, in order, in every body mode."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.request import InferenceRequest
from epp.core.protocol.chunks import MAX_CHUNK_BYTES
from epp.core.protocol.commands import Command, Continue, OverrideMode, Phase, Route, SendBody, SendRouting
from epp.core.protocol.conversation import Conversation
from epp.core.protocol.events import (
    BodyMode,
    Event,
    RequestBodyChunk,
    RequestHeaders,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
)
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import PICKED, decided, post, response

BODY = b'{"model":"m","prompt":"%s","priority":3}' % (b"na" * 70_000)
PHASES = {
    RequestHeaders: Phase.REQUEST_HEADERS,
    RequestBodyChunk: Phase.REQUEST_BODY,
    RequestTrailers: Phase.REQUEST_TRAILERS,
    ResponseHeaders: Phase.RESPONSE_HEADERS,
    ResponseBodyChunk: Phase.RESPONSE_BODY,
    ResponseTrailers: Phase.RESPONSE_TRAILERS,
}


def pieces(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    """`body` cut at these places."""
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def request_of(mode: BodyMode, response_mode: BodyMode, cuts: Sequence[int], trailers: bool) -> list[Event]:
    """What Envoy sends of a request in this mode."""
    events: list[Event] = [post(mode, response=response_mode)]
    if mode is BodyMode.NONE:
        return events
    parts = [BODY] if mode is BodyMode.BUFFERED else pieces(BODY, cuts)
    events += [RequestBodyChunk(part, number == len(parts) and not trailers) for number, part in enumerate(parts, 1)]
    return [*events, RequestTrailers()] if trailers else events


def response_of(mode: BodyMode, content_type: str, cuts: Sequence[int], trailers: bool, sampled: bool) -> list[Event]:
    """What Envoy sends of a response in this mode; a sampled JSON answer declares its length and is turned on whole."""
    answer = b'data: {"usage":{}}\n\n' * 5
    events: list[Event] = [response(content_type=content_type, length=len(answer))]
    if mode is BodyMode.NONE and not sampled:
        return [*events, ResponseTrailers()] if trailers else events
    whole = mode is BodyMode.BUFFERED or (sampled and "json" in content_type)
    parts = [answer] if whole else pieces(answer, cuts)
    events += [ResponseBodyChunk(part, number == len(parts) and not trailers) for number, part in enumerate(parts, 1)]
    return [*events, ResponseTrailers()] if trailers else events


def answers(commands: Sequence[Command]) -> list[Phase]:
    """The messages that these commands answer."""
    return [
        Phase.RESPONSE_HEADERS if isinstance(command, OverrideMode) else command.phase
        for command in commands
        if isinstance(command, (Continue, SendRouting, SendBody, OverrideMode))
    ]


cut_lists = st.lists(st.integers(0, len(BODY)), max_size=6)


@settings(max_examples=200, deadline=None)
@given(
    mode=st.sampled_from([BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.NONE]),
    response_mode=st.sampled_from([BodyMode.NONE, BodyMode.STREAMED, BodyMode.BUFFERED]),
    cuts=cut_lists,
    request_trailers=st.booleans(),
    response_trailers=st.booleans(),
    content_type=st.sampled_from(["application/json", "text/event-stream"]),
    sampled=st.booleans(),
    target=st.sampled_from(["m", "target"]),
    decided_after=st.integers(0, 9),
)
def test_one_answer_per_message(
    *,
    mode: BodyMode,
    response_mode: BodyMode,
    cuts: list[int],
    request_trailers: bool,
    response_trailers: bool,
    content_type: str,
    sampled: bool,
    target: str,
    decided_after: int,
) -> None:
    # Bodies are not shown in the other modes, so that their models stay as they are.
    is_rewritten = mode is BodyMode.BUFFERED and target != "m"
    settings = ConversationSettings(may_rewrite=lambda _: is_rewritten)
    decision = decided(PICKED, InferenceRequest("r", model="m", target_model=target if is_rewritten else "m"))
    conversation = Conversation(settings, lambda: "generated", sampled=sampled)
    messages = request_of(mode, response_mode, cuts, request_trailers)
    commands: list[Command] = []
    waits = False
    for message in messages:
        said = conversation.receive(message)
        waits = waits or any(isinstance(command, Route) for command in said)
        commands += said
        if waits and decided_after <= 0:
            commands += conversation.receive(decision)
            waits = False
        decided_after -= 1
    if waits:
        commands += conversation.receive(decision)
    overrides = (sampled or is_rewritten) and mode is BodyMode.BUFFERED and response_mode is BodyMode.NONE
    rest = response_of(response_mode, content_type, cuts, response_trailers, overrides)
    for message in rest:
        commands += conversation.receive(message)

    assert answers(commands) == [PHASES[type(message)] for message in [*messages, *rest]]
    assert sum(isinstance(command, SendRouting) for command in commands) == 1


@settings(deadline=None)
@given(cuts=cut_lists, trailers=st.booleans(), cut_priority=st.booleans())
def test_full_duplex_gives_the_same_bytes_back_however_they_came(
    cuts: list[int], trailers: bool, cut_priority: bool
) -> None:
    conversation = Conversation(ConversationSettings(cut_priority=cut_priority), lambda: "generated", sampled=False)
    messages = request_of(BodyMode.FULL_DUPLEX_STREAMED, BodyMode.FULL_DUPLEX_STREAMED, cuts, trailers)
    for message in messages[:-1]:
        assert conversation.receive(message) == []
    [route] = conversation.receive(messages[-1])
    assert isinstance(route, Route)

    commands = conversation.receive(decided())

    expected = BODY.replace(b',"priority":3', b"") if cut_priority else BODY
    phases = answers(commands)
    body_phases = [Phase.REQUEST_BODY] * (-(-len(expected) // MAX_CHUNK_BYTES))
    assert phases == [Phase.REQUEST_HEADERS, *body_phases, *([Phase.REQUEST_TRAILERS] if trailers else [])]
    sent = [command for command in commands if isinstance(command, SendBody)]
    assert b"".join(bytes(piece.data) for piece in sent) == expected
    assert [piece.end_of_stream for piece in sent] == [False] * (len(sent) - 1) + [not trailers]
