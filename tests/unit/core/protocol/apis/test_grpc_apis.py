"""Bodies of vLLM's gRPC API and of Vertex AI's PredictionService."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest, Refusal
from epp.core.domain.request import Prompt, PromptKind
from epp.core.protocol.apis import vertex_ai, vllm_grpc
from epp.core.protocol.apis.parsers import BodyReader
from epp.core.protocol.body import NO_BODY, RequestBody
from tests.support.grpc_messages import encoded, framed, generate, raw_predict

CHAT = b'{"model":"m","messages":[{"role":"user"}],"max_tokens":7,"stream":true,"priority":3}'
READERS = (
    vllm_grpc.read_generate,
    vllm_grpc.read_embed,
    vertex_ai.read_chat_completions,
    vertex_ai.read_raw_predict,
)


def ids(*tokens: int) -> Prompt:
    return Prompt(PromptKind.TOKEN_IDS, np.array(tokens, dtype="<u4").tobytes())


def text(raw: bytes) -> Prompt:
    return Prompt(PromptKind.TEXT, raw)


@pytest.mark.parametrize("compression", ["", "gzip", "deflate"])
@pytest.mark.parametrize(
    ("reader", "message", "expected"),
    [
        (
            vllm_grpc.read_generate,
            generate([1, 200, 100_000], max_tokens=300),
            RequestBody(prompt=ids(1, 200, 100_000), streaming=True, max_tokens=300),
        ),
        (vllm_grpc.read_generate, generate("héllo", stream=False), RequestBody(prompt=text("héllo".encode()))),
        (
            vllm_grpc.read_generate,
            encoded("GenerateRequest", tokenized={"original_text": "hi", "input_ids": [5]}, sampling_params={}),
            RequestBody(prompt=ids(5)),
        ),
        (
            vllm_grpc.read_generate,
            generate("old") + generate([9], stream=False),
            RequestBody(prompt=ids(9), streaming=True),
        ),
        (vllm_grpc.read_embed, encoded("EmbedRequest", tokenized={"input_ids": [7, 8]}), RequestBody(prompt=ids(7, 8))),
        (
            vertex_ai.read_chat_completions,
            raw_predict(CHAT),
            RequestBody("m", text(b'[{"role":"user"}]'), streaming=True, max_tokens=7),
        ),
        (
            vertex_ai.read_raw_predict,
            raw_predict(CHAT),
            RequestBody("m", text(b'[{"role":"user"}]'), streaming=True, max_tokens=7),
        ),
        (
            vertex_ai.read_raw_predict,
            raw_predict(b'{"model":"m","input":"hi","max_output_tokens":2}'),
            RequestBody("m", text(b'"hi"'), max_tokens=2),
        ),
        (
            vertex_ai.read_raw_predict,
            raw_predict(b'{"model":"m","prompt":[1,2],"max_tokens":2}'),
            RequestBody("m", ids(1, 2), max_tokens=2),
        ),
    ],
)
def test_what_is_taken_from_a_body(reader: BodyReader, message: bytes, expected: RequestBody, compression: str) -> None:
    body = framed(message, compression)  # type: ignore[arg-type]
    assert reader(body) == expected
    assert reader(memoryview(body + framed(b"another message"))) == expected


@pytest.mark.parametrize("reader", READERS)
def test_in_a_compression_that_is_not_known_nothing_is_read(reader: BodyReader) -> None:
    assert reader(framed(generate("hello"), "snappy")) == NO_BODY


@pytest.mark.parametrize(
    ("reader", "body", "says"),
    [
        (vllm_grpc.read_generate, framed(b""), "invalid generate request: must have tokenized or text field"),
        (vllm_grpc.read_generate, framed(generate([])), "invalid generate request: must have tokenized or text field"),
        (vllm_grpc.read_generate, framed(generate("")), "invalid generate request: must have tokenized or text field"),
        (vllm_grpc.read_generate, framed(b"\x12\x05\x12\x03\x01\x02\x80"), "unmarshaling GenerateRequest"),
        (vllm_grpc.read_generate, framed(b"\x0a\x09hello"), "unmarshaling GenerateRequest"),
        (vllm_grpc.read_generate, b'{"prompt":"x"}', "invalid or unsupported gRPC payload"),
        (vllm_grpc.read_embed, framed(b""), "invalid embed request: must have tokenized field"),
        (vllm_grpc.read_embed, framed(b"\x0a\x09hello"), "unmarshaling EmbedRequest"),
        (vertex_ai.read_chat_completions, framed(b""), "the request of PredictionService has no HttpBody"),
        (vertex_ai.read_chat_completions, framed(b"\x12\x02\x12\x09"), "unmarshaling the request of PredictionService"),
        (vertex_ai.read_chat_completions, framed(raw_predict(b"")), "the request of PredictionService has no HttpBody"),
        (vertex_ai.read_chat_completions, framed(raw_predict(b"hi")), "error unmarshaling request bodyMap"),
        (vertex_ai.read_chat_completions, framed(raw_predict(b'{"messages":[1]}')), "model not found in request body"),
        (vertex_ai.read_raw_predict, framed(raw_predict(b'{"model":"m"}')), "invalid responses request"),
    ],
)
def test_what_is_refused(reader: BodyReader, body: bytes, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        reader(body)
    assert caught.value.message.startswith(says)


@settings(deadline=None)
@given(st.sampled_from(READERS), st.binary(max_size=100), st.booleans())
def test_arbitrary_bytes_are_read_or_refused(reader: BodyReader, data: bytes, is_framed: bool) -> None:
    try:
        found = reader(framed(data) if is_framed else data)
    except Refusal:
        return
    assert isinstance(found, RequestBody)
