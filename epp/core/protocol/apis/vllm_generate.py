"""vLLM's own tokens-in API: POST /inference/v1/generate."""

import msgspec

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import ModelField, MultimodalItem, Prompt, PromptKind
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
from epp.core.protocol.apis.mm_features import Features, items_of
from epp.core.protocol.body import RequestBody


class _Sampling(msgspec.Struct):
    max_tokens: msgspec.Raw = MISSING


class _Fields(msgspec.Struct):
    model: msgspec.Raw = MISSING
    token_ids: msgspec.Raw = MISSING
    sampling_params: _Sampling | None = None
    stream: msgspec.Raw = MISSING
    cache_salt: msgspec.Raw = MISSING
    features: msgspec.Raw = MISSING
    priority: msgspec.Raw = MISSING


_decode = msgspec.json.Decoder(_Fields).decode
_decode_features = msgspec.json.Decoder(Features | None).decode
_UNKNOWN = (MultimodalItem("", 0, 1),)
"""items that are not named: from the first block on nothing is like any other prompt"""


def read_generate(data: Data) -> RequestBody:
    """The body; the model may be left out. Raises BadRequest."""
    fields = read_object(_decode, data)
    if not is_filled_list(fields.token_ids):
        raise BadRequest(
            "invalid generate request: must have token_ids field",
            hint='"token_ids" must be a list with at least one token id',
            param="token_ids",
        )
    return RequestBody(
        model=text_of(fields.model),
        model_field=ModelField.OPTIONAL,
        prompt=Prompt(PromptKind.TOKEN_IDS, token_ids(fields.token_ids, "generate", "token_ids")),
        multimodal=_multimodal(fields.features),
        streaming=is_true(fields.stream),
        max_tokens=integer_of(fields.sampling_params.max_tokens) if fields.sampling_params else None,
        cache_salt=text_of(fields.cache_salt),
        claimed_priority=integer_of(fields.priority),
    )


def _multimodal(raw: msgspec.Raw) -> tuple[MultimodalItem, ...]:
    """Lenient as with every optional field: what cannot be read is left to the model server, and matches nothing."""
    if not memoryview(raw):
        return ()
    try:
        items = items_of(_decode_features(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _UNKNOWN
    return _UNKNOWN if items is None else items
