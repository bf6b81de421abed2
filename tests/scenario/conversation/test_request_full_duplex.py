"""FULL_DUPLEX_STREAMED requests (GKE, Istio): nothing is answered until the body is whole, then everything at once."""

import pytest

from epp.core.domain.request import PromptKind
from epp.core.protocol.chunks import MAX_CHUNK_BYTES
from epp.core.protocol.commands import Continue, Phase, SendBody
from epp.core.protocol.events import BodyMode, Headers, RequestBodyChunk, RequestTrailers
from tests.support.playbook import (
    ANY_ROUTE,
    GENERATED_ID,
    PICKED,
    Playbook,
    a_route,
    decided,
    get,
    post,
    routing,
)

DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
BODY = b'{"model":"llama","prompt":"hello"}'
HEADERS, SENDS_BODY = Phase.REQUEST_HEADERS, Phase.REQUEST_BODY


def test_a_body_in_one_chunk() -> None:
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(model="llama", body_bytes=len(BODY), path="/v1/completions", request_id="req-1")
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_a_body_in_many_chunks_goes_back_in_as_few_as_possible() -> None:
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY[:5], end_of_stream=False)
        >> RequestBodyChunk(BODY[5:20], end_of_stream=False)
        >> RequestBodyChunk(BODY[20:], end_of_stream=True)
        << a_route(model="llama", body_bytes=len(BODY))
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_an_empty_last_chunk_ends_the_body() -> None:
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY, end_of_stream=False)
        >> RequestBodyChunk(b"", end_of_stream=True)
        << a_route(body_bytes=len(BODY))
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_trailers_end_a_body_that_had_no_end_of_its_own() -> None:
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY, end_of_stream=False)
        >> RequestTrailers()
        << a_route(model="llama")
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=False)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_trailers_after_an_ended_body_are_answered_once_and_after_it() -> None:
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << ANY_ROUTE
        >> RequestTrailers()
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_an_end_of_stream_that_envoy_repeats_changes_nothing() -> None:
    """envoy#46237: an empty chunk with end_of_stream may follow the one that had it."""
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << ANY_ROUTE
        >> RequestBodyChunk(b"", end_of_stream=True)
        >> decided()
        << routing(HEADERS, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
        >> RequestBodyChunk(b"", end_of_stream=True)
    ).nothing()


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_long_body_is_cut_and_stays_the_same_to_the_byte(pieces: int, extra: int) -> None:
    size = pieces * MAX_CHUNK_BYTES + extra
    frame = b'{"model":"m","prompt":"%s"}'
    body = frame % (b"abc\xc3\xa9 " * size)[: size - len(frame % b"")]
    book = Playbook() >> post(DUPLEX) >> RequestBodyChunk(body, end_of_stream=True) << a_route(body_bytes=size)

    commands = book.conversation.receive(decided())

    assert commands[0] == routing(HEADERS, content_length=size)
    sent = [command for command in commands[1:] if isinstance(command, SendBody)]
    assert len(sent) == len(commands) - 1 == pieces + bool(extra)
    assert b"".join(bytes(piece.data) for piece in sent) == body
    assert all(0 < len(piece.data) <= MAX_CHUNK_BYTES for piece in sent)
    assert [piece.end_of_stream for piece in sent] == [False] * (len(sent) - 1) + [True]


def test_priority_is_cut_out_of_the_body_and_the_length_follows() -> None:
    forwarded = b'{"model":"llama","prompt":"hello"}'
    (
        Playbook()
        >> post(DUPLEX)
        >> RequestBodyChunk(b'{"model":"llama","priority":7,"prompt":"hello"}', end_of_stream=True)
        << a_route(claimed_priority=7)
        >> decided()
        << routing(HEADERS, content_length=len(forwarded))
        << SendBody(SENDS_BODY, forwarded, end_of_stream=True)
    ).nothing()


def test_a_request_without_a_body_is_routed_by_its_headers() -> None:
    (
        Playbook()
        >> get(DUPLEX)
        << a_route(path="/v1/models", method="GET", model="", body_bytes=0)
        >> decided()
        << routing(HEADERS)
    ).nothing()


def test_a_get_with_an_empty_chunk_is_still_a_request_without_a_body() -> None:
    """An HTTP/2 client may end a GET with an empty DATA frame."""
    (
        Playbook()
        >> post(DUPLEX, method="GET", path="/v1/models")
        >> RequestBodyChunk(b"", end_of_stream=True)
        << a_route(path="/v1/models", body_bytes=0)
        >> decided()
        << routing(HEADERS, content_length=0)
        << SendBody(SENDS_BODY, b"", end_of_stream=True)
    ).nothing()


def test_a_get_with_trailers_and_no_chunk_gets_no_body() -> None:
    (
        Playbook()
        >> post(DUPLEX, method="GET", path="/v1/models")
        >> RequestTrailers()
        << a_route(path="/v1/models")
        >> decided()
        << routing(HEADERS)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_held_bytes_follow_the_body_and_end_with_the_decision() -> None:
    book = Playbook() >> post(DUPLEX) >> RequestBodyChunk(BODY[:10], end_of_stream=False)
    assert book.conversation.held_bytes == 10
    book >> RequestBodyChunk(BODY[10:], end_of_stream=True) << ANY_ROUTE
    assert book.conversation.held_bytes == len(BODY)
    book >> decided()
    assert book.conversation.held_bytes == 0


def test_the_prompt_is_a_view_of_the_body_as_the_client_wrote_it() -> None:
    prompt = rb'"caf\u00e9 \"quoted\""'
    book = Playbook() >> post(DUPLEX)
    book >> RequestBodyChunk(b'{"model":"m","prompt": %s }' % prompt, end_of_stream=True) << ANY_ROUTE
    assert book.routed.prompt.kind is PromptKind.TEXT
    assert isinstance(book.routed.prompt.data, memoryview)
    assert bytes(book.routed.prompt.data) == prompt


def test_the_subset_hint_of_the_last_body_message_counts() -> None:
    (
        Playbook()
        >> post(DUPLEX, subset=("10.0.0.1",))
        >> RequestBodyChunk(BODY[:5], end_of_stream=False, subset=("10.0.0.2",))
        >> RequestBodyChunk(BODY[5:15], end_of_stream=False, subset=("10.0.0.3",))
        >> RequestBodyChunk(BODY[15:], end_of_stream=True)
        << a_route(subset=("10.0.0.3",))
    ).nothing()


def test_the_subset_hint_of_the_headers_counts_where_the_body_has_none() -> None:
    (
        Playbook()
        >> post(DUPLEX, subset=("10.0.0.1",))
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(subset=("10.0.0.1",))
    ).nothing()


@pytest.mark.parametrize("client_sent", [{}, {"x-request-id": ""}], ids=["none", "empty"])
def test_a_request_id_is_made_where_there_is_none_and_given_to_the_model_server(client_sent: Headers) -> None:
    begin = post(DUPLEX)
    del begin.headers["x-request-id"]
    begin.headers.update(client_sent)
    book = Playbook() >> begin >> RequestBodyChunk(BODY, end_of_stream=True)
    book << a_route(request_id=GENERATED_ID)
    (
        book
        >> decided(request=book.routed)
        << routing(HEADERS, new_request_id=GENERATED_ID, content_length=len(BODY))
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_control_headers_of_the_client_do_not_reach_the_model_server() -> None:
    sent = {"x-gateway-inference-objective": "gold", "x-gateway-destination-endpoint-subset": "10.0.0.9", "x-mine": "1"}
    book = Playbook() >> post(DUPLEX, headers=sent) >> RequestBodyChunk(BODY, end_of_stream=True)
    removed = ("x-gateway-destination-endpoint-subset", "x-gateway-inference-objective")
    (
        book
        << ANY_ROUTE
        >> decided()
        << routing(HEADERS, content_length=len(BODY), removed=removed)
        << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_fallbacks_are_one_list_in_order() -> None:
    both = f"{PICKED},10.0.0.2:8000"
    book = Playbook() >> get(DUPLEX) << ANY_ROUTE
    (book >> decided(both) << routing(HEADERS, both)).nothing()
