"""The response half: every message is answered, the reservation follows the server, the end is released once."""

import pytest

from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.protocol.chunks import MAX_CHUNK_BYTES
from epp.core.protocol.commands import (
    CancelRouting,
    Continue,
    FollowServed,
    NoteBypass,
    NoteFirstToken,
    Phase,
    Release,
    SendBody,
)
from epp.core.protocol.events import BodyMode, RequestBodyChunk, ResponseBodyChunk, ResponseTrailers, StreamEnded
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, decided, get, post, response, routing

NONE, STREAMED, BUFFERED, DUPLEX = (
    BodyMode.NONE,
    BodyMode.STREAMED,
    BodyMode.BUFFERED,
    BodyMode.FULL_DUPLEX_STREAMED,
)
HEADERS, BODY, TRAILERS = Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS
JSON_ANSWER = b'{"id":"1","usage":{"prompt_tokens":3,"completion_tokens":5}}'
SSE_ANSWER = b'data: {"choices":[]}\n\ndata: {"usage":{"prompt_tokens":3,"completion_tokens":5}}\n\ndata: [DONE]\n\n'
USAGE = TokenUsage(3, 5)


def routed(mode: BodyMode, request_mode: BodyMode = BUFFERED) -> Playbook:
    """A request without a body that was routed; its response body comes in `mode`."""
    book = Playbook() >> get(request_mode, response=mode) << ANY_ROUTE
    return book >> decided() << routing(Phase.REQUEST_HEADERS)


def test_none_the_end_of_the_stream_is_all_that_is_seen() -> None:
    (
        routed(NONE)
        >> response(length=60)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> StreamEnded()
        << Release(Outcome.UNKNOWN, 200, 60, None)
    ).nothing()


def test_none_with_trailers_the_end_is_known() -> None:
    (
        routed(NONE)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseTrailers()
        << Continue(TRAILERS)
        << Release(Outcome.COMPLETE, 200, None, None)
        >> StreamEnded()
    ).nothing()


@pytest.mark.parametrize("mode", list(BodyMode))
def test_an_answer_of_headers_alone(mode: BodyMode) -> None:
    (
        routed(mode)
        >> response(204, end_of_stream=True)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        << Release(Outcome.COMPLETE, 204, 0, None)
        >> StreamEnded()
    ).nothing()


def test_buffered_json() -> None:
    (
        routed(BUFFERED)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_buffered_json_with_trailers() -> None:
    (
        routed(BUFFERED)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=False)
        << Continue(BODY)
        >> ResponseTrailers()
        << Continue(TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_streamed_events_note_the_first_token_and_the_usage() -> None:
    (
        routed(STREAMED)
        >> response(content_type="text/event-stream; charset=utf-8")
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(SSE_ANSWER[:30], end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY)
        >> ResponseBodyChunk(SSE_ANSWER[30:], end_of_stream=False)
        << Continue(BODY)
        >> ResponseBodyChunk(b"", end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, len(SSE_ANSWER), USAGE)
        >> StreamEnded()
    ).nothing()


def test_streamed_json_has_no_first_token() -> None:
    (
        routed(STREAMED)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER[:10], end_of_stream=False)
        << Continue(BODY)
        >> ResponseBodyChunk(JSON_ANSWER[10:], end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_full_duplex_pieces_go_back_as_they_came() -> None:
    (
        routed(DUPLEX, DUPLEX)
        >> response(content_type="text/event-stream")
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(SSE_ANSWER[:30], end_of_stream=False)
        << NoteFirstToken()
        << SendBody(BODY, SSE_ANSWER[:30], end_of_stream=False)
        >> ResponseBodyChunk(SSE_ANSWER[30:], end_of_stream=True)
        << SendBody(BODY, SSE_ANSWER[30:], end_of_stream=True)
        << Release(Outcome.COMPLETE, 200, len(SSE_ANSWER), USAGE)
    ).nothing()


def test_full_duplex_with_trailers_and_an_empty_last_piece() -> None:
    (
        routed(DUPLEX, DUPLEX)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=False)
        << SendBody(BODY, JSON_ANSWER, end_of_stream=False)
        >> ResponseBodyChunk(b"", end_of_stream=False)
        << SendBody(BODY, b"", end_of_stream=False)
        >> ResponseTrailers()
        << Continue(TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_full_duplex_a_long_piece_is_cut() -> None:
    long = b"x" * (MAX_CHUNK_BYTES + 1)
    (
        routed(DUPLEX, DUPLEX)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(long, end_of_stream=True)
        << SendBody(BODY, long[:MAX_CHUNK_BYTES], end_of_stream=False)
        << SendBody(BODY, b"x", end_of_stream=True)
        << Release(Outcome.COMPLETE, 200, len(long), None)
    ).nothing()


def test_an_end_of_stream_that_envoy_repeats_is_not_answered_again() -> None:
    (
        routed(DUPLEX, DUPLEX)
        >> response()
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(b"{}", end_of_stream=True)
        << SendBody(BODY, b"{}", end_of_stream=True)
        << Release(Outcome.COMPLETE, 200, 2, None)
        >> ResponseBodyChunk(b"", end_of_stream=True)
    ).nothing()


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_the_outcome_however_it_ends(status: int) -> None:
    (
        routed(NONE)
        >> response(status)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> StreamEnded()
        << Release(Outcome.ERROR, status, None, None)
    ).nothing()
    (
        routed(BUFFERED)
        >> response(status)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(b"{}", end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.ERROR, status, 2, None)
    ).nothing()


@pytest.mark.parametrize("status", [400, 404, 429, 499])
def test_an_error_of_the_client_is_a_complete_answer(status: int) -> None:
    (
        routed(NONE)
        >> response(status, end_of_stream=True)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        << Release(Outcome.COMPLETE, status, 0, None)
    ).nothing()


def test_a_client_that_goes_before_the_answer() -> None:
    (routed(NONE) >> StreamEnded() << Release(Outcome.UNKNOWN, 0, None, None)).nothing()


def test_a_client_that_goes_in_the_middle_of_the_answer_leaves_no_usage() -> None:
    (
        routed(STREAMED)
        >> response(content_type="text/event-stream")
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(SSE_ANSWER, end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY)
        >> StreamEnded()
        << Release(Outcome.UNKNOWN, 200, len(SSE_ANSWER), None)
    ).nothing()


@pytest.mark.parametrize("served", ["10.0.0.2:8000", ""])
def test_the_proxy_says_who_served_or_does_not(served: str) -> None:
    (routed(NONE) >> response(served=served) << FollowServed(served) << Continue(HEADERS)).nothing()


@pytest.mark.parametrize("status", ["", "abc", "²", "-1"])
def test_a_status_that_is_no_number_counts_as_none(status: str) -> None:
    answer = response(served="")
    answer.headers[":status"] = status
    (
        routed(NONE)
        >> answer
        << FollowServed("")
        << Continue(HEADERS)
        >> StreamEnded()
        << Release(Outcome.UNKNOWN, 0, None, None)
    ).nothing()


def test_a_local_reply_before_the_decision_takes_the_question_back() -> None:
    """Another filter or a timeout of Envoy answered the client while routing still thought about it."""
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(Phase.REQUEST_HEADERS)
        >> RequestBodyChunk(b'{"model":"m","prompt":"x"}', end_of_stream=True)
        << ANY_ROUTE
        >> response(504, served="")
        << CancelRouting()
        << Continue(HEADERS)
        >> StreamEnded()
    ).nothing()


def test_a_local_reply_while_the_body_is_collected() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(Phase.REQUEST_HEADERS)
        >> response(408, served="")
        << Continue(HEADERS)
        >> StreamEnded()
    ).nothing()


def test_a_response_to_a_request_that_passed_by_the_picker() -> None:
    (
        Playbook()
        >> response(served="10.0.0.7:8000")
        << NoteBypass("10.0.0.7:8000")
        << Continue(HEADERS)
        >> ResponseBodyChunk(b"{}", end_of_stream=False)
        << Continue(BODY)
        >> ResponseTrailers()
        << Continue(TRAILERS)
        >> StreamEnded()
    ).nothing()


def test_a_stream_that_begins_in_the_middle_of_a_response() -> None:
    (
        Playbook()
        >> ResponseBodyChunk(b"{}", end_of_stream=True)
        << Continue(BODY)
        >> StreamEnded()
    ).nothing()  # fmt: skip
    (Playbook() >> ResponseTrailers() << Continue(TRAILERS)).nothing()
