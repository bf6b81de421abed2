"""Which half of the protocol is spoken: as the proxy says, or as assumed where it does not."""

import pytest

from epp.core.domain.errors import BadRequest
from epp.core.protocol.commands import Continue, FollowServed, Phase, Release, Route, SendBody
from epp.core.protocol.events import (
    BodyMode,
    Decided,
    RequestBodyChunk,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseTrailers,
    StreamEnded,
)
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import (
    PICKED,
    Playbook,
    a_refusal,
    a_route,
    decided,
    decision_for,
    post,
    response,
    routing,
)

BODY = b'{"model":"llama","prompt":"hello"}'
HEADERS, SENDS_BODY = Phase.REQUEST_HEADERS, Phase.REQUEST_BODY


def test_a_silent_proxy_is_taken_for_full_duplex_in_both_directions() -> None:
    book = Playbook() >> post(None) >> RequestBodyChunk(BODY, end_of_stream=True) << a_route(model="llama")
    book >> decided() << routing(HEADERS, content_length=len(BODY)) << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    book >> response() << FollowServed(PICKED) << Continue(Phase.RESPONSE_HEADERS)
    book >> ResponseBodyChunk(b"{", end_of_stream=False) << SendBody(Phase.RESPONSE_BODY, b"{", end_of_stream=False)
    book.nothing()


def test_a_silent_proxy_is_taken_for_buffered_when_it_is_said_to_be() -> None:
    book = Playbook(ConversationSettings(assume_body_mode=BodyMode.BUFFERED)) >> post(None) << Continue(HEADERS)
    book >> RequestBodyChunk(BODY, end_of_stream=True) << a_route(model="llama")
    book >> decided() << routing(SENDS_BODY)
    book >> response() << FollowServed(PICKED) << Continue(Phase.RESPONSE_HEADERS)
    book >> ResponseBodyChunk(b"{", end_of_stream=False) << Continue(Phase.RESPONSE_BODY)
    book.nothing()


@pytest.mark.parametrize("assumed", list(BodyMode))
def test_what_the_proxy_says_counts_more_than_what_is_assumed(assumed: BodyMode) -> None:
    book = Playbook(ConversationSettings(assume_body_mode=assumed)) >> post(BodyMode.BUFFERED)
    (book << Continue(HEADERS)).nothing()


def test_a_whole_body_in_buffered_partial_mode_is_read() -> None:
    (
        Playbook()
        >> post(BodyMode.BUFFERED_PARTIAL)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(model="llama")
        >> decided()
        << routing(SENDS_BODY)
    ).nothing()


def test_half_a_body_in_buffered_partial_mode_is_refused() -> None:
    """Envoy shows only what fits its buffer; a request cannot be judged by half its JSON."""
    (
        Playbook()
        >> post(BodyMode.BUFFERED_PARTIAL)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY[:20], end_of_stream=False)
        << a_refusal(BadRequest, "truncated")
    ).nothing()


def test_grpc_mode_is_spoken_like_full_duplex() -> None:
    book = Playbook() >> post(BodyMode.GRPC) >> RequestBodyChunk(BODY, end_of_stream=True)
    book << a_route(model="llama")
    book >> decided() << routing(HEADERS, content_length=len(BODY)) << SendBody(SENDS_BODY, BODY, end_of_stream=True)
    book.nothing()


@pytest.mark.parametrize("mode", list(BodyMode))
def test_a_proxy_that_only_observes_is_listened_to_in_silence(mode: BodyMode) -> None:
    """observability_mode: Envoy has already gone on and ignores every answer."""
    (
        Playbook(sampled=True)
        >> post(mode, observed_only=True)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        >> RequestTrailers()
        >> response()
        >> ResponseBodyChunk(b"{}", end_of_stream=True)
        >> ResponseTrailers()
        >> StreamEnded()
    ).nothing()


@pytest.mark.parametrize("mode", list(BodyMode))
def test_request_headers_that_come_twice_do_not_start_a_second_request(mode: BodyMode) -> None:
    """A second decision would leave the place that the first one took in the ledger for ever."""
    book = Playbook()
    book.conversation.receive(post(mode))
    commands = [
        *book.conversation.receive(post(mode)),
        *book.conversation.receive(RequestBodyChunk(BODY, end_of_stream=True)),
        *book.conversation.receive(Decided(decision_for(PICKED))),
        *book.conversation.receive(post(mode)),
        *book.conversation.receive(StreamEnded()),
    ]
    assert sum(isinstance(command, Release) for command in commands) == 1
    assert not any(isinstance(command, Route) for command in commands if mode in {BodyMode.NONE, BodyMode.STREAMED})


def test_body_and_trailers_without_headers_are_no_request() -> None:
    """The proxy may be configured not to show the request headers."""
    (
        Playbook()
        >> RequestBodyChunk(BODY, end_of_stream=True)
        >> RequestTrailers()
        >> StreamEnded()
    ).nothing()  # fmt: skip


def test_nothing_follows_the_end() -> None:
    book = Playbook() >> post(BodyMode.BUFFERED) << Continue(HEADERS) >> StreamEnded()
    (book >> RequestBodyChunk(BODY, end_of_stream=True) >> response() >> StreamEnded()).nothing()
