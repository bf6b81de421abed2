"""FULL_DUPLEX_STREAMED requests that cannot be used: refused as early as that is known."""

import pytest

from epp.core.domain.errors import BadRequest, PayloadTooLarge, Refusal
from epp.core.protocol.commands import Refuse, Route, SendBody
from epp.core.protocol.events import BodyMode, RequestBodyChunk
from epp.core.protocol.request_side import ConversationSettings
from tests.support.playbook import ANY_ROUTE, Playbook, a_refusal, decided, post

DUPLEX = BodyMode.FULL_DUPLEX_STREAMED
BODY = b'{"model":"llama","prompt":"hello"}'


@pytest.mark.parametrize("chunks", [[b""], [b"", b""]])
def test_an_empty_body_where_one_is_needed_is_refused(chunks: list[bytes]) -> None:
    book = Playbook() >> post(DUPLEX)
    for chunk in chunks[:-1]:
        book >> RequestBodyChunk(chunk, end_of_stream=False)
    (
        book
        >> RequestBodyChunk(chunks[-1], end_of_stream=True)
        << a_refusal(BadRequest, "the body is empty")
    ).nothing()  # fmt: skip


def test_a_post_of_headers_alone_is_refused() -> None:
    (Playbook() >> post(DUPLEX, end_of_stream=True) << a_refusal(BadRequest, "/v1/completions")).nothing()


@pytest.mark.parametrize(
    ("path", "body", "kind", "text"),
    [
        ("/v1/completions", b"hello", BadRequest, "bodyMap"),
        ("/v1/completions", b"{}", BadRequest, "prompt"),
        ("/v1/completions", b'{"prompt":"x"}', BadRequest, "model not found in request body"),
        ("/v1/embeddings", BODY, BadRequest, "invalid embeddings request: must have input field"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_before_routing(
    path: str, body: bytes, kind: type[Refusal], text: str
) -> None:
    book = Playbook() >> post(DUPLEX, path=path)
    (book >> RequestBodyChunk(body, end_of_stream=True) << a_refusal(kind, text)).nothing()
    assert book.conversation.held_bytes == 0


def test_a_declared_length_above_the_limit_is_refused_before_the_body_comes() -> None:
    settings = ConversationSettings(max_body_bytes=100)
    (Playbook(settings) >> post(DUPLEX, headers={"content-length": "100"})).nothing()
    (
        Playbook(settings) >> post(DUPLEX, headers={"content-length": "101"}) << a_refusal(PayloadTooLarge, "100 bytes")
    ).nothing()


@pytest.mark.parametrize("declared", ["", "abc", "-5", "²", "9" * 5000])
def test_a_declared_length_that_is_no_number_is_not_believed(declared: str) -> None:
    (
        Playbook(ConversationSettings(max_body_bytes=100))
        >> post(DUPLEX, headers={"content-length": declared})
        >> RequestBodyChunk(BODY, end_of_stream=True)
        << ANY_ROUTE
    ).nothing()


def test_bytes_above_the_limit_are_refused_when_they_come_and_the_rest_is_ignored() -> None:
    book = Playbook(ConversationSettings(max_body_bytes=100))
    (
        book
        >> post(DUPLEX)
        >> RequestBodyChunk(b"x" * 60, end_of_stream=False)
        >> RequestBodyChunk(b"x" * 40, end_of_stream=False)
        >> RequestBodyChunk(b"x", end_of_stream=False)
        << a_refusal(PayloadTooLarge, "--max-body-bytes")
        >> RequestBodyChunk(b"x" * 1000, end_of_stream=True)
    ).nothing()


def test_a_body_nested_to_the_edge_is_either_routed_or_refused() -> None:
    """The interpreter's recursion limit is met while the body is read, never later."""
    seen = set()
    for depth in range(700, 1100, 7):
        body = b'{"model":"m","prompt":"x","priority":1,"a":%s%s}' % (b"[" * depth, b"]" * depth)
        book = Playbook() >> post(DUPLEX)
        [command] = book.conversation.receive(RequestBodyChunk(body, end_of_stream=True))
        seen.add(type(command))
        if isinstance(command, Route):
            sent = book.conversation.receive(decided())[-1]
            assert isinstance(sent, SendBody)
            assert bytes(sent.data) == body.replace(b'"priority":1,', b"")
    assert seen <= {Route, Refuse}
