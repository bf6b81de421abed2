"""Token usage of a response, from JSON or from server-sent events whose lines may be split over chunks."""

import msgspec

from epp.core.domain.ports import TokenUsage

LONGEST_LINE_BYTES = 1 << 20
"""a longer event line is not looked into"""
LONGEST_JSON_BYTES = 8 << 20


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def usage_of(answer: bytes | memoryview) -> TokenUsage | None:
    """`usage` of one JSON object; None where there is none or the text is something else."""
    try:
        usage = _decode_answer(answer).usage
    except (msgspec.MsgspecError, RecursionError):
        return None
    if usage is None:
        return None
    details = usage.prompt_tokens_details
    return TokenUsage(usage.prompt_tokens, usage.completion_tokens, details.cached_tokens if details else None)


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
    """Keeps the unfinished line between chunks; the last event with usage counts."""

    def __init__(self) -> None:
        self._carry = b""
        self._overlong = False
        self._usage: TokenUsage | None = None

    def feed(self, data: bytes) -> None:
        """The next piece."""
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
        if line.startswith(b"data:") and len(line) <= LONGEST_LINE_BYTES and b'"usage"' in line:
            self._usage = usage_of(line[5:].strip()) or self._usage
