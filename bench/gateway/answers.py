"""What the benchmark's pods write: made once, the same for every request but for the pod's name and the decision.

A plain answer is JSON with usage. A streamed one is STREAM_CHUNKS server-sent events, the last of which carries the
usage and the end marker. Headers `x-bench-pod` and `x-bench-decision` say which pod answers and whether the picker had
named it (own), another one (other), or nobody (none).
"""

from typing import Any

import msgspec

from epp.lab.plan import BASE_MODEL

ANSWER_HEADER = b"x-bench-answer"
"""of a request: `stream` asks for a streamed answer"""
POD_HEADER = b"x-bench-pod"
DECISION_HEADER = b"x-bench-decision"
DECISIONS = ("own", "other", "none")
STREAM_CHUNKS = 100
DESTINATION_HEADER = b"x-gateway-destination-endpoint"
_CREATED = 1_700_000_000


def _whole_body() -> bytes:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "It says so in the second part.",
        "refusal": None,
        "tool_calls": [],
    }
    return msgspec.json.encode(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": _CREATED,
            "model": BASE_MODEL,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 200, "total_tokens": 208, "completion_tokens": 8},
        }
    )


def _event_texts() -> tuple[bytes, ...]:
    def text(**more: Any) -> bytes:
        shell = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": _CREATED, "model": BASE_MODEL}
        return b"data: %b\n\n" % msgspec.json.encode(shell | more)

    token = text(choices=[{"index": 0, "delta": {"content": " token"}, "logprobs": None, "finish_reason": None}])
    usage = {"prompt_tokens": 200, "total_tokens": 200 + STREAM_CHUNKS, "completion_tokens": STREAM_CHUNKS}
    return (*[token] * (STREAM_CHUNKS - 1), text(choices=[], usage=usage) + b"data: [DONE]\n\n")


def _chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


WHOLE_BODY = _whole_body()
_TEXTS = _event_texts()
STREAM_BODY_BYTES = sum(map(len, _TEXTS))
EVENTS = (*map(_chunk, _TEXTS[:-1]), _chunk(_TEXTS[-1]) + b"0\r\n\r\n")
"""chunks of a chunked body; the last one ends it"""


class PodAnswers:
    """Everything that one pod writes, by what became of the decision."""

    def __init__(self, address: str) -> None:
        """`address` is `ip:port`, as decisions name it."""
        self._chosen = b"%b: %b" % (DESTINATION_HEADER, address.encode())
        heads = {
            decision: b"HTTP/1.1 200 OK\r\n%b: %b\r\n%b: %b\r\n"
            % (POD_HEADER, address.encode(), DECISION_HEADER, decision.encode())
            for decision in DECISIONS
        }
        whole = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(WHOLE_BODY), WHOLE_BODY)
        stream = b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        self.whole = {decision: head + whole for decision, head in heads.items()}
        self.stream_heads = {decision: head + stream for decision, head in heads.items()}

    def decision(self, head: bytes) -> str:
        """Whether the picker named this pod first, another one, or nobody, as a request's head from Envoy says."""
        at = head.find(self._chosen)
        after = at + len(self._chosen)
        if at >= 0 and head[after : after + 1] in {b"", b"\r", b","}:
            return "own"
        return "other" if DESTINATION_HEADER in head else "none"
