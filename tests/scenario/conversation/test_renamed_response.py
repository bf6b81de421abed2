"""Rewritten models in the response: the client reads the name that it used, in every body mode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.commands import (
    Command,
    Continue,
    FollowServed,
    NoteFirstToken,
    OverrideMode,
    Phase,
    Release,
    SendBody,
)
from epp.core.protocol.events import (
    BodyMode,
    RequestBodyChunk,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
    StreamEnded,
)
from epp.core.protocol.request_side import ConversationSettings
from epp.core.protocol.response_side import LONGEST_BUFFERED_ANSWER_BYTES
from tests.support.playbook import PICKED, Playbook, decided, post, response

NONE, STREAMED, BUFFERED, DUPLEX = (
    BodyMode.NONE,
    BodyMode.STREAMED,
    BodyMode.BUFFERED,
    BodyMode.FULL_DUPLEX_STREAMED,
)
HEADERS, BODY, TRAILERS = Phase.RESPONSE_HEADERS, Phase.RESPONSE_BODY, Phase.RESPONSE_TRAILERS
SSE = "text/event-stream"
LENGTH = ("content-length",)
JSON_ANSWER = b'{"id":"1","model":"target","usage":{"prompt_tokens":3}}'
JSON_RENAMED = b'{"id":"1","model":"the alias","usage":{"prompt_tokens":3}}'
EVENT = b'data: {"model":"target"}\n\n'
RENAMED = b'data: {"model":"the alias"}\n\n'
USAGE = TokenUsage(3)


def rewritten(
    mode: BodyMode,
    request_mode: BodyMode = BUFFERED,
    *,
    sampled: bool = False,
    model: str = "the alias",
    target: str = "target",
) -> Playbook:
    """A request whose model was rewritten; its response body comes in `mode`."""
    request = InferenceRequest("req-1", model=model, target_model=target)
    book = Playbook(ConversationSettings(may_rewrite=lambda _: True), sampled=sampled)
    for event in (
        post(request_mode, response=mode),
        RequestBodyChunk(b'{"model":"the alias","prompt":"x"}', end_of_stream=True),
        decided(PICKED, request),
    ):
        book.conversation.receive(event)
    return book


def test_a_short_json_answer_is_turned_on_whole_and_gets_its_new_length() -> None:
    (
        rewritten(NONE)
        >> response(length=len(JSON_ANSWER))
        << FollowServed(PICKED)
        << OverrideMode(BUFFERED)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=True)
        << Continue(BODY, (("content-length", str(len(JSON_RENAMED))),), body=JSON_RENAMED)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


@pytest.mark.parametrize("length", [None, LONGEST_BUFFERED_ANSWER_BYTES + 1])
def test_a_long_json_answer_streams_and_loses_its_length(length: int | None) -> None:
    (
        rewritten(NONE)
        >> response(length=length)
        << FollowServed(PICKED)
        << OverrideMode(STREAMED, remove_headers=LENGTH)
        >> ResponseBodyChunk(JSON_ANSWER[:20], end_of_stream=False)
        << Continue(BODY, body=b'{"id":"1","model":"the alias"')
        >> ResponseBodyChunk(JSON_ANSWER[20:22], end_of_stream=False)
        << Continue(BODY, body=b"")
        >> ResponseBodyChunk(JSON_ANSWER[22:], end_of_stream=True)
        << Continue(BODY, body=b',"usage":{"prompt_tokens":3}}')
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), None)
    ).nothing()


def test_an_event_stream_is_turned_on_piece_by_piece() -> None:
    (
        rewritten(NONE)
        >> response(content_type=f"{SSE}; charset=utf-8")
        << FollowServed(PICKED)
        << OverrideMode(STREAMED, remove_headers=LENGTH)
        >> ResponseBodyChunk(EVENT, end_of_stream=False)
        << NoteFirstToken()
        << Continue(BODY, body=RENAMED)
        >> ResponseBodyChunk(EVENT[:18], end_of_stream=False)
        << Continue(BODY, body=RENAMED[:-3])
        >> ResponseBodyChunk(EVENT[18:], end_of_stream=False)
        << Continue(BODY, body=RENAMED[-3:])
        >> ResponseBodyChunk(b"data: [DONE]\n\n", end_of_stream=True)
        << Continue(BODY)
        << Release(Outcome.COMPLETE, 200, 2 * len(EVENT) + 14, None)
    ).nothing()


def test_a_configured_buffered_body() -> None:
    (
        rewritten(BUFFERED)
        >> response(length=len(JSON_ANSWER))
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=False)
        << Continue(BODY, (("content-length", str(len(JSON_RENAMED))),), body=JSON_RENAMED)
        >> ResponseTrailers()
        << Continue(TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_a_configured_streamed_body() -> None:
    (
        rewritten(STREAMED)
        >> response(length=len(JSON_ANSWER))
        << FollowServed(PICKED)
        << Continue(HEADERS, remove_headers=LENGTH)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=True)
        << Continue(BODY, body=JSON_RENAMED)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


def test_full_duplex() -> None:
    (
        rewritten(DUPLEX, DUPLEX)
        >> response(content_type=SSE)
        << FollowServed(PICKED)
        << Continue(HEADERS, remove_headers=LENGTH)
        >> ResponseBodyChunk(EVENT, end_of_stream=False)
        << NoteFirstToken()
        << SendBody(BODY, RENAMED, end_of_stream=False)
        >> ResponseBodyChunk(EVENT, end_of_stream=True)
        << SendBody(BODY, RENAMED, end_of_stream=True)
        << Release(Outcome.COMPLETE, 200, 2 * len(EVENT), None)
    ).nothing()


def test_a_client_that_goes_away_in_the_middle_of_a_name() -> None:
    (
        rewritten(DUPLEX, DUPLEX)
        >> response(content_type=SSE)
        << FollowServed(PICKED)
        << Continue(HEADERS, remove_headers=LENGTH)
        >> ResponseBodyChunk(EVENT[:18], end_of_stream=False)
        << NoteFirstToken()
        << SendBody(BODY, RENAMED[:-3], end_of_stream=False)
        >> StreamEnded()
        << Release(Outcome.UNKNOWN, 200, 18, None)
    ).nothing()


def encoded(encoding: str) -> ResponseHeaders:
    answer = response(length=10)
    answer.headers["content-encoding"] = encoding
    return answer


@pytest.mark.parametrize(
    "answer",
    [encoded("gzip"), encoded("br"), response(404, length=10), response(500), response(content_type="audio/mpeg")],
    ids=["gzip", "brotli", "not found", "server error", "audio"],
)
def test_what_cannot_be_renamed_is_left_alone(answer: ResponseHeaders) -> None:
    (rewritten(NONE) >> answer << FollowServed(PICKED) << Continue(HEADERS)).nothing()
    (
        rewritten(DUPLEX, DUPLEX)
        >> answer
        << FollowServed(PICKED)
        << Continue(HEADERS)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=False)
        << SendBody(BODY, JSON_ANSWER, end_of_stream=False)
    ).nothing()


def test_identity_is_no_encoding() -> None:
    (rewritten(NONE) >> encoded("identity") << FollowServed(PICKED) << OverrideMode(BUFFERED)).nothing()


def test_headers_alone_have_nothing_to_rename() -> None:
    (
        rewritten(NONE)
        >> response(end_of_stream=True)
        << FollowServed(PICKED)
        << Continue(HEADERS)
        << Release(Outcome.COMPLETE, 200, 0, None)
    ).nothing()


@pytest.mark.parametrize("model", ["", "same"])
def test_without_another_target_nothing_is_turned_on(model: str) -> None:
    """Where the client named no model there is no name to give back either."""
    book = rewritten(NONE, model=model, target=model or "target")
    (book >> response(length=10) << FollowServed(PICKED) << Continue(HEADERS)).nothing()


def test_a_long_answer_that_is_sampled_too_has_its_usage_read() -> None:
    (
        rewritten(NONE, sampled=True)
        >> response(length=LONGEST_BUFFERED_ANSWER_BYTES + 1)
        << FollowServed(PICKED)
        << OverrideMode(STREAMED, remove_headers=LENGTH)
        >> ResponseBodyChunk(JSON_ANSWER, end_of_stream=True)
        << Continue(BODY, body=JSON_RENAMED)
        << Release(Outcome.COMPLETE, 200, len(JSON_ANSWER), USAGE)
    ).nothing()


ANSWER = (
    b": hi\n\n" + EVENT + b'event: x\r\ndata: {"text":"\\"model\\":\\"target\\""}\r\n\r\n' + EVENT + b"data: [DONE]\n\n"
)


@given(st.sampled_from([NONE, STREAMED, DUPLEX]), st.lists(st.integers(0, len(ANSWER)), max_size=6))
def test_however_a_stream_is_cut_the_client_reads_the_same(mode: BodyMode, cuts: list[int]) -> None:
    book = rewritten(mode, DUPLEX if mode is DUPLEX else BUFFERED)
    book.conversation.receive(response(content_type=SSE))
    edges = [0, *sorted(cuts), len(ANSWER)]
    read = b""
    for number in range(1, len(edges)):
        piece = ANSWER[edges[number - 1] : edges[number]]
        is_last = number == len(edges) - 1
        for command in book.conversation.receive(ResponseBodyChunk(piece, end_of_stream=is_last)):
            read += forwarded(command, piece)
    assert read == ANSWER.replace(EVENT, RENAMED)


def forwarded(command: Command, piece: bytes) -> bytes:
    """What Envoy sends on of `piece`."""
    if isinstance(command, SendBody):
        return bytes(command.data)
    if isinstance(command, Continue) and command.phase is BODY:
        return piece if command.body is None else command.body
    return b""
