"""What plugins tell the gateway of an answer rides on the last message of the answer."""

import pytest

from epp.core.domain.decision import MetadataNumber
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.domain.record import replaced
from epp.core.protocol.chunks import MAX_CHUNK_BYTES
from epp.core.protocol.commands import (
    Continue,
    FollowServed,
    NoteFirstToken,
    OverrideMode,
    Phase,
    Release,
    SendBody,
)
from epp.core.protocol.events import BodyMode, Decided, ResponseBodyChunk, ResponseTrailers, StreamEnded
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, decision_for, get, response, routing

ANSWER = b'{"usage":{"prompt_tokens":3,"completion_tokens":5}}'
EVENTS = b"data: " + ANSWER + b"\n\n"
COST = (MetadataNumber("envoy.lb", "cost", 8),)
USAGE = TokenUsage(3, 5)
BODY, TRAILERS = Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS


def cost(usage: TokenUsage) -> MetadataNumber:
    return MetadataNumber("envoy.lb", "cost", (usage.prompt_tokens or 0) + (usage.completion_tokens or 0))


def routed(mode: BodyMode = BodyMode.NONE) -> Playbook:
    """A buffered request that was routed, nobody's sample, with two reporters of which one is silent."""
    decision = replaced(decision_for(PICKED), reporters=(cost, lambda _: None))
    book = Playbook() >> get(BodyMode.BUFFERED, response=mode) << ANY_ROUTE
    return book >> Decided(decision) << routing(Phase.REQUEST_HEADERS)


def test_every_answer_is_looked_into() -> None:
    (
        routed()
        >> response(length=len(ANSWER))
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.BUFFERED)
        >> ResponseBodyChunk(ANSWER, end_of_stream=True)
        << Continue(BODY, metadata=COST)
        << Release(Outcome.COMPLETE, 200, len(ANSWER), USAGE)
    ).nothing()


def test_on_the_trailers_where_they_are_the_end() -> None:
    (
        routed()
        >> response(content_type="text/event-stream")
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.STREAMED)
        >> ResponseBodyChunk(EVENTS, end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY)
        >> ResponseTrailers()
        << Continue(TRAILERS, metadata=COST)
        << Release(Outcome.COMPLETE, 200, len(EVENTS), USAGE)
    ).nothing()


def test_on_the_last_piece_in_full_duplex() -> None:
    first = b" " * MAX_CHUNK_BYTES
    (
        routed(BodyMode.FULL_DUPLEX_STREAMED)
        >> response()
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseBodyChunk(first + ANSWER, end_of_stream=True)
        << SendBody(BODY, first, end_of_stream=False)
        << SendBody(BODY, ANSWER, end_of_stream=True, metadata=COST)
        << Release(Outcome.COMPLETE, 200, len(first + ANSWER), USAGE)
    ).nothing()


@pytest.mark.parametrize("body", [b'{"error":{}}', b"not json"])
def test_without_usage_nothing_is_told(body: bytes) -> None:
    (
        routed(BodyMode.BUFFERED)
        >> response()
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseBodyChunk(body, end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, len(body), None)
    ).nothing()


def test_an_answer_that_is_cut_tells_nothing() -> None:
    book = routed(BodyMode.STREAMED) >> response(content_type="text/event-stream") << FollowServed(PICKED)
    book << Continue(Phase.RESPONSE_HEADERS) >> ResponseBodyChunk(EVENTS, end_of_stream=False)
    book << NoteFirstToken() << Continue(BODY) >> StreamEnded()
    (book << Release(Outcome.UNKNOWN, 200, len(EVENTS), None)).nothing()
