"""Bodies of the APIs beside completions and chat completions."""

import numpy as np
import pytest

from epp.core.domain.errors import BadRequest
from epp.core.domain.record import replaced
from epp.core.domain.request import ModelField, Prompt, PromptKind
from epp.core.protocol.apis import anthropic, openai, sglang_generate, vllm_generate
from epp.core.protocol.apis.parsers import BodyReader
from epp.core.protocol.body import RequestBody


def text(raw: bytes) -> Prompt:
    return Prompt(PromptKind.TEXT, raw)


def ids(*tokens: int) -> Prompt:
    return Prompt(PromptKind.TOKEN_IDS, np.array(tokens, dtype="<u4").tobytes())


@pytest.mark.parametrize(
    ("reader", "body", "expected"),
    [
        (
            openai.read_responses,
            b'{"model":"m","input":"hi","max_output_tokens":5,"stream":true}',
            RequestBody("m", text(b'"hi"'), streaming=True, max_tokens=5),
        ),
        (
            openai.read_responses,
            b'{"model":"m","input":[{"role":"user"}],"instructions":"be kind","tools":[1]}',
            RequestBody("m", text(b'[1]\n"be kind"\n[{"role":"user"}]')),
        ),
        (openai.read_conversations, b'{"items":[{"type":"message"}]}', RequestBody("", text(b'[{"type":"message"}]'))),
        (openai.read_embeddings, b'{"model":"e","input":["a","b"]}', RequestBody("e", text(b'["a","b"]'))),
        (openai.read_embeddings, b'{"model":"e","input":[[1,2],[3]]}', RequestBody("e", ids(1, 2, 3))),
        (openai.read_images, b'{"model":"i","prompt":"a cat"}', RequestBody("i", text(b'"a cat"'))),
        (
            openai.read_chat_completions,
            b'{"model":"m","tools":[{"type":"function"}],"messages":[{"role":"user"}]}',
            RequestBody("m", text(b'[{"type":"function"}]\n[{"role":"user"}]')),
        ),
        (
            anthropic.read_messages,
            b'{"model":"c","system":"be kind","messages":[{"role":"user"}],"max_tokens":9,"priority":2}',
            RequestBody("c", text(b'"be kind"\n[{"role":"user"}]'), max_tokens=9, claimed_priority=2),
        ),
        (anthropic.read_count_tokens, b'{"model":"c","messages":[]}', RequestBody("c")),
        (
            vllm_generate.read_generate,
            b'{"model":"m","token_ids":[5,6],"sampling_params":{"max_tokens":3},"cache_salt":"s"}',
            RequestBody("m", ids(5, 6), max_tokens=3, cache_salt="s"),
        ),
        (vllm_generate.read_generate, b'{"token_ids":[5]}', RequestBody("", ids(5))),
        (
            sglang_generate.read_generate,
            b'{"input_ids":[7],"sampling_params":{"max_new_tokens":4},"extra_key":"k","stream":true}',
            RequestBody("", ids(7), streaming=True, max_tokens=4, cache_salt="k"),
        ),
        (sglang_generate.read_generate, b'{"text":"hello"}', RequestBody("", text(b'"hello"'))),
    ],
)
def test_what_is_taken_from_a_body(reader: BodyReader, body: bytes, expected: RequestBody) -> None:
    assert replaced(reader(body), model_field=ModelField.NONE) == expected


@pytest.mark.parametrize(
    ("reader", "body", "model_field"),
    [
        (openai.read_responses, b'{"input":"x"}', ModelField.REQUIRED),
        (openai.read_conversations, b'{"items":[1]}', ModelField.NONE),
        (openai.read_embeddings, b'{"input":"x"}', ModelField.REQUIRED),
        (openai.read_images, b'{"prompt":"x"}', ModelField.REQUIRED),
        (openai.read_chat_completions, b'{"messages":[1]}', ModelField.REQUIRED),
        (openai.read_completions, b'{"prompt":"x"}', ModelField.REQUIRED),
        (anthropic.read_messages, b'{"messages":[1]}', ModelField.REQUIRED),
        (anthropic.read_count_tokens, b"{}", ModelField.REQUIRED),
        (vllm_generate.read_generate, b'{"token_ids":[5]}', ModelField.OPTIONAL),
        (sglang_generate.read_generate, b'{"text":"x"}', ModelField.NONE),
    ],
)
def test_who_needs_a_model_is_left_to_routing(reader: BodyReader, body: bytes, model_field: ModelField) -> None:
    assert (reader(body).model, reader(body).model_field) == ("", model_field)


@pytest.mark.parametrize(
    ("reader", "body", "says"),
    [
        (openai.read_responses, b'{"model":"m"}', "invalid responses request: must have input field"),
        (openai.read_responses, b'{"model":"m","input":[]}', "invalid responses request: must have input field"),
        (openai.read_conversations, b'{"items":[]}', "invalid conversations request: must have items field"),
        (openai.read_embeddings, b'{"model":"e","input":{}}', "invalid embeddings request: must have input field"),
        (openai.read_images, b'{"model":"i"}', "invalid images generations request: must have prompt field"),
        (anthropic.read_messages, b'{"model":"c"}', "invalid messages request: must have valid messages field"),
        (vllm_generate.read_generate, b'{"model":"m"}', "invalid generate request: must have token_ids field"),
        (vllm_generate.read_generate, b'{"token_ids":["a"]}', "invalid generate request: must have token_ids field"),
        (vllm_generate.read_generate, b'{"token_ids":[-1]}', "invalid generate request: must have token_ids field"),
        (vllm_generate.read_generate, b'{"token_ids":[1],"sampling_params":5}', "error unmarshaling request bodyMap"),
        (sglang_generate.read_generate, b"{}", "invalid generate request: must have input_ids field"),
    ],
)
def test_what_is_refused(reader: BodyReader, body: bytes, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        reader(body)
    assert caught.value.message.startswith(says)


def test_one_field_is_never_copied() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 1000 + b'"}]}'
    prompt = openai.read_chat_completions(body).prompt
    assert isinstance(prompt.data, memoryview)
    assert prompt.data.obj is not None
