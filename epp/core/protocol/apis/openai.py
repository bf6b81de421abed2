"""OpenAI's bodies: completions, chat completions, responses, conversations, embeddings, images.

The prompt is left as the raw bytes that the client wrote. Tools and instructions come before the messages, as chat
templates put them, because a prompt is cached from its beginning.
"""

import msgspec

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import ModelField, Prompt, PromptKind
from epp.core.protocol.apis.json_fields import (
    MISSING,
    Data,
    integer_of,
    is_filled_list,
    is_true,
    joined,
    read_object,
    text_of,
    text_or_tokens,
)
from epp.core.protocol.body import RequestBody


class _Fields(msgspec.Struct):
    """The fields that are looked at; everything else is skipped, which also checks its syntax."""

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


_decode = msgspec.json.Decoder(_Fields).decode


def read_completions(data: Data) -> RequestBody:
    """Body of POST /v1/completions; raises BadRequest, as all readers here."""
    fields = read_object(_decode, data)
    prompt = text_or_tokens(fields.prompt, "completions", "prompt")
    return _body(fields, prompt, integer_of(fields.max_tokens))


def read_chat_completions(data: Data) -> RequestBody:
    """Body of POST /v1/chat/completions."""
    fields = read_object(_decode, data)
    if not is_filled_list(fields.messages):
        raise BadRequest(
            "invalid chat completions request: must have valid messages field",
            hint='"messages" must be a list with at least one message',
            param="messages",
        )
    limit = integer_of(fields.max_completion_tokens)
    prompt = joined(fields.tools, fields.messages)
    return _body(fields, prompt, integer_of(fields.max_tokens) if limit is None else limit)


def read_responses(data: Data) -> RequestBody:
    """Body of POST /v1/responses."""
    fields = read_object(_decode, data)
    if not (is_filled_list(fields.input) or text_of(fields.input)):
        raise BadRequest(
            "invalid responses request: must have input field",
            hint='"input" must be a string or a list with at least one item',
            param="input",
        )
    prompt = joined(fields.tools, fields.instructions, fields.input)
    return _body(fields, prompt, integer_of(fields.max_output_tokens))


def read_conversations(data: Data) -> RequestBody:
    """Body of POST /v1/conversations; conversations name no model of their own, so none is asked for."""
    fields = read_object(_decode, data)
    if not is_filled_list(fields.items):
        raise BadRequest(
            "invalid conversations request: must have items field",
            hint='"items" must be a list with at least one item',
            param="items",
        )
    return _body(fields, joined(fields.items), None, ModelField.NONE)


def read_embeddings(data: Data) -> RequestBody:
    """Body of POST /v1/embeddings."""
    fields = read_object(_decode, data)
    return _body(fields, text_or_tokens(fields.input, "embeddings", "input"), None)


def read_images(data: Data) -> RequestBody:
    """Body of POST /v1/images/generations."""
    fields = read_object(_decode, data)
    if not text_of(fields.prompt):
        raise BadRequest(
            "invalid images generations request: must have prompt field",
            hint='"prompt" must be a non-empty string',
            param="prompt",
        )
    return _body(fields, Prompt(PromptKind.TEXT, memoryview(fields.prompt)), None)


def read_by_field(data: Data) -> RequestBody:
    """A body whose path does not tell the API: chat with `messages`, completions with `prompt`, else responses."""
    fields = read_object(_decode, data)
    if memoryview(fields.messages):
        return read_chat_completions(data)
    return read_completions(data) if memoryview(fields.prompt) else read_responses(data)


def _body(
    fields: _Fields, prompt: Prompt, max_tokens: int | None, model_field: ModelField = ModelField.REQUIRED
) -> RequestBody:
    return RequestBody(
        model=text_of(fields.model),
        model_field=model_field,
        prompt=prompt,
        streaming=is_true(fields.stream),
        max_tokens=max_tokens,
        cache_salt=text_of(fields.cache_salt),
        claimed_priority=integer_of(fields.priority),
    )
