"""Reads OpenAI request bodies: /v1/completions and /v1/chat/completions.

One pass with msgspec over the fields that matter; prompt or messages are left as raw bytes. Lenient where model
servers are: an optional field of another type than expected is left for the model server to judge. Strict where the
reference is: JSON object, model, prompt or messages.
"""

from collections.abc import Callable

import msgspec
import numpy as np

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import Prompt, PromptKind
from epp.core.protocol.body import RequestBody

MISSING = msgspec.Raw()
TOKEN_ID_LIMIT = 2**32


class _Fields(msgspec.Struct):
    """The fields that are looked at; everything else is skipped, which also checks its syntax."""

    model: msgspec.Raw = MISSING
    prompt: msgspec.Raw = MISSING
    messages: msgspec.Raw = MISSING
    stream: msgspec.Raw = MISSING
    max_tokens: msgspec.Raw = MISSING
    max_completion_tokens: msgspec.Raw = MISSING
    cache_salt: msgspec.Raw = MISSING
    priority: msgspec.Raw = MISSING


_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_token_ids = msgspec.json.Decoder(list[int]).decode
_decode_token_id_lists = msgspec.json.Decoder(list[list[int]]).decode

BodyReader = Callable[[bytes | memoryview], RequestBody]


def read_completions(data: bytes | memoryview) -> RequestBody:
    """Body of POST /v1/completions; raises BadRequest."""
    fields = _fields(data)
    prompt = _completions_prompt(fields.prompt)
    return _body(fields, prompt, _integer(fields.max_tokens))


def read_chat_completions(data: bytes | memoryview) -> RequestBody:
    """Body of POST /v1/chat/completions; raises BadRequest."""
    fields = _fields(data)
    messages = memoryview(fields.messages)
    if bytes(messages[:1]) != b"[" or _first_inside(messages) == b"]":
        raise BadRequest(
            "invalid chat completions request: must have valid messages field",
            hint='"messages" must be a list with at least one message',
            param="messages",
        )
    limit = _integer(fields.max_completion_tokens)
    return _body(fields, Prompt(PromptKind.TEXT, messages), _integer(fields.max_tokens) if limit is None else limit)


READERS: tuple[tuple[tuple[str, ...], BodyReader], ...] = (
    (("chat", "completions"), read_chat_completions),
    (("completions",), read_completions),
)
"""by the last segments of the path, longest first"""


def reader_for(path: str) -> BodyReader | None:
    """The reader for a path, matched by whole segments at its end; None for an unknown path."""
    segments = tuple(segment for segment in path.split("?", 1)[0].split("/") if segment)
    for tail, reader in READERS:
        if segments[-len(tail) :] == tail:
            return reader
    return None


def _fields(data: bytes | memoryview) -> _Fields:
    if not data:
        raise BadRequest("error unmarshaling request bodyMap: the body is empty", hint="send a JSON object")
    try:
        return _decode_fields(data)
    except msgspec.MsgspecError as error:
        raise BadRequest(
            f"error unmarshaling request bodyMap: {error}", hint="the body must be a JSON object"
        ) from error
    except RecursionError as error:
        raise BadRequest(
            "error unmarshaling request bodyMap: nested too deeply", hint="the body must be a JSON object of sane depth"
        ) from error


def _body(fields: _Fields, prompt: Prompt, max_tokens: int | None) -> RequestBody:
    model = _text(fields.model)
    if not model:
        raise BadRequest(
            "model not found in request body",
            hint='"model" must be a non-empty string: the name of the base model or of a LoRA adapter',
            param="model",
        )
    return RequestBody(
        model=model,
        prompt=prompt,
        streaming=bytes(fields.stream) == b"true",
        max_tokens=max_tokens,
        cache_salt=_text(fields.cache_salt),
        claimed_priority=_integer(fields.priority),
    )


def _completions_prompt(raw: msgspec.Raw) -> Prompt:
    view = memoryview(raw)
    first = bytes(view[:1])
    if first == b'"' and len(view) > len(b'""'):
        return Prompt(PromptKind.TEXT, view)
    inner = _first_inside(view) if first == b"[" else b""
    if inner == b'"':
        return Prompt(PromptKind.TEXT, view)
    if inner == b"[" or inner.isdigit():
        return Prompt(PromptKind.TOKEN_IDS, _token_ids(raw, nested=inner == b"["))
    raise BadRequest(
        "invalid completions request: must have prompt field",
        hint='"prompt" must be a string, a list of strings, or token ids',
        param="prompt",
    )


def _first_inside(array: memoryview) -> bytes:
    """The first byte after the bracket that is not white space."""
    start = 1
    while not (window := bytes(array[start : start + 64]).lstrip()):
        start += 64
    return window[:1]


def _token_ids(raw: msgspec.Raw, *, nested: bool) -> bytes:
    """Token ids as little-endian uint32, several prompts one after the other."""
    try:
        if nested:
            ids = [token for prompt in _decode_token_id_lists(raw) for token in prompt]
        else:
            ids = _decode_token_ids(raw)
        return np.array(ids, dtype="<u4").tobytes()
    except (msgspec.MsgspecError, OverflowError) as error:
        raise BadRequest(
            f"invalid completions request: must have prompt field: {error}",
            hint=f'token ids in "prompt" must be integers from 0 to {TOKEN_ID_LIMIT - 1}',
            param="prompt",
        ) from error


def _text(raw: msgspec.Raw) -> str:
    """A JSON string, empty for anything else."""
    if bytes(memoryview(raw)[:1]) != b'"':
        return ""
    try:
        return _decode_text(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a lone surrogate, bytes that are not UTF-8: no name
        return ""


def _integer(raw: msgspec.Raw) -> int | None:
    """A JSON integer of at most 18 digits, None for anything else."""
    text = bytes(memoryview(raw)[:20])
    digits = text.removeprefix(b"-")
    return int(text) if digits.isdigit() and len(digits) <= len(str(2**59)) else None
