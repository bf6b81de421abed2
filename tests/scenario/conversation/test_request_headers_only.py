"""STREAMED and NONE requests: the decision is made by the headers, before any of the body is seen."""

import pytest

from epp.core.domain.errors import BadRequest
from epp.core.protocol.commands import Continue, Phase
from epp.core.protocol.events import BodyMode, RequestBodyChunk, RequestTrailers
from tests.support.playbook import ANY_ROUTE, Playbook, a_refusal, a_route, decided, get, post, routing

HEADERS = Phase.REQUEST_HEADERS
BOTH = pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.NONE], ids=lambda mode: mode.name)


@BOTH
def test_a_post_is_routed_before_its_body(mode: BodyMode) -> None:
    (
        Playbook()
        >> post(mode, subset=("10.0.0.1",))
        << a_route(model="", body_bytes=0, path="/v1/completions", subset=("10.0.0.1",))
        >> decided()
        << routing(HEADERS)
    ).nothing()


@BOTH
def test_a_get_is_routed(mode: BodyMode) -> None:
    (Playbook() >> get(mode) << a_route(path="/v1/models") >> decided() << routing(HEADERS)).nothing()


@BOTH
def test_a_post_that_has_no_body_at_all_is_refused(mode: BodyMode) -> None:
    (Playbook() >> post(mode, end_of_stream=True) << a_refusal(BadRequest, "the body is empty")).nothing()


def test_every_piece_of_a_streamed_body_gets_one_answer() -> None:
    (
        Playbook()
        >> post(BodyMode.STREAMED)
        << ANY_ROUTE
        >> decided()
        << routing(HEADERS)
        >> RequestBodyChunk(b"{", end_of_stream=False)
        << Continue(Phase.REQUEST_BODY)
        >> RequestBodyChunk(b"}", end_of_stream=False)
        << Continue(Phase.REQUEST_BODY)
        >> RequestTrailers()
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_pieces_that_come_before_the_decision_are_answered_after_it_in_order() -> None:
    (
        Playbook()
        >> post(BodyMode.STREAMED)
        << ANY_ROUTE
        >> RequestBodyChunk(b"{", end_of_stream=False)
        >> RequestBodyChunk(b"}", end_of_stream=False)
        >> RequestTrailers()
        >> decided()
        << routing(HEADERS)
        << Continue(Phase.REQUEST_BODY)
        << Continue(Phase.REQUEST_BODY)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_a_streamed_body_is_not_read_and_not_held() -> None:
    book = Playbook() >> post(BodyMode.STREAMED) << ANY_ROUTE
    book >> RequestBodyChunk(b"not json, priority and all", end_of_stream=True)
    assert book.conversation.held_bytes == 0
    book >> decided() << routing(HEADERS) << Continue(Phase.REQUEST_BODY)
    book.nothing()
