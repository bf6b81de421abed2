"""POST /tokenize and the render endpoints: token ids of a prompt, the very ones that the engine caches by.

The toy tokeniser is that of `tokens`: a token is four bytes of the text, read as a little-endian number; chat messages
go through the chat template of `chat_tokens` first.
"""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from epp.lab.fake_vllm.bodies import (
    ChatFields,
    CompletionFields,
    FieldsT,
    chat_prompt,
    completion_prompts,
    read_fields,
)
from epp.lab.fake_vllm.errors import injected
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies, read_body, until_disconnected


class _Kind(msgspec.Struct, frozen=True):
    """Tells which of the two a body of /tokenize is."""

    messages: Any = None


class Tokenized(msgspec.Struct, frozen=True):
    """Answer of /tokenize."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: None = None


class Rendered(msgspec.Struct, frozen=True):
    """What the render endpoints answer per prompt: a request to /inference/v1/generate."""

    request_id: str
    token_ids: list[int]
    model: str | None
    features: None = None


class TokenizeApi:
    """The endpoints that compute nothing but token ids."""

    def __init__(self, state: PodState, replies: Replies) -> None:
        self._state = state
        self._replies = replies

    async def tokenize(self, request: web.BaseRequest) -> web.StreamResponse:
        """A prompt or messages. Raises ApiError."""
        raw = await self._read(request)
        is_chat = self._fields(raw, request, _Kind).messages is not None
        (tokens, *_), _model = self._chat(raw, request) if is_chat else self._completion(raw, request)
        answer = Tokenized(len(tokens), self._state.settings.engine.context_tokens, tokens)
        return self._replies.json(request, msgspec.json.encode(answer))

    async def render_completion(self, request: web.BaseRequest) -> web.StreamResponse:
        """A list with an entry for each prompt. Raises ApiError."""
        prompts, model = self._completion(await self._read(request), request)
        answer = [Rendered(f"cmpl-{index}", tokens, model) for index, tokens in enumerate(prompts)]
        return self._replies.json(request, msgspec.json.encode(answer))

    async def render_chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """One entry. Raises ApiError."""
        (tokens,), model = self._chat(await self._read(request), request)
        return self._replies.json(request, msgspec.json.encode(Rendered("chatcmpl-0", tokens, model)))

    async def _read(self, request: web.BaseRequest) -> bytes:
        fault = self._state.faults.faults.tokenize
        raw = await read_body(request)
        if isinstance(fault, int):
            raise injected(fault)
        if fault is not None:
            await until_disconnected()
        await asyncio.sleep(self._state.faults.faults.delay_s)
        return raw

    def _completion(self, raw: bytes, request: web.BaseRequest) -> tuple[list[list[int]], str | None]:
        fields = self._fields(raw, request, CompletionFields)
        self._state.models.resolve(fields.model)
        return [_numbers(tokens) for tokens in completion_prompts(fields)], fields.model

    def _chat(self, raw: bytes, request: web.BaseRequest) -> tuple[list[list[int]], str | None]:
        fields = self._fields(raw, request, ChatFields)
        self._state.models.resolve(fields.model)
        return [_numbers(chat_prompt(fields))], fields.model

    def _fields(self, raw: bytes, request: web.BaseRequest, kind: type[FieldsT]) -> FieldsT:
        return read_fields(raw, request.headers.get("Content-Type", ""), kind)


def _numbers(tokens: bytes) -> list[int]:
    return memoryview(tokens).cast("I").tolist()
