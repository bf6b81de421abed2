"""Rewritten models in the request: the target goes into the body once the decision is known, and nothing else moves."""

import pytest

from epp.core.domain.errors import BadRequest, InternalError, ServiceUnavailable
from epp.core.domain.ports import Outcome
from epp.core.domain.request import InferenceRequest, ModelField
from epp.core.protocol.commands import Continue, Phase, Release, SendBody
from epp.core.protocol.events import BodyMode, Held, RequestBodyChunk, RequestTrailers, StreamEnded
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import (
    ANY_ROUTE,
    PICKED,
    Playbook,
    a_refusal,
    a_route,
    decided,
    get,
    post,
    routing,
)

BUFFERED, DUPLEX = BodyMode.BUFFERED, BodyMode.FULL_DUPLEX_STREAMED
HEADERS, SENDS_BODY = Phase.REQUEST_HEADERS, Phase.REQUEST_BODY
REWRITING = ConversationSettings(may_rewrite=lambda request: request.model in {"alias", ""})
BODY = b'{ "prompt": "say \\"alias\\"", "model":"alias", "n": 1.0 }'
EDITED = b'{ "prompt": "say \\"alias\\"", "model":"target", "n": 1.0 }'
REWRITTEN = decided(PICKED, InferenceRequest("req-1", model="alias", target_model="target"))
KEPT = decided(PICKED, InferenceRequest("req-1", model="alias", target_model="alias"))


def test_buffered_the_body_is_replaced_and_its_length_follows() -> None:
    (
        Playbook(REWRITING)
        >> post(BUFFERED, headers={"content-length": str(len(BODY))})
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(model="alias")
        >> REWRITTEN
        << routing(SENDS_BODY, content_length=len(EDITED), body=EDITED)
    ).nothing()


def test_full_duplex_the_edited_body_goes_back() -> None:
    (
        Playbook(REWRITING)
        >> post(DUPLEX)
        >> RequestBodyChunk(BODY[:30], end_of_stream=False)
        >> RequestBodyChunk(BODY[30:], end_of_stream=False)
        >> RequestTrailers()
        << a_route(model="alias")
        >> REWRITTEN
        << routing(HEADERS, content_length=len(EDITED))
        << SendBody(SENDS_BODY, EDITED, end_of_stream=False)
        << Continue(Phase.REQUEST_TRAILERS)
    ).nothing()


def test_a_rule_that_gives_the_same_model_leaves_the_body_alone() -> None:
    book = Playbook(REWRITING) >> post(BUFFERED) << Continue(HEADERS)
    (book >> RequestBodyChunk(BODY, end_of_stream=True) << ANY_ROUTE >> KEPT << routing(SENDS_BODY)).nothing()


def test_target_and_priority_in_one_body() -> None:
    body = b'{"priority":3,"prompt":"x","model":"alias"}'
    edited = b'{"prompt":"x","model":"target"}'
    (
        Playbook(REWRITING)
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(body, end_of_stream=True)
        << a_route(claimed_priority=3)
        >> REWRITTEN
        << routing(SENDS_BODY, content_length=len(edited), body=edited)
    ).nothing()


def test_a_body_without_a_model_gets_one_where_a_rewrite_may_give_it() -> None:
    body = b'{"prompt":"x"}'
    edited = b'{"model":"target","prompt":"x"}'
    (
        Playbook(REWRITING)
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(body, end_of_stream=True)
        << a_route(model="", model_field=ModelField.REQUIRED)
        >> decided(PICKED, InferenceRequest("req-1", model="", target_model="target"))
        << routing(SENDS_BODY, content_length=len(edited), body=edited)
    ).nothing()


def test_without_a_rewrite_a_body_needs_a_model() -> None:
    book = Playbook() >> post(BUFFERED) << Continue(HEADERS)
    refusal = a_refusal(BadRequest, "model not found in request body")
    (book >> RequestBodyChunk(b'{"prompt":"x"}', end_of_stream=True) << refusal).nothing()


@pytest.mark.parametrize(("model", "held_bytes"), [("alias", len(BODY)), ("other", 0)])
def test_a_buffered_body_is_held_only_where_it_may_be_edited(model: str, held_bytes: int) -> None:
    body = BODY.replace(b'"model":"alias"', b'"model":"%s"' % model.encode())
    book = Playbook(REWRITING) >> post(BUFFERED) << Continue(HEADERS)
    book >> RequestBodyChunk(body, end_of_stream=True) << ANY_ROUTE
    assert book.conversation.held_bytes == held_bytes
    book.conversation.receive(Held(3.0))
    assert book.conversation.held_bytes == held_bytes
    book.conversation.receive(REWRITTEN)
    assert book.conversation.held_bytes == 0


def test_a_rule_that_comes_while_the_request_waits_cannot_be_followed_any_more() -> None:
    """The body is not there any more: rather an answer that says so than one of the wrong model."""
    (
        Playbook()
        >> post(BUFFERED)
        << Continue(HEADERS)
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << a_route(model="alias")
        >> REWRITTEN
        << a_refusal(ServiceUnavailable, "changed while the request waited")
        >> StreamEnded()
        << Release(Outcome.ERROR, 0, None, None)
    ).nothing()


@pytest.mark.parametrize("mode", [BUFFERED, DUPLEX])
def test_what_is_no_json_passes_untouched(mode: BodyMode) -> None:
    book = Playbook(REWRITING)
    book.conversation.receive(post(mode, path="/v1/audio/transcriptions"))
    book >> RequestBodyChunk(b'--x\r\n"model":"alias"', end_of_stream=True)
    book << a_route(model="", model_field=ModelField.NONE) >> decided()
    if mode is BUFFERED:
        book << routing(SENDS_BODY)
    else:
        (
            book
            << routing(HEADERS, content_length=20)
            << SendBody(SENDS_BODY, b'--x\r\n"model":"alias"', end_of_stream=True)
        )
    book.nothing()


@pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.NONE])
def test_a_body_that_is_not_shown_cannot_be_rewritten_and_the_request_is_refused(mode: BodyMode) -> None:
    """Passed on, it would be answered by a model that the operator does not want to answer."""
    refusal = a_refusal(InternalError, "BUFFERED or FULL_DUPLEX_STREAMED")
    (Playbook(REWRITING) >> post(mode) << refusal).nothing()
    (Playbook(REWRITING) >> get(mode) << ANY_ROUTE).nothing()
    (Playbook(REWRITING) >> post(mode, path="/reset") << ANY_ROUTE).nothing()
    (Playbook() >> post(mode) << a_route(model_field=ModelField.UNSEEN)).nothing()
