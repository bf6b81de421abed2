"""Answers as bytes: the JSON of a whole answer, and the server-sent events of a streamed one."""

from collections.abc import Sequence
from typing import Any

import msgspec

from epp.lab.fake_vllm.asks import Ask, Choice
from epp.lab.fake_vllm.sequence import FinishReason
from epp.lab.fake_vllm.tokens import token_count

DONE = b"data: [DONE]\n\n"


class AnswerHead(msgspec.Struct, frozen=True):
    """What all parts of one answer share: its id and the unix time at which it was begun."""

    id: str
    created: int


def whole_answer(head: AnswerHead, ask: Ask, cached_tokens: int) -> bytes:
    """JSON of an answer that is not streamed."""
    body = {
        "id": head.id,
        "object": "text_completion" if ask.endpoint == "completion" else "chat.completion",
        "created": head.created,
        "model": ask.model,
        "choices": [_whole_choice(ask, index, choice) for index, choice in enumerate(ask.choices)],
        "service_tier": None,
        "system_fingerprint": None,
        "usage": usage(ask, cached_tokens),
        "prompt_logprobs": None,
        "kv_transfer_params": None,
    }
    return msgspec.json.encode(body)


def usage(ask: Ask, cached_tokens: int) -> dict[str, Any]:
    """Token counts of a finished answer."""
    completion_tokens = sum(token_count(choice.answer.tokens) for choice in ask.choices)
    return {
        "prompt_tokens": ask.prompt_tokens,
        "total_tokens": ask.prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
    }


def _whole_choice(ask: Ask, index: int, choice: Choice) -> dict[str, Any]:
    answer = choice.answer
    text = answer.text.decode()
    ending = {"logprobs": None, "finish_reason": answer.finish_reason, "stop_reason": answer.stop_reason}
    if ask.endpoint == "completion":
        return {"index": index, "text": text, **ending, "prompt_logprobs": None}
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
    return {"index": index, "message": message, **ending}


class EventWriter:
    """Server-sent events of one answer. Everything but a token's own text is encoded once, before the first token."""

    def __init__(self, head: AnswerHead, ask: Ask) -> None:
        self._ask = ask
        self._shell = {
            "id": head.id,
            "object": "text_completion" if ask.endpoint == "completion" else "chat.completion.chunk",
            "created": head.created,
            "model": ask.model,
        }
        self._around = [self._split(index, None) for index in range(len(ask.choices))]

    def opening(self) -> bytes:
        """The first events: a chat answer names its role before it speaks, a completion has none."""
        if self._ask.endpoint == "completion":
            return b""
        delta = {"role": "assistant", "content": ""}
        choices = [
            [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}]
            for index in range(len(self._ask.choices))
        ]
        return b"".join(self._event({**self._shell, "choices": choice}) for choice in choices)

    def token(self, index: int, position: int, finish_reason: FinishReason | None) -> bytes:
        """The event of one output token of choice `index`."""
        before, after = self._around[index] if finish_reason is None else self._split(index, finish_reason)
        return before + self._ask.choices[index].answer.piece(position) + after

    def closing(self, cached_tokens: int) -> bytes:
        """Usage, if it was asked for, and the end marker."""
        if not self._ask.include_usage:
            return DONE
        return self._event({**self._shell, "choices": [], "usage": usage(self._ask, cached_tokens)}) + DONE

    def _split(self, index: int, finish_reason: FinishReason | None) -> Sequence[bytes]:
        stop_reason = self._ask.choices[index].answer.stop_reason if finish_reason else None
        ending = {"logprobs": None, "finish_reason": finish_reason, "stop_reason": stop_reason}
        completion = self._ask.endpoint == "completion"
        text: dict[str, Any] = {"text": ""} if completion else {"delta": {"content": ""}}
        event = self._event({**self._shell, "choices": [{"index": index, **text, **ending}]})
        # No name from outside can imitate this key: inside a JSON string its quotes would be escaped.
        before, key, after = event.partition(b'"text":"' if completion else b'"content":"')
        return before + key, after

    @staticmethod
    def _event(chunk: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
