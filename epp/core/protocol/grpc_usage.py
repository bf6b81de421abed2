"""Token usage of gRPC answers, whose messages may be split over pieces of the response body.

| message             | field             | number | field of newer answers | number |
| ------------------- | ----------------- | ------ | ---------------------- | ------ |
| GenerateResponse    | chunk             | 2      | chunk                  | 1      |
|                     | complete          | 3      | complete               | 2      |
| GenerateStreamChunk | prompt_tokens     | 2      |                        |        |
|                     | completion_tokens | 3      |                        |        |
|                     | cached_tokens     | 4      |                        |        |
| GenerateComplete    | finish_reason     | 2      |                        |        |
|                     | prompt_tokens     | 3      |                        |        |
|                     | completion_tokens | 4      |                        |        |
|                     | cached_tokens     | 5      |                        |        |
| EmbedResponse       | complete          | 2      | prompt_tokens          | 2      |
| EmbedComplete       | prompt_tokens     | 2      |                        |        |

Source: vllm_engine.proto as vLLM had it at first (with `request_id = 1` in every answer), and as vLLM, smg and
llm-d-router have it now. Both are read: a message tells by its fields whether it is a chunk or complete.

A chunk counts the tokens that it brings; the complete answer at the end of a stream repeats the last chunk's count.
"""

from epp.core.domain.ports import TokenUsage
from epp.core.protocol.apis.vertex_ai import body_data
from epp.core.protocol.grpc_frames import Data, MessageReader
from epp.core.protocol.protobuf_fields import MalformedProtobuf, Value, fields
from epp.core.protocol.usage import LONGEST_JSON_BYTES, JsonUsageReader, SseUsageReader, merged, usage_of

CHUNK_OR_ID, CHUNK_OR_COMPLETE, COMPLETE = 1, 2, 3
SECOND_OF_BOTH = 2
"""prompt_tokens of a chunk, a number; finish_reason of a complete answer, a string"""
CHUNK_NUMBERS = (2, 3, 4)
COMPLETE_NUMBERS = (3, 4, 5)
EMBED_PROMPT_TOKENS = 2


class VllmGenerateUsageReader:
    """Usage of a Generate answer, streamed or whole, of one or several sequences."""

    def __init__(self) -> None:
        self._reader = MessageReader(self._take, LONGEST_JSON_BYTES)
        self._prompt = self._cached = self._chunks = self._complete = 0
        self._found = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._reader.feed(data)

    def finish(self) -> TokenUsage | None:
        """Usage of all messages; None where none had any."""
        if not self._found:
            return None
        return TokenUsage(self._prompt, max(self._chunks, self._complete), self._cached)

    def _take(self, message: Data) -> None:
        try:
            parts = dict(fields(message))
            inner = parts.get(COMPLETE) or parts.get(CHUNK_OR_COMPLETE)
            if inner is None and len(parts) == 1:  # beside other fields the first one is the id of older answers
                inner = parts.get(CHUNK_OR_ID)
            if not isinstance(inner, memoryview):
                return
            counts = dict(fields(inner))
        except MalformedProtobuf:  # it is for the client to complain
            return
        is_chunk = COMPLETE not in parts and not isinstance(counts.get(SECOND_OF_BOTH), memoryview)
        numbers = CHUNK_NUMBERS if is_chunk else COMPLETE_NUMBERS
        prompt, completion, cached = (_count(counts.get(number)) for number in numbers)
        self._found = self._found or bool(prompt or completion)
        self._prompt = max(self._prompt, prompt)
        self._cached = max(self._cached, cached)
        if is_chunk:
            self._chunks += completion
        else:
            self._complete += completion


class VllmEmbedUsageReader:
    """Usage of an Embed answer."""

    def __init__(self) -> None:
        self._reader = MessageReader(self._take, LONGEST_JSON_BYTES)
        self._prompt = 0

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._reader.feed(data)

    def finish(self) -> TokenUsage | None:
        """Prompt tokens; None where the answer has none."""
        return TokenUsage(self._prompt, 0) if self._prompt else None

    def _take(self, message: Data) -> None:
        try:
            found = dict(fields(message)).get(EMBED_PROMPT_TOKENS)
            if isinstance(found, memoryview):
                found = dict(fields(found)).get(EMBED_PROMPT_TOKENS)
        except MalformedProtobuf:  # it is for the client to complain
            return
        self._prompt = _count(found)


class VertexUsageReader:
    """Usage of the JSON or the server-sent events that HttpBody messages carry, each whole or in pieces."""

    def __init__(self) -> None:
        self._reader = MessageReader(self._take, LONGEST_JSON_BYTES)
        self._usage: TokenUsage | None = None
        self._pieces: JsonUsageReader | SseUsageReader | None = None

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._reader.feed(data)

    def finish(self) -> TokenUsage | None:
        """Usage of all messages; None where none had any."""
        return self._usage or (self._pieces.finish() if self._pieces is not None else None)

    def _take(self, message: Data) -> None:
        try:
            data = body_data(message)
        except MalformedProtobuf:  # it is for the client to complain
            return
        if data is None:
            return
        text = bytes(data)
        if self._pieces is None:
            self._pieces = JsonUsageReader() if text.lstrip()[:1] == b"{" else SseUsageReader()
        self._pieces.feed(text)
        if isinstance(self._pieces, JsonUsageReader):
            self._usage = merged(self._usage, usage_of(text))


def _count(value: Value | None) -> int:
    return value if isinstance(value, int) else 0
