"""Reading request bodies: what pydantic accepts is accepted, the rest is refused in vLLM's words."""

import msgspec
import pytest

from epp.lab.fake_vllm.bodies import (
    ChatFields,
    CompletionFields,
    chat_prompt,
    check_sampling,
    completion_prompts,
    read_fields,
    stop_strings,
)
from epp.lab.fake_vllm.errors import ApiError
from epp.lab.fake_vllm.tokens import chat_tokens, id_tokens, text_tokens


def completion(**fields: object) -> CompletionFields:
    return read_fields(msgspec.json.encode(fields), "application/json", CompletionFields)


def chat(*messages: object, **fields: object) -> ChatFields:
    return read_fields(
        msgspec.json.encode({"messages": messages, **fields}), "application/json; charset=utf-8", ChatFields
    )


def test_numbers_in_strings_are_numbers() -> None:
    fields = completion(prompt="x", temperature="0", max_tokens="5", n=1.0, stream="true", top_p="0.5")
    assert (fields.temperature, fields.max_tokens, fields.n, fields.stream, fields.top_p) == (0.0, 5, 1, True, 0.5)
    check_sampling(fields, priority_scheduling=False)


def test_unknown_fields_are_ignored_and_defaults_are_those_of_vllm() -> None:
    fields = completion(prompt="x", frobnicate=[1])
    assert fields.max_tokens == 16
    assert chat({"role": "user"}).answer_limit is None
    assert chat({"role": "user"}, max_tokens=3).answer_limit == 3
    assert chat({"role": "user"}, max_tokens=3, max_completion_tokens=4).answer_limit == 4


@pytest.mark.parametrize(
    ("raw", "content_type", "message"),
    [
        (b'{"prompt": "x", "temperature": "warm"}', "application/json", "body.temperature"),
        (b'{"prompt": "x", "max_tokens": 1.5}', "application/json", "body.max_tokens"),
        (b'{"prompt": "x", "model": 5}', "application/json", "body.model"),
        (
            b'{"prompt": "x", "stream_options": {"include_usage": 7}}',
            "application/json",
            "stream_options.include_usage",
        ),
        (b"[]", "application/json", "Expected `object`"),
        (b'{"prompt": ', "application/json", "json_invalid"),
        (b'{"prompt": "\xff"}', "application/json", "json_invalid"),
        (b"", "application/json", "json_invalid"),
        (b'{"prompt": "x"}', "text/plain", "Unsupported Media Type"),
        (b'{"prompt": "x"}', "", "Unsupported Media Type"),
    ],
)
def test_what_pydantic_refuses_is_a_bad_request(raw: bytes, content_type: str, message: str) -> None:
    with pytest.raises(ApiError, match="1 validation error") as refused:
        read_fields(raw, content_type, CompletionFields)
    assert (refused.value.status, refused.value.error_type) == (400, "Bad Request")
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", 0, "max_tokens must be at least 1, got 0."),
        ("n", 0, "n must be between 1 and 128, got 0."),
        ("temperature", -1, "temperature must be non-negative, got -1.0."),
        ("top_p", 0, r"top_p must be in \(0, 1\], got 0.0."),
        ("min_tokens", 17, "min_tokens must be between 0 and max_tokens=16, got 17."),
        ("priority", 3, "Got priority 3 but Priority scheduling is not enabled."),
        ("priority", "-3", "Got priority -3 but Priority scheduling is not enabled."),
        ("cache_salt", "", "cache_salt"),
        ("stream_options", {"include_usage": True}, "stream=True"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        check_sampling(completion(prompt="x", **{field: value}), priority_scheduling=False)
    assert (refused.value.status, refused.value.param) == (400, field)


def test_a_priority_is_fine_when_it_is_0_or_scheduled_by() -> None:
    check_sampling(completion(prompt="x", priority=0), priority_scheduling=False)
    check_sampling(completion(prompt="x", priority=-7), priority_scheduling=True)


def test_prompts_come_in_four_shapes() -> None:
    assert completion_prompts(completion(prompt="ab")) == [text_tokens("ab")]
    assert completion_prompts(completion(prompt=["ab", "cd"])) == [text_tokens("ab"), text_tokens("cd")]
    assert completion_prompts(completion(prompt=[1, 2])) == [id_tokens([1, 2])]
    assert completion_prompts(completion(prompt=[[1, 2], [3]])) == [id_tokens([1, 2]), id_tokens([3])]


@pytest.mark.parametrize(
    "prompt", [None, "", [], [""], ["a", 1], [1, "a"], [[1], "a"], [[]], 7, {}, [-1], [2**32], [True]]
)
def test_other_prompts_are_refused(prompt: object) -> None:
    with pytest.raises(ApiError) as refused:
        completion_prompts(completion(prompt=prompt))
    assert refused.value.status == 400


def test_content_parts_are_joined_and_tools_come_first() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    parts = [{"type": "text", "text": "look"}, image, "here"]
    rendered = chat_prompt(chat({"role": "user", "content": parts}, tools=[{"type": "function"}]))
    image_text = msgspec.json.encode(image).decode()
    assert rendered == chat_tokens([("user", f"look\n{image_text}\nhere")], preamble='[{"type":"function"}]')


def test_tool_calls_are_part_of_the_conversation() -> None:
    with_call = chat({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]})
    assert chat_prompt(with_call) == chat_tokens([("assistant", '[{"id":"1"}]')])


@pytest.mark.parametrize(
    "message",
    [
        {"content": "who speaks?"},
        {"role": "", "content": "x"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"text": "x"}]},
        {"role": "user", "content": [{"type": "text"}]},
    ],
)
def test_messages_that_are_none_are_refused(message: object) -> None:
    with pytest.raises(ApiError) as refused:
        chat_prompt(chat(message))
    assert refused.value.status == 400
    assert "messages.0" in refused.value.message


def test_a_conversation_needs_messages() -> None:
    with pytest.raises(ApiError, match="messages"):
        chat_prompt(chat())
    with pytest.raises(ApiError, match="messages"):
        read_fields(b'{"model": "x"}', "application/json", ChatFields)


def test_stop_is_a_string_or_several() -> None:
    assert stop_strings(completion(prompt="x")) == ()
    assert stop_strings(completion(prompt="x", stop="a")) == ("a",)
    assert stop_strings(completion(prompt="x", stop=["a", "", "b"])) == ("a", "b")
