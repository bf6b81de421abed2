"""Token usage of a response, from JSON or from server-sent events whose lines may be split over chunks."""

from typing import Protocol

import msgspec

from epp.core.domain.ports import TokenUsage

LONGEST_LINE_BYTES = 1 << 20
"""a longer event line is not looked into"""
LONGEST_JSON_BYTES = 8 << 20


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    completion_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    cache_read_input_tokens: int | None = None
    cached_tokens: int | None = None


class _Inner(msgspec.Struct):
    usage: _Usage | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None
    """completions, chat, embeddings, responses, Anthropic's message_delta"""
    response: _Inner | None = None
    """the event response.completed of the responses API"""
    message: _Inner | None = None
    """Anthropic's message_start"""
    meta_info: _Usage | None = None
    """SGLang's generate"""


_decode_answer = msgspec.json.Decoder(_Answer).decode
USAGE, META_INFO = MARKS = (b'"usage"', b'"meta_info"')
"""an event without any of them has no usage"""


def usage_of(answer: bytes | memoryview) -> TokenUsage | None:
    """The usage in one JSON object of any API; None where there is none or the text is something else."""
    try:
        found = _decode_answer(answer)
    except (msgspec.MsgspecError, RecursionError):
        return None
    inner = found.response or found.message
    usage = found.usage or (inner.usage if inner else None) or found.meta_info
    if usage is None:
        return None
    details = usage.prompt_tokens_details or usage.input_tokens_details
    return TokenUsage(
        _first(usage.prompt_tokens, usage.input_tokens),
        _first(usage.completion_tokens, usage.output_tokens),
        _first(details.cached_tokens if details else None, usage.cache_read_input_tokens, usage.cached_tokens),
    )


def _first(*numbers: int | None) -> int | None:
    return next((number for number in numbers if number is not None), None)


def merged(earlier: TokenUsage | None, later: TokenUsage | None) -> TokenUsage | None:
    """Field by field, the later one where it says something: Anthropic's usage comes in two events."""
    if earlier is None or later is None:
        return later or earlier
    return TokenUsage(
        _first(later.prompt_tokens, earlier.prompt_tokens),
        _first(later.completion_tokens, earlier.completion_tokens),
        _first(later.cached_tokens, earlier.cached_tokens),
    )


class UsageReader(Protocol):
    """Looks for the usage in a response body that comes in pieces."""

    def feed(self, data: bytes) -> None:
        """The next piece."""

    def finish(self) -> TokenUsage | None:
        """The usage once the body is over; None where there was none."""
        ...


class JsonUsageReader:
    """Collects a JSON answer up to a bound and reads it at the end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._size += len(data)
        if self._size <= LONGEST_JSON_BYTES:
            self._parts.append(data)
        else:
            self._parts.clear()

    def finish(self) -> TokenUsage | None:
        """Usage of the whole; None when it was longer than the bound."""
        return usage_of(b"".join(self._parts)) if self._parts else None


class SseUsageReader:
    """Keeps the unfinished line between chunks; later events count more, field by field."""

    def __init__(self) -> None:
        self._carry = b""
        self._overlong = False
        self._usage: TokenUsage | None = None

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if not self._carry and data.endswith(b"\n") and USAGE not in data and META_INFO not in data:
            self._overlong = False
            return
        if self._overlong:
            newline = data.find(b"\n")
            if newline < 0:
                return
            data = data[newline + 1 :]
            self._overlong = False
        lines = (self._carry + data if self._carry else data).split(b"\n")
        self._carry = lines.pop()
        if len(self._carry) > LONGEST_LINE_BYTES:
            self._carry, self._overlong = b"", True
        for line in lines:
            self._read(line)

    def finish(self) -> TokenUsage | None:
        """Usage of the stream; the last line counts even without its line end."""
        self._read(self._carry)
        self._carry = b""
        return self._usage

    def _read(self, line: bytes) -> None:
        if line.startswith(b"data:") and len(line) <= LONGEST_LINE_BYTES and any(mark in line for mark in MARKS):
            self._usage = merged(self._usage, usage_of(line[5:].strip()))
