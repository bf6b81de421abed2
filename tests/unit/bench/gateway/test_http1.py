"""Where heads and bodies end, however the bytes are cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gateway.http1 import MOST_HEAD_BYTES, HttpError, MessageReader, framing, header, status_of

COUNTED = b"POST /v1 HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello\r\n\r\n!!"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1a;x=y\r\n" + b"\r\n" * 13 + b"\r\n0\r\n\r\n"
)
TRAILED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n.\r\n0\r\na: b\r\nc: d\r\n\r\n"
EMPTY = b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n"


def read(*pieces: bytes) -> list[str]:
    """Request or status line of each head, and the size of each body."""
    seen: list[str] = []
    reader = MessageReader(
        lambda head: seen.append(head.split(b"\r\n")[0].decode()), lambda: seen.append(f"{reader.body_bytes} bytes")
    )
    for piece in pieces:
        reader.feed(piece)
    if not reader.is_between_messages:
        seen.append("cut")
    return seen


def test_a_body_of_known_length() -> None:
    assert read(COUNTED) == ["POST /v1 HTTP/1.1", "11 bytes"]


def test_a_chunked_body_may_hold_line_ends() -> None:
    assert read(CHUNKED) == ["HTTP/1.1 200 OK", "31 bytes"]


def test_trailers_end_a_body() -> None:
    assert read(TRAILED) == ["HTTP/1.1 200 OK", "1 bytes"]


def test_no_body() -> None:
    assert read(EMPTY) == ["GET /metrics HTTP/1.1", "0 bytes"]


@given(st.permutations([COUNTED, CHUNKED, TRAILED, EMPTY]), st.lists(st.integers(0, 300), max_size=12))
def test_any_cut_reads_the_same(messages: list[bytes], cuts: list[int]) -> None:
    text = b"".join(messages)
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[begin:end] for begin, end in itertools.pairwise(edges)]
    assert read(*pieces) == [line for message in messages for line in read(message)]


@pytest.mark.parametrize("message", [COUNTED, CHUNKED, TRAILED, EMPTY])
def test_byte_by_byte(message: bytes) -> None:
    assert read(*(message[at : at + 1] for at in range(len(message)))) == read(message)


@pytest.mark.parametrize("message", [COUNTED, CHUNKED, TRAILED, EMPTY])
def test_an_end_before_the_end_is_a_cut(message: bytes) -> None:
    for end in range(1, len(message)):
        assert read(message[:end])[-1] == "cut"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n", "content-length is b'ten'"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "a chunk's size is b'zz'"),
        (b"a" * (MOST_HEAD_BYTES + 1), "a head has more than 65536 bytes"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * (MOST_HEAD_BYTES + 1),
            "a line has more than 65536 bytes",
        ),
    ],
    ids=["length", "chunk", "head", "line"],
)
def test_what_is_no_http_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(HttpError, match=says):
        read(text)


def test_headers() -> None:
    head = b"http/1.1 200 ok\r\na: 1\r\nab:2\r\nlast:  x y "
    assert [header(head, name) for name in (b"a", b"ab", b"last", b"b")] == [b"1", b"2", b"x y", b""]
    assert framing(head) == (0, False)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK", b"HTTP/1.1 ok", b"SSH-2.0-x"])
def test_a_status_line_that_is_none(head: bytes) -> None:
    assert status_of(b"HTTP/1.1 503 Service Unavailable") == 503
    with pytest.raises(HttpError, match="an answer begins with"):
        status_of(head)
