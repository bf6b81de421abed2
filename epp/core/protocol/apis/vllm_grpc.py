"""vLLM's gRPC API: VllmEngine.Generate and VllmEngine.Embed. It names no model.

| message         | field              | number | used for             |
| --------------- | ------------------ | ------ | -------------------- |
| GenerateRequest | tokenized          | 2      | prompt               |
|                 | text               | 3      | prompt               |
|                 | sampling_params    | 4      | -> max_tokens        |
|                 | stream             | 5      | streaming            |
| EmbedRequest    | tokenized          | 2      | prompt               |
| TokenizedInput  | input_ids          | 2      | prompt               |
| SamplingParams  | max_tokens         | 8      | output limit         |

Source: vllm_engine.proto of package vllm.grpc.engine, the same in vLLM, in smg and in llm-d-router.
"""

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import NO_PROMPT, Prompt, PromptKind
from epp.core.protocol.body import NO_BODY, RequestBody
from epp.core.protocol.grpc_frames import first_message
from epp.core.protocol.protobuf_fields import (
    UINT32_MASK,
    Data,
    MalformedProtobuf,
    Value,
    fields,
    uint32_list,
)

SERVICE = "vllm.grpc.engine.VllmEngine"
TOKENIZED, TEXT, SAMPLING_PARAMS, STREAM = 2, 3, 4, 5
INPUT_IDS = 2
MAX_TOKENS = 8


def read_generate(data: Data) -> RequestBody:
    """Body of Generate; raises BadRequest. In a compression that is not known here, nothing is read."""
    message = first_message(data)
    if message is None:
        return NO_BODY
    try:
        return _generate(message)
    except MalformedProtobuf as error:
        raise _not_a("GenerateRequest", error) from error


def read_embed(data: Data) -> RequestBody:
    """Body of Embed; as for `read_generate`."""
    message = first_message(data)
    if message is None:
        return NO_BODY
    prompt = NO_PROMPT
    try:
        for number, value in fields(message):
            if number == TOKENIZED and isinstance(value, memoryview):
                prompt = _token_ids(value)
    except MalformedProtobuf as error:
        raise _not_a("EmbedRequest", error) from error
    if not prompt.data:
        raise BadRequest(
            "invalid embed request: must have tokenized field",
            hint='"tokenized" must have at least one input id',
            param="tokenized",
        )
    return RequestBody(prompt=prompt)


def _generate(message: Data) -> RequestBody:
    prompt = NO_PROMPT
    streaming = False
    max_tokens = None
    for number, value in fields(message):
        if number == TOKENIZED and isinstance(value, memoryview):
            prompt = _token_ids(value)
        elif number == TEXT and isinstance(value, memoryview):
            prompt = Prompt(PromptKind.TEXT, value)
        elif number == SAMPLING_PARAMS and isinstance(value, memoryview):
            max_tokens = _max_tokens(value, max_tokens)
        elif number == STREAM:
            streaming = bool(value)
    if not prompt.data:
        raise BadRequest(
            "invalid generate request: must have tokenized or text field",
            hint='"tokenized" must have at least one input id, or "text" must not be empty',
            param="tokenized",
        )
    return RequestBody(prompt=prompt, streaming=streaming, max_tokens=max_tokens)


def _token_ids(tokenized: memoryview) -> Prompt:
    parts: list[Value] = [value for number, value in fields(tokenized) if number == INPUT_IDS]
    return Prompt(PromptKind.TOKEN_IDS, uint32_list(parts))


def _max_tokens(sampling: memoryview, former: int | None) -> int | None:
    for number, value in fields(sampling):
        if number == MAX_TOKENS and isinstance(value, int):
            former = value & UINT32_MASK
    return former


def _not_a(name: str, error: MalformedProtobuf) -> BadRequest:
    return BadRequest(f"unmarshaling {name}: {error}", hint=f"the gRPC message must be a {name} of {SERVICE}")
