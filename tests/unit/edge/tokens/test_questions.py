from typing import Any

import msgspec
import numpy as np
import pytest

from epp.core.domain.record import replaced
from epp.core.domain.request import InferenceRequest, MultimodalItem
from epp.edge.tokens.questions import (
    TokensUnknown,
    Told,
    is_chat,
    is_multimodal,
    is_text,
    plain_text,
    read_rendered,
    read_tokenized,
    render_body,
    tokenize_body,
)
from tests.support.token_requests import CHAT, chat, completion, read_request

encode = msgspec.json.encode
IMAGE = [{"type": "image_url", "image_url": {"url": "http://x/cat.png"}}]


def ids(*numbers: int) -> bytes:
    return np.array(numbers, dtype="<u4").tobytes()


def decoded(body: bytes) -> Any:
    return msgspec.json.decode(body)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (completion(), True),
        (chat(), True),
        (completion([1, 2, 3]), False),
        (read_request("/v1/embeddings", input="text"), False),
        (read_request("/v1/messages", messages=[{"role": "user", "content": "x"}]), False),
        (InferenceRequest("r", path="/v1/completions"), False),
    ],
)
def test_which_prompts_have_tokens_to_ask_for(request_: InferenceRequest, expected: bool) -> None:
    assert is_text(request_) is expected


def test_what_is_chat_and_what_has_images() -> None:
    assert [is_chat(each) for each in (completion(), chat(), read_request("/a" + CHAT + "/", messages=[{}]))] == [
        False,
        True,
        True,
    ]
    assert [is_multimodal(each) for each in (completion('"image_url"'), chat(), chat(IMAGE))] == [False, False, True]


def test_tokenize_is_sent_what_the_prompt_looks_like_and_nothing_else() -> None:
    body = decoded(tokenize_body(chat(tools=[{"a": 1}], max_tokens=5, stream=True, chat_template_kwargs={"b": 2}), ""))
    assert body == {
        "model": "meta/base",
        "messages": [{"role": "user", "content": "hello world"}],
        "tools": [{"a": 1}],
        "chat_template_kwargs": {"b": 2},
    }
    assert decoded(tokenize_body(completion(["one", "two"]), "other")) == {"model": "other", "prompt": "one"}


def test_a_render_service_is_sent_everything_but_the_wish_for_a_stream() -> None:
    request = completion(["one", "two"], max_tokens=5, stream=True, stream_options={})
    assert decoded(render_body(request, "")) == {"model": "meta/base", "prompt": ["one", "two"], "max_tokens": 5}
    assert decoded(render_body(request, "other"))["model"] == "other"


def test_the_plain_text() -> None:
    assert plain_text(completion("grüß")) == "grüß"
    assert plain_text(completion(["one", "two"])) == "one"
    with pytest.raises(TokensUnknown):
        plain_text(chat())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"prompt":[}', b'{"prompt":[]}'])
def test_a_body_that_cannot_be_taken_apart_is_nobodys_fault(body: bytes) -> None:
    request = completion()
    request = replaced(request, prompt=replaced(request.prompt, body=body))
    with pytest.raises(TokensUnknown) as unknown:
        tokenize_body(request, "")
    assert not unknown.value.is_fault


def test_the_answer_of_tokenize() -> None:
    answer = encode({"count": 2, "max_model_len": 10, "tokens": [1, 2**32 - 1], "token_strs": None})
    assert read_tokenized(answer) == Told(ids(1, 2**32 - 1))


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"tokens":["a"]}', b'{"tokens":[-1]}', b"\xff"])
def test_what_is_no_answer_of_tokenize(answer: bytes) -> None:
    with pytest.raises(TokensUnknown) as unknown:
        read_tokenized(answer)
    assert unknown.value.is_fault


def test_the_answer_of_a_render_service() -> None:
    assert read_rendered(encode([{"token_ids": [1]}, {"token_ids": [2]}]), chat=False) == Told(ids(1))
    features = {
        "mm_hashes": {"image": ["dog", "cat"], "audio": []},
        "mm_placeholders": {"image": [{"offset": 9, "length": 4}, {"offset": 2, "length": 5}], "audio": []},
        "kwargs_data": {"image": ["..."]},
    }
    assert read_rendered(encode({"token_ids": [1, 2], "features": features, "model": "m"}), chat=True) == Told(
        ids(1, 2), (MultimodalItem("cat", 2, 5), MultimodalItem("dog", 9, 4))
    )
    assert read_rendered(encode({"token_ids": [], "features": {}}), chat=True) == Told(b"")


@pytest.mark.parametrize(
    "features",
    [
        {"mm_placeholders": {"image": [{"offset": 0, "length": 1}]}},
        {"mm_hashes": {"image": [None]}, "mm_placeholders": {"image": [{"offset": 0, "length": 1}]}},
        {"mm_hashes": {"image": ["a", "b"]}, "mm_placeholders": {"image": [{"offset": 0, "length": 1}]}},
    ],
)
def test_items_that_are_not_named_make_the_tokens_useless(features: dict[str, Any]) -> None:
    with pytest.raises(TokensUnknown, match="does not say what the multimodal items are"):
        read_rendered(encode({"token_ids": [1], "features": features}), chat=True)


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"[{}]", b"7"])
def test_what_is_no_answer_of_a_render_service(answer: bytes) -> None:
    for is_chat_ in (True, False):
        with pytest.raises(TokensUnknown):
            read_rendered(answer, chat=is_chat_)
