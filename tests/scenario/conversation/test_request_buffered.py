"""BUFFERED requests (our own Envoy configurations): headers are answered at once, the decision rides on the body."""

import pytest

from epp.core.domain.errors import BadRequest, PayloadTooLarge
from epp.core.protocol.commands import Continue, Phase
from epp.core.protocol.events import BodyMode, RequestBodyChunk, RequestTrailers
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import ANY_ROUTE, PICKED, Playbook, a_refusal, a_route, decided, get, post, routing

BUFFERED = BodyMode.BUFFERED
BODY = b'{"model":"llama","prompt":"hello"}'
HEADERS, SENDS_BODY, TRAILERS = Phase.REQUEST_HEADERS, Phase.REQUEST_BODY, Phase.REQUEST_TRAILERS


def test_a_post() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(model="llama", target_model="llama", body_bytes=len(BODY), subset=None)
        >> decided()
        << routing(SENDS_BODY)
    ).nothing()


def test_a_post_with_trailers_sends_its_body_without_end_of_stream() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=False)
        << a_route(model="llama")
        >> decided()
        << routing(SENDS_BODY)
        >> RequestTrailers()
        << Continue(TRAILERS)
    ).nothing()


def test_trailers_that_come_before_the_decision_are_answered_after_it() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=False)
        << ANY_ROUTE
        >> RequestTrailers()
        >> decided()
        << routing(SENDS_BODY)
        << Continue(TRAILERS)
    ).nothing()


def test_priority_is_cut_out_of_the_body_and_the_length_follows() -> None:
    body = b'{ "model": "llama", "priority": 5, "prompt": "hello", "n": 1.0 }'
    forwarded = b'{ "model": "llama", "prompt": "hello", "n": 1.0 }'
    (
        Playbook()
        >> post(BUFFERED, headers={"content-length": str(len(body))})
        << Continue(HEADERS)
        >> RequestBodyChunk(body, end_of_stream=True)
        << a_route(claimed_priority=5)
        >> decided()
        << routing(SENDS_BODY, content_length=len(forwarded), body=forwarded)
    ).nothing()


@pytest.mark.parametrize("priority", [b'"5"', b"5.0", b"null", b"[5]", b"true"])
def test_a_priority_that_is_no_integer_is_left_to_the_model_server(priority: bytes) -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(b'{"model":"m","prompt":"x","priority":%s}' % priority, end_of_stream=True)
        << a_route(claimed_priority=None)
        >> decided()
        << routing(SENDS_BODY)
    ).nothing()


def test_priority_stays_where_it_is_not_ours_to_read() -> None:
    (
        Playbook(ConversationSettings(cut_priority=False))
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(b'{"model":"m","prompt":"x","priority":5}', end_of_stream=True)
        << a_route(claimed_priority=5)
        >> decided()
        << routing(SENDS_BODY)
    ).nothing()


def test_a_get_is_routed_by_its_headers() -> None:
    (
        Playbook()
        >> get(BUFFERED)
        << a_route(path="/v1/models", method="GET", model="", body_bytes=0)
        >> decided()
        << routing(HEADERS)
    ).nothing()


def test_a_get_with_an_empty_body_is_routed_too() -> None:
    (
        Playbook()
        >> post(BUFFERED, method="GET", path="/v1/models")
        << Continue(HEADERS)
        >> RequestBodyChunk(b"", end_of_stream=True)
        << a_route(path="/v1/models", body_bytes=0)
        >> decided()
        << routing(SENDS_BODY)
    ).nothing()


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions", "/prefix/v1/completions?x=1"])
def test_a_post_without_a_body_is_refused(path: str) -> None:
    (
        Playbook()
        >> post(BUFFERED, path=path, end_of_stream=True)
        << a_refusal(BadRequest, "the body is empty")
    ).nothing()  # fmt: skip


def test_a_post_without_a_body_passes_where_no_api_needs_one() -> None:
    (Playbook() >> post(BUFFERED, path="/reset", end_of_stream=True) << a_route(path="/reset")).nothing()


def test_trailers_without_a_body_carry_the_decision_as_metadata() -> None:
    (
        Playbook()
        >> post(BUFFERED, method="GET", path="/v1/models")
        << Continue(HEADERS)
        >> RequestTrailers()
        << a_route(path="/v1/models")
        >> decided()
        << routing(TRAILERS)
    ).nothing()


def test_a_post_of_headers_and_trailers_is_refused() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestTrailers()
        << a_refusal(BadRequest, "the body is empty")
    ).nothing()


def test_a_body_above_the_limit_is_refused() -> None:
    settings = ConversationSettings(max_body_bytes=len(BODY))
    fits = Playbook(settings) >> post(BUFFERED) << Continue(HEADERS)
    (fits >> RequestBodyChunk(BODY, end_of_stream=True) << ANY_ROUTE).nothing()
    too_long = Playbook(settings) >> post(BUFFERED) << Continue(HEADERS)
    (
        too_long
        >> RequestBodyChunk(BODY + b" ", end_of_stream=True)
        << a_refusal(PayloadTooLarge, f"{len(BODY)} bytes")
    ).nothing()


def test_a_declared_length_above_the_limit_is_refused_before_the_proxy_buffers_it() -> None:
    """A message above the limit of gRPC would end the stream with an error instead, and pass by the picker."""
    settings = ConversationSettings(max_body_bytes=100)
    (Playbook(settings) >> post(BUFFERED, headers={"content-length": "100"}) << Continue(HEADERS)).nothing()
    (
        Playbook(settings)
        >> post(BUFFERED, headers={"content-length": "101"})
        << a_refusal(PayloadTooLarge, "100 bytes")
    ).nothing()


def test_a_body_that_is_not_json_is_refused() -> None:
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(b"model=llama", end_of_stream=True)
        << a_refusal(BadRequest, "the body must be a JSON object")
        >> RequestTrailers()
    ).nothing()


def test_the_body_is_held_until_the_decision_and_not_longer() -> None:
    body = b'{"model":"m","prompt":"x","priority":1}'
    book = Playbook() >> post(BUFFERED) << Continue(HEADERS)
    assert book.conversation.held_bytes == 0
    book >> RequestBodyChunk(body, end_of_stream=True) << ANY_ROUTE
    assert book.conversation.held_bytes == len(body)
    book >> decided()
    assert book.conversation.held_bytes == 0


def test_a_body_that_is_not_edited_is_dropped_once_read() -> None:
    book = Playbook() >> post(BUFFERED) << Continue(HEADERS)
    book >> RequestBodyChunk(BODY, end_of_stream=True) << ANY_ROUTE
    assert book.conversation.held_bytes == 0


def test_the_subset_hint_may_come_with_headers_or_body() -> None:
    book = Playbook() >> post(BUFFERED, subset=("10.0.0.1",)) << Continue(HEADERS)
    (book >> RequestBodyChunk(BODY, end_of_stream=True) << a_route(subset=("10.0.0.1",))).nothing()
    book = Playbook() >> post(BUFFERED, subset=("10.0.0.1",)) << Continue(HEADERS)
    (book >> RequestBodyChunk(BODY, end_of_stream=True, subset=()) << a_route(subset=())).nothing()


def test_fallbacks_are_one_list_in_order() -> None:
    both = f"{PICKED},10.0.0.2:8000"
    book = Playbook() >> post(BUFFERED) << Continue(HEADERS)
    (
        book >> RequestBodyChunk(BODY, end_of_stream=True) << ANY_ROUTE >> decided(both) << routing(SENDS_BODY, both)
    ).nothing()
