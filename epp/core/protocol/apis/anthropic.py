"""Anthropic's messages API, as vLLM and others serve it."""

import msgspec

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import ModelField
from epp.core.protocol.apis.json_fields import (
    MISSING,
    Data,
    integer_of,
    is_filled_list,
    is_true,
    joined,
    read_object,
    text_of,
)
from epp.core.protocol.body import RequestBody


class _Fields(msgspec.Struct):
    model: msgspec.Raw = MISSING
    system: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    messages: msgspec.Raw = MISSING
    stream: msgspec.Raw = MISSING
    max_tokens: msgspec.Raw = MISSING
    priority: msgspec.Raw = MISSING


_decode = msgspec.json.Decoder(_Fields).decode


def read_messages(data: Data) -> RequestBody:
    """Body of POST /v1/messages; raises BadRequest, as the other reader."""
    fields = read_object(_decode, data)
    if not is_filled_list(fields.messages):
        raise BadRequest(
            "invalid messages request: must have valid messages field",
            hint='"messages" must be a list with at least one message',
            param="messages",
        )
    return RequestBody(
        model=text_of(fields.model),
        model_field=ModelField.REQUIRED,
        prompt=joined(fields.tools, fields.system, fields.messages),
        streaming=is_true(fields.stream),
        max_tokens=integer_of(fields.max_tokens),
        claimed_priority=integer_of(fields.priority),
    )


def read_count_tokens(data: Data) -> RequestBody:
    """Body of POST /v1/messages/count_tokens: nothing is generated, so only the model counts."""
    return RequestBody(model=text_of(read_object(_decode, data).model), model_field=ModelField.REQUIRED)
