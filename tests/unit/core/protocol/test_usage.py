"""Token usage is found the same however the answer is cut into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.ports import TokenUsage
from epp.core.protocol.usage import (
    LONGEST_JSON_BYTES,
    LONGEST_LINE_BYTES,
    JsonUsageReader,
    SseUsageReader,
    usage_of,
)

USAGE = b'{"prompt_tokens":11,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}'
FOUND = TokenUsage(11, 7, 3)
CHUNK = b'data: {"id":"1","choices":[{"delta":{"content":"caf\xc3\xa9 \\"usage\\""}}],"usage":null}\n\n'
LAST = b'data: {"id":"1","choices":[],"usage":%s}\n\n' % USAGE
STREAM = CHUNK * 3 + LAST + b"data: [DONE]\n\n"
STREAMS = {
    "vllm": (STREAM, FOUND),
    "carriage returns": (STREAM.replace(b"\n", b"\r\n"), FOUND),
    "no space, comments, other fields": (b": hi\nevent: x\nid: 1\n" + STREAM.replace(b"data: ", b"data:"), FOUND),
    "no end of line": (CHUNK + LAST.rstrip(), FOUND),
    "in every event, the last counts": (CHUNK + LAST.replace(b"11", b"1") + LAST, FOUND),
    "responses": (
        (
            b'event: response.created\ndata: {"response":{"usage":null}}\n\n'
            b'data: {"type":"response.completed","response":{"usage":{"input_tokens":11,"output_tokens":7,'
            b'"input_tokens_details":{"cached_tokens":3}}}}\n\n'
        ),
        FOUND,
    ),
    "anthropic": (
        (
            b'data: {"type":"message_start","message":{"usage":{"input_tokens":11,"cache_read_input_tokens":3,'
            b'"output_tokens":1}}}\n\ndata: {"type":"message_delta","usage":{"output_tokens":7}}\n\n'
        ),
        FOUND,
    ),
    "sglang": (
        (
            b'data: {"text":"a","meta_info":{"prompt_tokens":11,"completion_tokens":1,"cached_tokens":3}}\n\n'
            b'data: {"text":"ab","meta_info":{"prompt_tokens":11,"completion_tokens":7,"cached_tokens":3}}\n\n'
        ),
        FOUND,
    ),
    "none": (CHUNK * 2 + b"data: [DONE]\n\n", None),
    "broken event": (b'data: {"usage":{"prompt_\n\n', None),
    "broken event after a good one": (LAST + b'data: {"usage":5}\n\n', FOUND),
    "not an event stream": (b'{"usage":%s}' % USAGE, None),
    "empty": (b"", None),
}


def read_events(*pieces: bytes) -> TokenUsage | None:
    reader = SseUsageReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


@pytest.mark.parametrize("name", STREAMS)
def test_split_at_every_byte(name: str) -> None:
    stream, found = STREAMS[name]
    for at in range(len(stream) + 1):
        assert read_events(stream[:at], stream[at:]) == found, at


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte(name: str) -> None:
    stream, found = STREAMS[name]
    assert read_events(*(stream[at : at + 1] for at in range(len(stream)))) == found


@settings(deadline=None)
@given(st.sampled_from(sorted(STREAMS)), st.lists(st.integers(0, 2000), max_size=8))
def test_cut_anyhow(name: str, cuts: list[int]) -> None:
    stream, found = STREAMS[name]
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert read_events(*(stream[start:end] for start, end in pairwise(edges))) == found


@pytest.mark.parametrize("piece_bytes", [1 << 16, 1 << 19, LONGEST_LINE_BYTES + 5, 1 << 23])
def test_an_overlong_line_is_skipped_whichever_way_it_comes(piece_bytes: int) -> None:
    overlong = b'data: {"usage":{"prompt_tokens":99},"x":"%s"}\n' % (b"x" * LONGEST_LINE_BYTES)
    for stream, found in ((LAST + overlong, FOUND), (overlong + LAST, FOUND), (overlong, None)):
        pieces = [stream[at : at + piece_bytes] for at in range(0, len(stream), piece_bytes)]
        assert read_events(*pieces) == found


def test_a_line_of_just_the_longest_length_is_read() -> None:
    frame = b'data: {"usage":{"prompt_tokens":99},"x":"%s"}'
    line = frame % (b"x" * (LONGEST_LINE_BYTES - len(frame % b"")))
    assert len(line) == LONGEST_LINE_BYTES
    assert read_events(line + b"\n") == read_events(line[:9], line[9:], b"\n") == TokenUsage(99)


def test_json_in_pieces() -> None:
    answer = b'{"id":"1","choices":[{"text":"usage"}],"usage":%s}' % USAGE
    for at in range(len(answer) + 1):
        reader = JsonUsageReader()
        reader.feed(answer[:at])
        reader.feed(answer[at:])
        assert reader.finish() == FOUND


def test_json_longer_than_the_bound_is_not_kept() -> None:
    reader = JsonUsageReader()
    for _ in range(LONGEST_JSON_BYTES // (1 << 20)):
        reader.feed(b" " * (1 << 20))
    reader.feed(b'{"usage":%s}' % USAGE)
    reader.feed(b'{"usage":%s}' % USAGE)
    assert reader.finish() is None
    assert JsonUsageReader().finish() is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b'{"usage":%s}' % USAGE, FOUND),
        (b'{"usage":{"prompt_tokens":1}}', TokenUsage(1)),
        (b'{"usage":{"completion_tokens":0,"prompt_tokens_details":null}}', TokenUsage(None, 0)),
        (b'{"usage":{}}', TokenUsage()),
        (b'{"usage":null}', None),
        (b'{"usage":{"prompt_tokens":"1"}}', None),
        (b'{"usage":{"prompt_tokens":1.5}}', None),
        (b'{"usage":[]}', None),
        (b'{"error":{"message":"x"}}', None),
        (b"[]", None),
        (b"", None),
        (b"[DONE]", None),
        (b'{"a":' * 100_000, None),
        (b'{"usage":{"x":"\xff"}}', TokenUsage()),
        (b"\xff", None),
    ],
)
def test_one_object(answer: bytes, found: TokenUsage | None) -> None:
    assert usage_of(answer) == found
    assert usage_of(memoryview(answer)) == found
