"""The fields of an OpenAI request body. Not compiled: a compiler would not keep the types that msgspec reads by."""

import msgspec

from epp.core.protocol.apis.json_fields import MISSING


class Fields(msgspec.Struct):
    """The fields that are looked at; everything else is skipped, which also checks its syntax."""

    model: str | None = ""
    prompt: msgspec.Raw = MISSING
    messages: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    input: msgspec.Raw = MISSING
    instructions: msgspec.Raw = MISSING
    items: msgspec.Raw = MISSING
    stream: bool | None = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    cache_salt: str | None = ""
    priority: int | None = None


class RawFields(msgspec.Struct):
    """The same where one of them has another type than expected, which is for the model server to judge."""

    model: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING
    messages: msgspec.Raw = MISSING
    tools: msgspec.Raw = MISSING
    input: msgspec.Raw = MISSING
    instructions: msgspec.Raw = MISSING
    items: msgspec.Raw = MISSING
    stream: msgspec.Raw = MISSING
    max_tokens: msgspec.Raw = MISSING
    max_completion_tokens: msgspec.Raw = MISSING
    max_output_tokens: msgspec.Raw = MISSING
    cache_salt: msgspec.Raw = MISSING
    priority: msgspec.Raw = MISSING


decode_fields = msgspec.json.Decoder(Fields).decode
decode_raw_fields = msgspec.json.Decoder(RawFields).decode
