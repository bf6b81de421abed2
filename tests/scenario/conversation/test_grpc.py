"""A gRPC call: its message is read, its answer's messages too, and how it went is in the trailers."""

import pytest

from epp.core.domain.errors import BadRequest
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.protocol.apis.parsers import PARSERS, ParserTable
from epp.core.protocol.commands import (
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
    Decided,
    RequestBodyChunk,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
    StreamEnded,
)
from epp.core.protocol.request_side import ConversationSettings
from tests.support.grpc_messages import encoded, framed, generate
from tests.support.playbook import (
    ANY_ROUTE,
    PICKED,
    Playbook,
    a_refusal,
    a_route,
    decision_for,
    post,
    response,
    routing,
)

SETTINGS = ConversationSettings(parsers=ParserTable(PARSERS))
BUFFERED, DUPLEX, NONE = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED, BodyMode.NONE
GENERATE = "/vllm.grpc.engine.VllmEngine/Generate"
GRPC = {"content-type": "application/grpc"}
OK = ResponseTrailers({"grpc-status": "0"})
CHUNK = framed(encoded("GenerateResponse", chunk={"prompt_tokens": 3, "completion_tokens": 4, "cached_tokens": 1}))
END = framed(encoded("GenerateResponse", complete={"finish_reason": "stop", "prompt_tokens": 3}))
USAGE = TokenUsage(3, 4, 1)


def called(path: str = GENERATE, *, stream: bool = True, sampled: bool = False, mode: BodyMode = NONE) -> Playbook:
    """A call in a buffered request that was routed; its answer's body comes in `mode`."""
    body = framed(generate([1, 2, 3], stream=stream))
    book = Playbook(SETTINGS, sampled=sampled) >> post(BUFFERED, path=path, headers=GRPC, response=mode)
    book << Continue(Phase.REQUEST_HEADERS) >> RequestBodyChunk(body, end_of_stream=True) << ANY_ROUTE
    return book >> Decided(decision_for(PICKED, book.routed)) << routing(Phase.REQUEST_BODY)


def answer() -> ResponseHeaders:
    return response(200, "application/grpc")


def test_the_message_is_read_and_the_body_goes_on_as_it_came() -> None:
    body = framed(generate([1, 2, 3], max_tokens=5), "gzip")
    book = Playbook(SETTINGS) >> post(DUPLEX, path=GENERATE, headers=GRPC)
    book >> RequestBodyChunk(body[:9], end_of_stream=False) >> RequestBodyChunk(body[9:], end_of_stream=False)
    book >> RequestTrailers() << a_route(streaming=True, max_tokens=5, model="", body_bytes=len(body))
    assert book.routed.prompt.token_count == 3
    (
        book
        >> Decided(decision_for(PICKED, book.routed))
        << routing(Phase.REQUEST_HEADERS, content_length=len(body))
        << SendBody(Phase.REQUEST_BODY, body, end_of_stream=False)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_a_broken_message_is_refused_as_grpc_wants_it() -> None:
    book = Playbook(SETTINGS) >> post(BUFFERED, path=GENERATE, headers=GRPC) << Continue(Phase.REQUEST_HEADERS)
    book >> RequestBodyChunk(b"hello", end_of_stream=True)
    book << a_refusal(BadRequest, "invalid or unsupported gRPC payload")
    assert book.conversation.is_grpc


def test_json_clients_are_not_taken_for_grpc_ones() -> None:
    book = Playbook(SETTINGS) >> post(BUFFERED, headers={"content-type": "application/json"})
    book << Continue(Phase.REQUEST_HEADERS)
    assert not book.conversation.is_grpc


@pytest.mark.parametrize(
    ("trailers", "outcome", "status"),
    [
        ({"grpc-status": "0"}, Outcome.COMPLETE, 200),
        ({"grpc-status": "5"}, Outcome.COMPLETE, 404),
        ({"grpc-status": "8"}, Outcome.COMPLETE, 429),
        ({"grpc-status": "14"}, Outcome.ERROR, 503),
        ({"grpc-status": "13"}, Outcome.ERROR, 500),
        ({}, Outcome.COMPLETE, 200),
    ],
)
def test_how_a_call_went_is_in_the_trailers(trailers: dict[str, str], outcome: Outcome, status: int) -> None:
    (
        called()
        >> answer()
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseTrailers(trailers)
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(outcome, status, None, None)
        >> StreamEnded()
    ).nothing()


def test_or_in_the_headers_where_nothing_else_comes() -> None:
    headers = {":status": "200", "content-type": "application/grpc", "grpc-status": "14"}
    (
        called()
        >> ResponseHeaders(headers, end_of_stream=True, served=PICKED)
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        << Release(Outcome.ERROR, 503, 0, None)
    ).nothing()


def test_a_status_in_the_trailers_of_another_answer_means_nothing() -> None:
    (
        called()
        >> response(200, "text/event-stream")
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseTrailers({"grpc-status": "14"})
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(Outcome.COMPLETE, 200, None, None)
    ).nothing()


def test_a_client_that_goes_away_is_no_error() -> None:
    book = called() >> answer() << FollowServed(PICKED) << Continue(Phase.RESPONSE_HEADERS)
    (book >> StreamEnded() << Release(Outcome.UNKNOWN, 200, None, None)).nothing()


def test_a_sample_of_a_streamed_answer_is_looked_into() -> None:
    (
        called(sampled=True)
        >> answer()
        << FollowServed(PICKED)
        << OverrideMode(BodyMode.STREAMED)
        >> ResponseBodyChunk(CHUNK[:7], end_of_stream=False)
        << NoteFirstToken()
        << Continue(Phase.RESPONSE_BODY)
        >> ResponseBodyChunk(CHUNK[7:] + END, end_of_stream=False)
        << Continue(Phase.RESPONSE_BODY)
        >> OK
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(CHUNK + END), USAGE)
    ).nothing()


def test_an_answer_in_one_message_has_no_first_token_of_its_own() -> None:
    (
        called(stream=False, mode=DUPLEX)
        >> answer()
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseBodyChunk(CHUNK, end_of_stream=False)
        << SendBody(Phase.RESPONSE_BODY, CHUNK, end_of_stream=False)
        >> OK
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(CHUNK), USAGE)
    ).nothing()


def test_messages_that_are_not_known_pass_unread() -> None:
    (
        called("/vllm.grpc.engine.VllmEngine/GetModelInfo", mode=DUPLEX)
        >> answer()
        << FollowServed(PICKED)
        << Continue(Phase.RESPONSE_HEADERS)
        >> ResponseBodyChunk(CHUNK, end_of_stream=False)
        << SendBody(Phase.RESPONSE_BODY, CHUNK, end_of_stream=False)
        >> OK
        << Continue(Phase.RESPONSE_TRAILERS)
        << Release(Outcome.COMPLETE, 200, len(CHUNK), None)
    ).nothing()
