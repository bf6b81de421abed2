"""gRPC's framing: the first message of a request, the messages of an answer in pieces, statuses, content types."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest, PayloadTooLarge
from epp.core.protocol.grpc_frames import (
    MOST_INFLATED_BYTES,
    Data,
    MessageReader,
    first_message,
    http_status_of,
    is_grpc,
)
from tests.support.grpc_messages import framed

LONGEST = 1000


@pytest.mark.parametrize(
    ("content_type", "says"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc; charset=utf-8", True),
        ("application/grpc-web", False),
        ("application/grpc-web+proto", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_content_types_of_grpc(content_type: str, says: bool) -> None:
    assert is_grpc(content_type) is says


@pytest.mark.parametrize(
    ("grpc_status", "status"),
    [("0", 200), ("3", 400), ("8", 429), ("14", 503), ("2", 500), ("99", 500), ("-1", 500), ("x", 500), ("", None)],
)
def test_the_http_status_of_a_grpc_status(grpc_status: str, status: int | None) -> None:
    assert http_status_of(grpc_status) == status


@pytest.mark.parametrize("compression", ["", "gzip", "deflate"])
def test_the_first_message(compression: str) -> None:
    for message in (b"", b"hello", b"x" * 100_000):
        body = framed(message, compression)  # type: ignore[arg-type]
        assert bytes(first_message(body) or b"") == message
        assert bytes(first_message(memoryview(body + framed(b"second"))) or b"") == message


def test_a_plain_message_is_not_copied() -> None:
    body = framed(b"hello")
    found = first_message(body)
    assert isinstance(found, memoryview)
    assert found.obj is body


def test_a_compression_that_is_not_known_is_not_read() -> None:
    assert first_message(framed(b"hello", "snappy")) is None
    assert first_message(b"\x01" + b"\x00" * 4) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00\x00\x00",
        framed(b"hello")[:-1],
        b"\x02" + framed(b"hello")[1:],
        b'{"model":"m"}',
        b"\x01\x00\x00\x00\x04" + gzip.compress(b"hello", mtime=0)[:4],
        b"\x01\x00\x00\x00\x14" + gzip.compress(b"hello", mtime=0)[:20],
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    with pytest.raises(BadRequest, match="invalid or unsupported gRPC payload"):
        first_message(body)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_a_message_may_not_grow_without_bound(compression: str) -> None:
    bomb = framed(bytes(MOST_INFLATED_BYTES + 1), compression)  # type: ignore[arg-type]
    assert len(bomb) < 100_000
    with pytest.raises(PayloadTooLarge, match="when decompressed"):
        first_message(bomb)


MESSAGES = (b"", b"one", b"x" * LONGEST, b"three" * 50)
STREAM = b"".join(
    [
        framed(MESSAGES[0]),
        framed(MESSAGES[1], "gzip"),
        framed(b"y" * (LONGEST + 1)),
        framed(b"z" * (LONGEST * 100), "gzip"),
        framed(MESSAGES[2]),
        framed(b"unreadable", "snappy"),
        framed(MESSAGES[3], "deflate"),
    ]
)


def read_messages(*pieces: bytes) -> tuple[bytes, ...]:
    found: list[bytes] = []

    def take(message: Data) -> None:
        found.append(bytes(message))

    reader = MessageReader(take, LONGEST)
    for piece in pieces:
        reader.feed(piece)
    return tuple(found)


def test_split_at_every_byte_what_is_too_long_or_unreadable_is_left_out() -> None:
    for at in range(len(STREAM) + 1):
        assert read_messages(STREAM[:at], STREAM[at:]) == MESSAGES, at


def test_byte_by_byte() -> None:
    assert read_messages(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == MESSAGES


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_cut_anyhow(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read_messages(*(STREAM[start:end] for start, end in pairwise(edges))) == MESSAGES
