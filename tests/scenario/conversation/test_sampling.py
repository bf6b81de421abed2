"""Sampled requests: the response body is turned on for one request where the proxy lets us, and its usage is read."""

import pytest

from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.protocol.commands import Continue, FollowServed, NoteFirstToken, OverrideMode, Phase, Release
from epp.core.protocol.events import BodyMode, ResponseBodyChunk, ResponseHeaders, ResponseTrailers, StreamEnded
from epp.core.protocol.response_side import LONGEST_BUFFERED_ANSWER_BYTES
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, decided, get, response, routing

HEADERS, BODY = Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY
SSE = "text/event-stream"


def sampled(request_mode: BodyMode = BodyMode.BUFFERED, response_mode: BodyMode = BodyMode.NONE) -> Playbook:
    """A routed request whose response is wanted."""
    book = Playbook(sampled=True) >> get(request_mode, response=response_mode) << ANY_ROUTE
    return book >> decided() << routing(Phase.REQUEST_HEADERS)


def test_an_event_stream_is_turned_on_piece_by_piece() -> None:
    (
        sampled()
        >> response(content_type=SSE)
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.STREAMED)
        >> ResponseBodyChunk(b'data: {"usage":{"prompt_tok', end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY)
        >> ResponseBodyChunk(b'ens":7}}\n\n', end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, 37, TokenUsage(7))
    ).nothing()


@pytest.mark.parametrize("length", [0, LONGEST_BUFFERED_ANSWER_BYTES])
def test_a_short_json_answer_is_turned_on_whole(length: int) -> None:
    answer = b'{"usage":{"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}}}'
    (
        sampled()
        >> response(length=length)
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.BUFFERED)
        >> ResponseBodyChunk(answer, end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, len(answer), TokenUsage(None, 2, 1))
    ).nothing()


@pytest.mark.parametrize(
    "answer",
    [
        response(length=LONGEST_BUFFERED_ANSWER_BYTES + 1),
        response(),
        response(404, length=10),
        response(503, content_type=SSE),
        response(206, length=10),
    ],
    ids=["too long", "length unknown", "not found", "server error", "other success"],
)
def test_what_is_not_worth_it_stays_off(answer: ResponseHeaders) -> None:
    (sampled() >> answer << FollowServed(PICKED) << Continue(HEADERS)).nothing()


def test_headers_alone_need_no_override() -> None:
    (
        sampled()
        >> response(content_type=SSE, end_of_stream=True)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        << Release(Outcome.COMPLETE, 200, 0, None)
    ).nothing()


@pytest.mark.parametrize("mode", [BodyMode.FULL_DUPLEX_STREAMED, BodyMode.NONE, BodyMode.STREAMED])
def test_only_buffered_requests_can_be_overridden(mode: BodyMode) -> None:
    """Envoy ignores the override under full duplex; the others are left as the operator set them."""
    (sampled(mode) >> response(content_type=SSE) << FollowServed(PICKED) << Continue(HEADERS)).nothing()


@pytest.mark.parametrize("configured", [BodyMode.STREAMED, BodyMode.BUFFERED])
def test_a_body_that_is_shown_anyway_is_not_overridden(configured: BodyMode) -> None:
    book = sampled(response_mode=configured) >> response(content_type=SSE) << FollowServed(PICKED)
    (book << Continue(HEADERS)).nothing()


def test_a_response_without_a_decision_is_not_sampled() -> None:
    book = Playbook(sampled=True) >> get(BodyMode.BUFFERED) << ANY_ROUTE >> StreamEnded()
    book.conversation.receive(response(content_type=SSE))
    bypassed = Playbook(sampled=True)
    bypassed.conversation.receive(get(BodyMode.BUFFERED, path="/x"))
    commands = bypassed.conversation.receive(response(content_type=SSE))
    assert Continue(HEADERS) in commands
    assert OverrideMode(BodyMode.STREAMED) not in commands


def test_an_overridden_stream_that_ends_with_trailers() -> None:
    (
        sampled()
        >> response(content_type=SSE)
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.STREAMED)
        >> ResponseBodyChunk(b'data: {"usage":{"prompt_tokens":1}}', end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY)
        >> ResponseTrailers()
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(Outcome.COMPLETE, 200, 35, TokenUsage(1))
    ).nothing()
