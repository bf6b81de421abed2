"""An InferenceRequest is made of headers and body."""

import pytest

from epp.core.domain.errors import BadRequest, InternalError
from epp.core.domain.request import DEFAULT_FLOW, ModelField
from epp.core.protocol.apis.parsers import ParserTable
from epp.core.protocol.events import Headers, RequestHeaders
from epp.core.protocol.request_assembly import RequestAssembly, path_of

BODY = b'{"model":"m","prompt":"x","stream":true,"max_tokens":4,"cache_salt":"s","priority":-2}'


def arrived(headers: Headers, subset: tuple[str, ...] | None = None) -> RequestHeaders:
    return RequestHeaders({":method": "POST", ":path": "/v1/completions", **headers}, False, subset)


ASSEMBLY = RequestAssembly(ParserTable(["openai-parser"]), lambda: "generated", lambda _: False)
REWRITING = RequestAssembly(ParserTable(), lambda: "generated", lambda _: True)


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({":path": "/v1/completions?x=1"}, "/v1/completions"),
        ({":path": "/a", "x-original-path": "/b", "x-forwarded-path": "/c"}, "/a"),
        ({":path": "", "x-original-path": "/b?q", "x-forwarded-path": "/c"}, "/b"),
        ({":path": "", "x-forwarded-path": "/c"}, "/c"),
        ({":path": ""}, ""),
    ],
)
def test_the_path_comes_from_the_first_spelling_there_is(headers: Headers, path: str) -> None:
    assert path_of(arrived(headers)) == path


def test_every_field_of_the_body_arrives() -> None:
    headers = {"x-request-id": "r-1", "x-gateway-inference-fairness-id": "tenant"}
    request = ASSEMBLY.whole(arrived(headers, ("10.0.0.1",)), BODY, None)
    assert (request.request_id, request.path, request.method) == ("r-1", "/v1/completions", "POST")
    assert (request.model, request.target_model) == ("m", "m")
    assert (request.streaming, request.max_tokens, request.cache_salt) == (True, 4, "s")
    assert (request.claimed_priority, request.priority) == (-2, 0), "what the claim is worth is for routing to say"
    assert (request.fairness_id, request.body_bytes, request.subset) == ("tenant", len(BODY), ("10.0.0.1",))


def test_the_new_spelling_of_the_fairness_id_counts_more() -> None:
    both = {"x-llm-d-inference-fairness-id": "new", "x-gateway-inference-fairness-id": "old"}
    assert ASSEMBLY.whole(arrived(both), BODY, None).fairness_id == "new"
    assert ASSEMBLY.whole(arrived({"x-llm-d-inference-fairness-id": ""}), BODY, None).fairness_id == DEFAULT_FLOW


def test_the_subset_of_the_body_message_counts_more() -> None:
    assert ASSEMBLY.whole(arrived({}, ("a",)), BODY, ()).subset == ()


def test_an_id_is_made_where_there_is_none() -> None:
    assert ASSEMBLY.whole(arrived({}), BODY, None).request_id == "generated"
    assert ASSEMBLY.unseen(arrived({"x-request-id": ""})).request_id == "generated"


def test_a_body_that_nobody_reads_is_refused_and_an_empty_one_is_not() -> None:
    elsewhere = arrived({":path": "/v1/audio?x"}, ("a",))
    with pytest.raises(BadRequest, match=r"no parser registered matching path suffix for: /v1/audio$"):
        ASSEMBLY.whole(elsewhere, BODY, None)
    request = ASSEMBLY.whole(elsewhere, b"", None)
    assert (request.path, request.body_bytes, request.subset) == ("/v1/audio", 0, ("a",))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", ""])
def test_only_a_post_needs_a_body(method: str) -> None:
    assert ASSEMBLY.bodyless(arrived({":method": method})).method == method
    with pytest.raises(BadRequest, match="the body is empty"):
        ASSEMBLY.bodyless(arrived({}))


def test_a_fallback_lets_any_body_pass_unread() -> None:
    assembly = RequestAssembly(ParserTable(), lambda: "generated", lambda _: False)
    request = assembly.whole(arrived({":path": "/v1/audio"}), b"\x00 not json", None)
    assert (request.model, request.body_bytes, request.claimed_priority) == ("", 10, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", b'{"prompt":"x"}'),
        ("/v1/completions", b'{"prompt":"x","model":null}'),
        ("/v1/responses", b'{"input":"x"}'),
        ("/v1/messages", b'{"messages":[1]}'),
        ("/v1/messages/count_tokens", b"{}"),
    ],
)
def test_a_body_needs_a_model_unless_a_rewrite_gives_one(path: str, body: bytes) -> None:
    event = arrived({":path": path})
    with pytest.raises(BadRequest) as caught:
        RequestAssembly(ParserTable(), lambda: "generated", lambda _: False).whole(event, body, None)
    assert (caught.value.message, caught.value.param) == ("model not found in request body", "model")
    assert REWRITING.whole(event, body, None).model_field is ModelField.REQUIRED


def test_no_model_is_needed_where_the_api_has_none_or_the_server_a_default() -> None:
    assembly = RequestAssembly(ParserTable(["vllmhttp-parser", "openai-parser"]), lambda: "generated", lambda _: False)
    generate = assembly.whole(arrived({":path": "/inference/v1/generate"}), b'{"token_ids":[5]}', None)
    assert (generate.model, generate.model_field) == ("", ModelField.OPTIONAL)
    conversation = assembly.whole(arrived({":path": "/v1/conversations"}), b'{"items":[1]}', None)
    assert (conversation.model, conversation.model_field) == ("", ModelField.NONE)


def test_a_body_that_is_not_shown_cannot_be_rewritten() -> None:
    assert ASSEMBLY.unseen(arrived({})).model_field is ModelField.UNSEEN
    with pytest.raises(InternalError, match="the proxy does not show the request body"):
        REWRITING.unseen(arrived({}))
    assert REWRITING.unseen(arrived({":path": "/v1/audio"})).model_field is ModelField.NONE, "no JSON to rewrite"


def test_a_text_prompt_knows_the_body_around_it_and_token_ids_do_not() -> None:
    text = ASSEMBLY.whole(arrived({}), BODY, None).prompt
    assert (bytes(text.data), text.body) == (b'"x"', BODY)
    assert ASSEMBLY.whole(arrived({}), b'{"model":"m","prompt":[1,2]}', None).prompt.body == b""
