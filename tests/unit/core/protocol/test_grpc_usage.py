"""Token usage of gRPC answers is found the same however the answer is cut into pieces."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.ports import TokenUsage
from epp.core.protocol.grpc_usage import VertexUsageReader, VllmEmbedUsageReader, VllmGenerateUsageReader
from epp.core.protocol.usage import UsageReader
from tests.support.grpc_messages import encoded, framed

CHUNK = {"token_ids": [1, 2], "prompt_tokens": 11, "completion_tokens": 2, "cached_tokens": 3}
LAST_CHUNK = {"token_ids": [5], "prompt_tokens": 11, "completion_tokens": 1, "cached_tokens": 3}
END = {"output_ids": [5], "finish_reason": "stop", "prompt_tokens": 11, "completion_tokens": 1, "cached_tokens": 3}
WHOLE = {**END, "output_ids": [1, 2, 3, 4, 5], "completion_tokens": 5}
USAGE = b'"usage":{"prompt_tokens":11,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}'
FOUND = TokenUsage(11, 5, 3)


def rows(name: str, *messages: dict[str, Any]) -> bytes:
    return b"".join(framed(encoded(name, **message)) for message in messages)


def http_bodies(*texts: bytes) -> bytes:
    return rows("HttpBody", *({"content_type": "application/json", "data": text} for text in texts))


STREAMED = [{"chunk": CHUNK}, {"chunk": CHUNK}, {"chunk": LAST_CHUNK}, {"complete": END}]
WITH_ID = [{"request_id": "r-1", **message} for message in STREAMED]
ANSWERS: dict[str, tuple[Callable[[], UsageReader], bytes, TokenUsage | None]] = {
    "streamed": (VllmGenerateUsageReader, rows("GenerateResponse", *STREAMED), FOUND),
    "streamed, of older servers": (VllmGenerateUsageReader, rows("OldGenerateResponse", *WITH_ID), FOUND),
    "streamed, cut short": (VllmGenerateUsageReader, rows("GenerateResponse", *STREAMED[:2]), TokenUsage(11, 4, 3)),
    "whole": (VllmGenerateUsageReader, rows("GenerateResponse", {"complete": WHOLE}), FOUND),
    "whole, of older servers": (
        VllmGenerateUsageReader,
        rows("OldGenerateResponse", {"request_id": "r-1", "complete": WHOLE}),
        FOUND,
    ),
    "two sequences": (
        VllmGenerateUsageReader,
        rows("GenerateResponse", {"complete": WHOLE}, {"complete": {**WHOLE, "index": 1}}),
        TokenUsage(11, 10, 3),
    ),
    "compressed": (VllmGenerateUsageReader, framed(encoded("GenerateResponse", complete=WHOLE), "gzip"), FOUND),
    "an error of older servers": (
        VllmGenerateUsageReader,
        rows("OldGenerateResponse", {"request_id": "\x10\x05", "error": "no"}),
        None,
    ),
    "a broken message": (
        VllmGenerateUsageReader,
        framed(b"\x12\x09") + framed(b"\x0a\x02\x0a\x09") + rows("GenerateResponse", {"complete": WHOLE}),
        FOUND,
    ),
    "without counts": (VllmGenerateUsageReader, rows("GenerateResponse", {"chunk": {"token_ids": [1]}}), None),
    "nothing": (VllmGenerateUsageReader, b"", None),
    "embedding": (
        VllmEmbedUsageReader,
        rows("EmbedResponse", {"embedding": [0.5] * 20, "prompt_tokens": 11, "embedding_dim": 20}),
        TokenUsage(11, 0),
    ),
    "embedding of older servers": (
        VllmEmbedUsageReader,
        rows("OldEmbedResponse", {"request_id": "r", "complete": {"embedding": [0.5], "prompt_tokens": 11}}),
        TokenUsage(11, 0),
    ),
    "broken embedding": (VllmEmbedUsageReader, framed(b"\x12\x09"), None),
    "json": (VertexUsageReader, http_bodies(b'{"id":"1",' + USAGE + b"}"), FOUND),
    "json in parts": (VertexUsageReader, http_bodies(b'{"id":"1",' + USAGE[:20], USAGE[20:] + b"}"), FOUND),
    "json chunk by chunk": (
        VertexUsageReader,
        http_bodies(b'{"choices":[],"usage":null}', b'{"choices":[],' + USAGE + b"}"),
        FOUND,
    ),
    "events": (
        VertexUsageReader,
        http_bodies(b'data: {"choices":[]}\n\n', b"data: {" + USAGE + b"}\n\n", b"data: [DONE]\n\n"),
        FOUND,
    ),
    "events in parts": (
        VertexUsageReader,
        http_bodies(b'data: {"choices":[]}\n\ndata: {' + USAGE[:9], USAGE[9:] + b"}\n\n"),
        FOUND,
    ),
    "no data": (VertexUsageReader, framed(b"") + framed(b"\x12\x09"), None),
}


def read(make: Callable[[], UsageReader], *pieces: bytes) -> TokenUsage | None:
    reader = make()
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


@pytest.mark.parametrize("name", ANSWERS)
def test_split_at_every_byte(name: str) -> None:
    make, answer, found = ANSWERS[name]
    for at in range(len(answer) + 1):
        assert read(make, answer[:at], answer[at:]) == found, at


@settings(deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 500), max_size=8))
def test_cut_anyhow(name: str, cuts: list[int]) -> None:
    make, answer, found = ANSWERS[name]
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    assert read(make, *(answer[start:end] for start, end in pairwise(edges))) == found


@settings(deadline=None)
@given(st.sampled_from([VllmGenerateUsageReader, VllmEmbedUsageReader, VertexUsageReader]), st.binary(max_size=80))
def test_arbitrary_messages_do_no_harm(make: Callable[[], UsageReader], message: bytes) -> None:
    read(make, framed(message))
