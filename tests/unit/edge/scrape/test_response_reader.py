"""Answers of metrics servers, cut anywhere."""

import gc
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.edge.scrape.response_reader import (
    MOST_HEAD_BYTES,
    MOST_PAGE_BYTES,
    MOST_WIRE_BYTES,
    Response,
    ResponseError,
    ResponseReader,
)

PAGE = b"vllm:num_requests_waiting 5\n"
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"content-length: %d\r\n" % len(PAGE)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n%x;extension=1\r\n%b\r\n0\r\n" % (7, PAGE[:7], len(PAGE) - 7, PAGE[7:])
WHOLE = {
    "length": OK + LENGTH + b"\r\n" + PAGE,
    "other headers": OK + b"date: today\r\nx-empty:\r\nContent-Length: 28\r\n\r\n" + PAGE,
    "chunked": OK + CHUNKED + b"\r\n" + CHUNKS + b"\r\n",
    "trailers": OK + CHUNKED + b"\r\n" + CHUNKS + b"content-encoding: gzip\r\nx: y\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    + OK
    + LENGTH
    + b"\r\n"
    + PAGE,
    "identity": OK + b"content-encoding: Identity\r\n" + LENGTH + b"\r\n" + PAGE,
}
"""answers that keep the connection"""
ENDED_BY_THE_CONNECTION = {
    "1.0": b"HTTP/1.0 200 OK\r\n\r\n" + PAGE,
    "1.1": OK + b"connection: close\r\nx-empty:\r\n\r\n" + PAGE,
    "after an interim one": b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"\r\n" + PAGE,
}


def read(*pieces: bytes, reader: ResponseReader | None = None) -> Response | None:
    """What the reader has to say after these pieces; it must not have said anything before the last one."""
    reader = reader or ResponseReader()
    reader.begin()
    response = None
    for piece in pieces:
        assert response is None
        response = reader.feed(piece)
    return response


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) - 1) + 1 for place in places}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges) if start < end]


def refusal(*pieces: bytes) -> tuple[str, bool]:
    """What the error says, and whether there was a head."""
    reader = ResponseReader()
    with pytest.raises(ResponseError) as caught:
        read(*pieces, reader=reader)
    return str(caught.value), reader.has_head


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
@given(places=st.lists(st.integers(min_value=0)))
def test_an_answer_may_be_cut_anywhere(answer: bytes, places: list[int]) -> None:
    assert read(*cut(answer, places)) == Response(200, PAGE, keeps_connection=True)


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_an_answer_may_come_byte_by_byte(answer: bytes) -> None:
    assert read(*(answer[at : at + 1] for at in range(len(answer)))) == Response(200, PAGE, keeps_connection=True)


@pytest.mark.parametrize("answer", ENDED_BY_THE_CONNECTION.values(), ids=ENDED_BY_THE_CONNECTION)
@given(places=st.lists(st.integers(min_value=0)))
def test_an_answer_may_end_with_the_connection(answer: bytes, places: list[int]) -> None:
    reader = ResponseReader()
    assert read(*cut(answer, places), reader=reader) is None
    assert reader.end() == Response(200, PAGE, keeps_connection=False)


@given(st.lists(st.sampled_from(list(WHOLE.values())), min_size=2), st.lists(st.integers(min_value=0)))
def test_one_reader_reads_answer_after_answer(answers: list[bytes], places: list[int]) -> None:
    reader = ResponseReader()
    for answer in answers:
        assert read(*cut(answer, places), reader=reader) == Response(200, PAGE, keeps_connection=True)


@pytest.mark.parametrize("name", ["length", "chunked", "trailers", "interim"])
def test_no_answer_is_whole_before_its_last_byte(name: str) -> None:
    answer = WHOLE[name]
    for size in range(len(answer)):
        reader = ResponseReader()
        assert read(answer[:size], reader=reader) is None
        with pytest.raises(ResponseError, match="closed the connection"):
            reader.end()


def test_connection_close_is_obeyed() -> None:
    assert read(OK + b"connection: close\r\n" + LENGTH + b"\r\n" + PAGE) == Response(200, PAGE, keeps_connection=False)


@pytest.mark.parametrize("more", [b"x", b"\x00\xff", OK, OK + LENGTH + b"\r\n" + PAGE, b"HTTP/1.1 404 No\r\n\r\n"])
def test_what_follows_an_answer_unasked_ends_the_connection_and_does_not_count(more: bytes) -> None:
    assert read(WHOLE["length"] + more) == Response(200, PAGE, keeps_connection=False)


@pytest.mark.parametrize("status", [204, 304, 404, 500])
def test_another_status_is_known_with_the_head(status: int) -> None:
    head = b"HTTP/1.1 %d Whatever\r\n" % status
    assert read(head + b"\r\n" if status in {204, 304} else head + b"content-length: 0\r\n\r\n") == Response(
        status, b"", keeps_connection=True
    )
    if status > 400:
        assert read(head + b"content-length: 9\r\n\r\noh") == Response(status, b"", keeps_connection=False)


@pytest.mark.parametrize(
    ("answer", "says", "has_head"),
    [
        (b"\x00\xffSSH-2.0-nonsense\r\n\r\n", "not an HTTP answer", False),
        (b"GET / HTTP/1.1\r\n\r\n", "not an HTTP answer", False),
        (OK + b"content-length: -1\r\n\r\n", "not an HTTP answer", False),
        (OK + LENGTH + CHUNKED + b"\r\n", "not an HTTP answer", False),
        (OK + CHUNKED + b"\r\nno number\r\n", "not an HTTP answer", True),
        (b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nyz", "another protocol", False),
        (OK + b"content-encoding: gzip\r\n" + LENGTH + b"\r\n" + PAGE, "encoded as 'gzip'", True),
        (OK + b"x: " + b"y" * MOST_HEAD_BYTES, "head of the answer is longer", False),
        (OK + b"x: y\r\n" * MOST_HEAD_BYTES, "head of the answer is longer", False),
        (b"HTTP/1.1 100 Go on\r\n\r\n" * MOST_HEAD_BYTES, "head of the answer is longer", False),
    ],
)
def test_what_is_no_answer(answer: bytes, says: str, has_head: bool) -> None:
    problem, had_head = refusal(answer)
    assert says in problem
    assert had_head == has_head


def test_a_page_is_taken_up_to_its_limit() -> None:
    head = OK + b"content-length: %d\r\n\r\n"
    assert read(head % MOST_PAGE_BYTES + b"x" * MOST_PAGE_BYTES) == Response(200, b"x" * MOST_PAGE_BYTES, True)
    more = b"x" * (MOST_PAGE_BYTES + 1)
    assert refusal(head % len(more) + more)[0] == f"the page is longer than {MOST_PAGE_BYTES} bytes"
    assert refusal(OK + b"\r\n" + more)[0] == f"the page is longer than {MOST_PAGE_BYTES} bytes"


def test_framing_has_a_limit_too() -> None:
    tiny_chunks = b"1;" + b"x" * 60 + b"\r\ny\r\n"
    problem, _ = refusal(OK + CHUNKED + b"\r\n" + tiny_chunks * (MOST_WIRE_BYTES // len(tiny_chunks)))
    assert problem == f"the answer takes more than {MOST_WIRE_BYTES} bytes"


def test_a_silent_end_is_told_from_a_cut_answer() -> None:
    reader = ResponseReader()
    reader.begin()
    with pytest.raises(ResponseError, match="closed the connection without an answer"):
        reader.end()
    reader.feed(OK[:5])
    with pytest.raises(ResponseError, match="closed the connection in the middle of its answer"):
        reader.end()


def test_a_page_is_not_kept_after_it_was_told() -> None:
    reader = ResponseReader()
    response = read(WHOLE["length"], reader=reader)
    assert response is not None
    assert not [each for each in gc.get_referrers(response.body) if each is not response and isinstance(each, list)]
