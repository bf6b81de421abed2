"""SGLang's own API: POST /generate. It names no model; `extra_key` separates caches as a salt does."""

import msgspec

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import Prompt, PromptKind
from epp.core.protocol.apis.json_fields import (
    MISSING,
    Data,
    integer_of,
    is_filled_list,
    is_true,
    read_object,
    text_of,
    token_ids,
)
from epp.core.protocol.body import RequestBody


class _Sampling(msgspec.Struct):
    max_new_tokens: msgspec.Raw = MISSING


class _Fields(msgspec.Struct):
    input_ids: msgspec.Raw = MISSING
    text: msgspec.Raw = MISSING
    sampling_params: _Sampling | None = None
    stream: msgspec.Raw = MISSING
    extra_key: msgspec.Raw = MISSING
    priority: msgspec.Raw = MISSING


_decode = msgspec.json.Decoder(_Fields).decode


def read_generate(data: Data) -> RequestBody:
    """The body: token ids, or text, which the reference refuses; raises BadRequest."""
    fields = read_object(_decode, data)
    if is_filled_list(fields.input_ids):
        prompt = Prompt(PromptKind.TOKEN_IDS, token_ids(fields.input_ids, "generate", "input_ids"))
    elif text_of(fields.text):
        prompt = Prompt(PromptKind.TEXT, memoryview(fields.text))
    else:
        raise BadRequest(
            "invalid generate request: must have input_ids field",
            hint='"input_ids" must be a list with at least one token id, or "text" a string',
            param="input_ids",
        )
    return RequestBody(
        prompt=prompt,
        streaming=is_true(fields.stream),
        max_tokens=integer_of(fields.sampling_params.max_new_tokens) if fields.sampling_params else None,
        cache_salt=text_of(fields.extra_key),
        claimed_priority=integer_of(fields.priority),
    )
