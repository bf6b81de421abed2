"""Requests that routing holds: the proxy is told once to wait longer, where its timer runs at all."""

import pytest

from epp.core.domain.errors import DroppedReason, InternalError, ResourceExhausted, ServiceUnavailable
from epp.core.protocol.commands import CancelRouting, Continue, ExtendTimeout, Phase, Refuse, SendBody
from epp.core.protocol.conversation import TIMEOUT_MARGIN_S
from epp.core.protocol.events import BodyMode, Held, Refused, RequestBodyChunk, StreamEnded
from tests.support.playbook import ANY_ROUTE, Playbook, a_refusal, decided, get, post, response, routing

BODY = b'{"model":"m","prompt":"x"}'
DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
SATURATED = ResourceExhausted("full", reason=DroppedReason.SATURATED)


def asked(mode: BodyMode) -> Playbook:
    """Routing was asked about a request that this proxy shows in `mode`."""
    book = Playbook() >> post(mode)
    if mode is BodyMode.BUFFERED:
        book << Continue(Phase.REQUEST_HEADERS)
    if mode in {BodyMode.BUFFERED, DUPLEX}:
        book >> RequestBodyChunk(BODY, end_of_stream=True)
    return book << ANY_ROUTE


def test_a_buffered_request_is_held_then_decided() -> None:
    (
        asked(BodyMode.BUFFERED)
        >> Held(30.0)
        << ExtendTimeout(30.0 + TIMEOUT_MARGIN_S)
        >> decided()
        << routing(Phase.REQUEST_BODY)
    ).nothing()


@pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.NONE])
def test_a_request_routed_by_headers_is_held_then_decided(mode: BodyMode) -> None:
    (
        asked(mode)
        >> Held(2.5)
        << ExtendTimeout(2.5 + TIMEOUT_MARGIN_S)
        >> decided()
        << routing(Phase.REQUEST_HEADERS)
    ).nothing()  # fmt: skip


def test_a_full_duplex_body_needs_no_extension() -> None:
    """Envoy's message timer does not run while a full-duplex body is with us."""
    (
        asked(DUPLEX)
        >> Held(30.0)
        >> decided()
        << routing(Phase.REQUEST_HEADERS, content_length=len(BODY))
        << SendBody(Phase.REQUEST_BODY, BODY, end_of_stream=True)
    ).nothing()


def test_full_duplex_headers_alone_do_need_one() -> None:
    (
        Playbook()
        >> get(DUPLEX)
        << ANY_ROUTE
        >> Held(30.0)
        << ExtendTimeout(30.0 + TIMEOUT_MARGIN_S)
        >> decided()
        << routing(Phase.REQUEST_HEADERS)
    ).nothing()


def test_only_one_extension_is_sent_because_envoy_ignores_a_second() -> None:
    (
        asked(BodyMode.BUFFERED)
        >> Held(5.0)
        << ExtendTimeout(5.0 + TIMEOUT_MARGIN_S)
        >> Held(50.0)
        >> decided()
        << routing(Phase.REQUEST_BODY)
    ).nothing()


@pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.NONE, DUPLEX])
def test_a_client_that_goes_takes_its_question_back(mode: BodyMode) -> None:
    book = asked(mode)
    book.conversation.receive(Held(5.0))
    (book >> StreamEnded() << CancelRouting() >> StreamEnded()).nothing()


@pytest.mark.parametrize("mode", [BodyMode.BUFFERED, BodyMode.STREAMED, BodyMode.NONE, DUPLEX])
def test_a_refusal_is_the_last_word(mode: BodyMode) -> None:
    (
        asked(mode)
        >> Refused(SATURATED)
        << Refuse(SATURATED)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        >> response(429)
        >> StreamEnded()
    ).nothing()


def test_a_held_request_that_is_refused() -> None:
    timed_out = ServiceUnavailable("request timed out in queue", reason=DroppedReason.TTL_EXPIRED)
    (
        asked(BodyMode.BUFFERED)
        >> Held(5.0)
        << ExtendTimeout(5.0 + TIMEOUT_MARGIN_S)
        >> Refused(timed_out)
        << a_refusal(ServiceUnavailable, "timed out")
        >> StreamEnded()
    ).nothing()


def test_a_body_that_is_still_coming_may_be_refused() -> None:
    """The executor does so when no room for it was found."""
    book = Playbook() >> post(DUPLEX) >> RequestBodyChunk(BODY, end_of_stream=False)
    (
        book
        >> Refused(SATURATED)
        << Refuse(SATURATED)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        >> StreamEnded()
    ).nothing()  # fmt: skip
    assert book.conversation.held_bytes == 0


def test_a_fault_in_routing_is_a_refusal_like_any_other() -> None:
    fault = InternalError("the request could not be scheduled")
    (asked(BodyMode.BUFFERED) >> Refused(fault) << Refuse(fault)).nothing()
