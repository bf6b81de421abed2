"""Request bodies of the OpenAI endpoints, read as leniently as pydantic reads them for vLLM.

Numbers and booleans may come as strings ("temperature": "0"), integers as whole floats; unknown fields are ignored.
"""

from typing import Any, TypeVar

import msgspec

from epp.lab.fake_vllm.errors import ApiError, bad_request, validation
from epp.lab.fake_vllm.tokens import chat_tokens, id_tokens, text_tokens


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a streamed answer."""

    include_usage: bool | None = False


class SamplingFields(msgspec.Struct, frozen=True, kw_only=True):
    """Fields that both endpoints share."""

    model: str | None = None
    n: int | None = 1
    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: str | list[str] | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    seed: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    priority: int | msgspec.UnsetType = msgspec.UNSET
    cache_salt: str | None = None

    @property
    def answer_limit(self) -> int | None:
        """Most tokens of the answer; None means whatever the context leaves."""
        return self.max_tokens


class CompletionFields(SamplingFields, frozen=True, kw_only=True):
    """POST /v1/completions."""

    prompt: Any = None
    max_tokens: int | None = 16


class ChatFields(SamplingFields, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = None
    tools: list[Any] | None = None

    @property
    def answer_limit(self) -> int | None:
        """`max_completion_tokens`, or the older `max_tokens`."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


FieldsT = TypeVar("FieldsT", bound=msgspec.Struct)


def read_fields(raw: bytes, content_type: str, fields: type[FieldsT]) -> FieldsT:
    """Decodes a JSON body. Raises ApiError (400) for another content type, malformed JSON and wrongly typed fields."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise validation("Unsupported Media Type: Only 'application/json' is allowed")
    try:
        return msgspec.json.decode(raw, type=fields, strict=False)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        param = ".".join(["body", *path.rstrip("`").split(".")]) if path else "body"
        raise validation(f"{{'loc': '{param}', 'msg': '{problem}'}}", param) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise validation(f"{{'type': 'json_invalid', 'loc': 'body', 'msg': '{error}'}}", "body") from error


def check_sampling(fields: SamplingFields, *, priority_scheduling: bool) -> None:
    """Raises ApiError (400) for values outside vLLM's ranges."""
    limit = fields.answer_limit
    if limit is not None and limit < 1:
        raise bad_request(f"max_tokens must be at least 1, got {limit}.", "max_tokens")
    if fields.n is not None and not 1 <= fields.n <= 128:
        raise bad_request(f"n must be between 1 and 128, got {fields.n}.", "n")
    if fields.temperature is not None and fields.temperature < 0:
        raise bad_request(f"temperature must be non-negative, got {fields.temperature}.", "temperature")
    if fields.top_p is not None and not 0 < fields.top_p <= 1:
        raise bad_request(f"top_p must be in (0, 1], got {fields.top_p}.", "top_p")
    if fields.min_tokens < 0 or (limit is not None and fields.min_tokens > limit):
        raise bad_request(
            f"min_tokens must be between 0 and max_tokens={limit}, got {fields.min_tokens}.", "min_tokens"
        )
    if fields.stream_options is not None and not fields.stream:
        raise validation("Stream options can only be defined when `stream=True`.", "stream_options")
    if fields.cache_salt == "":
        raise validation("Parameter 'cache_salt' must be a non-empty string if provided.", "cache_salt")
    if isinstance(fields.priority, int) and fields.priority != 0 and not priority_scheduling:
        raise bad_request(f"Got priority {fields.priority} but Priority scheduling is not enabled.", "priority")


def stop_strings(fields: SamplingFields) -> tuple[str, ...]:
    """The non-empty stop strings."""
    stop = fields.stop
    given = [stop] if isinstance(stop, str) else stop or []
    return tuple(text for text in given if text)


def completion_prompts(fields: CompletionFields) -> list[bytes]:
    """Token sequences of the prompt: a text, texts, ids, or lists of ids. Raises ApiError (400) for anything else."""
    prompt = fields.prompt
    if prompt is None or prompt in ("", []):
        raise bad_request("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    if isinstance(prompt, str):
        return [text_tokens(prompt)]
    if not isinstance(prompt, list):
        raise _wrong_prompt()
    if all(isinstance(part, str) and part for part in prompt):
        return [text_tokens(part) for part in prompt]
    if isinstance(prompt[0], list):
        return [_ids(part) for part in prompt]
    return [_ids(prompt)]


def chat_prompt(fields: ChatFields) -> bytes:
    """Token sequence of the rendered conversation. Raises ApiError (400) for messages that are none."""
    if not fields.messages:
        raise bad_request("List should have at least 1 item after validation, not 0: 'messages'.", "messages")
    turns = [_turn(message, f"messages.{index}") for index, message in enumerate(fields.messages)]
    return chat_tokens(turns, preamble=_json(fields.tools) if fields.tools else "")


def _turn(message: dict[str, Any], place: str) -> tuple[str, str]:
    role = message.get("role")
    if not isinstance(role, str) or not role:
        raise validation(f"{{'type': 'missing', 'loc': 'body.{place}.role', 'msg': 'Field required'}}", f"body.{place}")
    content = message.get("content")
    if content is None:
        text = ""
    elif isinstance(content, str):
        text = content
    elif isinstance(content, list):
        text = "\n".join(_part(part, place) for part in content)
    else:
        raise validation(f"{{'loc': 'body.{place}.content', 'msg': 'Expected a string or a list'}}", f"body.{place}")
    calls = message.get("tool_calls")
    return role, text + _json(calls) if calls else text


def _part(part: Any, place: str) -> str:
    """A content part as text; images and the like stand for themselves as JSON: equal ones have equal tokens."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise validation(f"{{'loc': 'body.{place}.content', 'msg': 'A part needs a type'}}", f"body.{place}")
    if part["type"] != "text":
        return _json(part)
    if not isinstance(part.get("text"), str):
        raise validation(f"{{'loc': 'body.{place}.content', 'msg': 'A text part needs text'}}", f"body.{place}")
    text: str = part["text"]
    return text


def _ids(ids: Any) -> bytes:
    if not isinstance(ids, list) or not ids or not all(type(token) is int for token in ids):
        raise _wrong_prompt()
    try:
        return id_tokens(ids)
    except OverflowError as error:
        raise bad_request("Token ids must be between 0 and 4294967295.", "prompt") from error


def _wrong_prompt() -> ApiError:
    return validation(
        "{'loc': 'body.prompt', 'msg': 'Expected text, texts, token ids or lists of them'}", "body.prompt"
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
