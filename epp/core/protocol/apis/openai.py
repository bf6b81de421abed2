"""OpenAI's bodies: completions, chat completions, responses, conversations, embeddings, images.

The prompt is left as the raw bytes that the client wrote. Tools and instructions come before the messages, as chat
templates put them, because a prompt is cached from its beginning.
"""

import msgspec

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import ModelField, Prompt, PromptKind
from epp.core.protocol.apis.json_fields import (
    Data,
    integer_of,
    is_filled_list,
    is_true,
    joined,
    of_sane_size,
    read_object,
    text_of,
    text_or_tokens,
)
from epp.core.protocol.apis.long_strings import decoded
from epp.core.protocol.apis.openai_fields import Fields, decode_fields, decode_raw_fields
from epp.core.protocol.body import RequestBody


def _fields(data: Data) -> Fields:
    """Raises BadRequest."""
    try:
        return decoded(decode_fields, data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raw = read_object(decode_raw_fields, data)
    return Fields(
        model=text_of(raw.model),
        prompt=raw.prompt,
        messages=raw.messages,
        tools=raw.tools,
        input=raw.input,
        instructions=raw.instructions,
        items=raw.items,
        stream=is_true(raw.stream),
        max_tokens=integer_of(raw.max_tokens),
        max_completion_tokens=integer_of(raw.max_completion_tokens),
        max_output_tokens=integer_of(raw.max_output_tokens),
        cache_salt=text_of(raw.cache_salt),
        priority=integer_of(raw.priority),
    )


def read_completions(data: Data) -> RequestBody:
    """Body of POST /v1/completions; raises BadRequest, as all readers here."""
    fields = _fields(data)
    prompt = text_or_tokens(fields.prompt, "completions", "prompt")
    return _body(fields, prompt, fields.max_tokens)


def read_chat_completions(data: Data) -> RequestBody:
    """Body of POST /v1/chat/completions."""
    fields = _fields(data)
    if not is_filled_list(fields.messages):
        raise BadRequest(
            "invalid chat completions request: must have valid messages field",
            hint='"messages" must be a list with at least one message',
            param="messages",
        )
    limit = fields.max_completion_tokens
    prompt = joined(fields.tools, fields.messages)
    return _body(fields, prompt, fields.max_tokens if limit is None else limit)


def read_responses(data: Data) -> RequestBody:
    """Body of POST /v1/responses."""
    fields = _fields(data)
    if not (is_filled_list(fields.input) or text_of(fields.input)):
        raise BadRequest(
            "invalid responses request: must have input field",
            hint='"input" must be a string or a list with at least one item',
            param="input",
        )
    prompt = joined(fields.tools, fields.instructions, fields.input)
    return _body(fields, prompt, fields.max_output_tokens)


def read_conversations(data: Data) -> RequestBody:
    """Body of POST /v1/conversations; conversations name no model of their own, so none is asked for."""
    fields = _fields(data)
    if not is_filled_list(fields.items):
        raise BadRequest(
            "invalid conversations request: must have items field",
            hint='"items" must be a list with at least one item',
            param="items",
        )
    return _body(fields, joined(fields.items), None, ModelField.NONE)


def read_embeddings(data: Data) -> RequestBody:
    """Body of POST /v1/embeddings."""
    fields = _fields(data)
    return _body(fields, text_or_tokens(fields.input, "embeddings", "input"), None)


def read_images(data: Data) -> RequestBody:
    """Body of POST /v1/images/generations."""
    fields = _fields(data)
    if not text_of(fields.prompt):
        raise BadRequest(
            "invalid images generations request: must have prompt field",
            hint='"prompt" must be a non-empty string',
            param="prompt",
        )
    return _body(fields, Prompt(PromptKind.TEXT, memoryview(fields.prompt)), None)


def read_by_field(data: Data) -> RequestBody:
    """A body whose path does not tell the API: chat with `messages`, completions with `prompt`, else responses."""
    fields = _fields(data)
    if memoryview(fields.messages):
        return read_chat_completions(data)
    return read_completions(data) if memoryview(fields.prompt) else read_responses(data)


def _body(
    fields: Fields, prompt: Prompt, max_tokens: int | None, model_field: ModelField = ModelField.REQUIRED
) -> RequestBody:
    return RequestBody(
        model=fields.model or "",
        model_field=model_field,
        prompt=prompt,
        streaming=fields.stream is True,
        max_tokens=of_sane_size(max_tokens),
        cache_salt=fields.cache_salt or "",
        claimed_priority=of_sane_size(fields.priority),
    )
