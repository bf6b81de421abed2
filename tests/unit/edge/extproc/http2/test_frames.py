"""Preface and frames (RFC 9113 3.4, 4 and 6): sizes, stream ids, flags, padding, frames in parts."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from tests.unit.edge.extproc.http2 import frames
from tests.unit.edge.extproc.http2.frames import (
    END_HEADERS,
    END_STREAM,
    GRPC,
    PADDED,
    PREFACE,
    PRIORITIZED,
    SETTINGS_ACK,
    begun,
    block,
    continuation,
    data,
    headers,
    message,
    padded,
    ping,
    raw,
)
from tests.unit.edge.extproc.http2.peer import Peer, ended, gone, head, reset

PROTOCOL_ERROR, FRAME_SIZE_ERROR = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
CALL = (headers(1), data(1, message(b"x"), end=True))
ANSWER = [head(), "DATA 1: 6 bytes", ended()]


def test_the_server_says_its_settings_and_opens_the_connection_window_at_once() -> None:
    assert Peer(greets=False).greeting == ["SETTINGS", "WINDOW_UPDATE 0: 2147418112"]


@pytest.mark.parametrize(
    "preface", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", PREFACE[:-1] + b"x", b"PRI * HTTP/1.1"]
)
def test_whatever_is_no_preface_ends_the_connection(preface: bytes) -> None:
    assert Peer(greets=False).send(preface) == gone(PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "first",
    [SETTINGS_ACK, ping(), headers(1), data(1, b"x"), raw(0x42, 0, 0), frames.window_update(0, 1)],
    ids=["acknowledgement", "PING", "HEADERS", "DATA", "unknown", "WINDOW_UPDATE"],
)
def test_the_first_frame_is_settings(first: bytes) -> None:
    assert Peer(greets=False).send(PREFACE, first) == gone(PROTOCOL_ERROR)


def test_preface_settings_and_request_may_come_in_one_piece() -> None:
    assert Peer(greets=False).send(PREFACE, frames.settings(), *CALL) == ["SETTINGS ACK", *ANSWER]


CONVERSATION = b"".join(
    (
        PREFACE,
        frames.settings({frames.INITIAL_WINDOW_SIZE: 40_000}),
        headers(1),
        data(1, message(b"a") + message(b"") + message(b"b" * 300)[:100]),
        ping(),
        begun(3, block()[:7]),
        continuation(3, block()[7:9], last=False),
        continuation(3, block()[9:]),
        SETTINGS_ACK,
        padded(3, message(b"padded"), 200),
        padded(3, b"", 9),
        raw(0xFA, 0xFF, 3, b"of a type that nobody knows"),
        data(1, message(b"b" * 300)[100:], end=True),
        headers(5),
        data(5, message(b"c" * 50_000)[:16_384]),
        data(5, message(b"c" * 50_000)[16_384:32_768]),
        frames.priority(5, 3),
        frames.rst(3),
        data(5, message(b"c" * 50_000)[32_768:], end=True),
        raw(GOAWAY, 0, 0, bytes(8) + b"farewell"),
    )
)


def without_sizes(lines: list[str]) -> list[str]:
    """DATA and WINDOW_UPDATE may be cut otherwise when what they answer to comes otherwise."""
    return [line for line in lines if not line.startswith(("DATA", "WINDOW_UPDATE"))]


def conversation(pieces: list[bytes]) -> Peer:
    peer = Peer(greets=False)
    lines = peer.send_each(*pieces)
    assert without_sizes(lines) == [
        "SETTINGS ACK",
        head(1),
        "PING ACK: 12345678",
        head(3),
        ended(1),
        head(5),
        "GOAWAY 5: NO_ERROR",
    ]
    assert peer.messages(1) == [b"a", b"", b"b" * 300]
    assert peer.messages(3) == [b"padded"]
    assert peer.body[5] == message(b"c" * 50_000)[:40_000]
    assert [handler.closed_times for handler in peer.handlers] == [1, 1, 1]
    return peer


@settings(max_examples=60)
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=12))
def test_it_does_not_matter_how_bytes_are_cut(cuts: list[int]) -> None:
    places = sorted({0, *cuts, len(CONVERSATION)})
    conversation([CONVERSATION[start:stop] for start, stop in itertools.pairwise(places)])


@pytest.mark.parametrize("size", [1, 2, 9, 10, 1_000])
def test_bytes_may_come_in_pieces_of_one_size(size: int) -> None:
    conversation([CONVERSATION[at : at + size] for at in range(0, len(CONVERSATION), size)])


@pytest.mark.parametrize("flags", [0, 0xFF])
@pytest.mark.parametrize("stream_id", [0, 1, 2, 1_001])
def test_frames_of_unknown_types_are_ignored(flags: int, stream_id: int) -> None:
    peer = Peer()
    assert peer.send(raw(0xB7, flags, stream_id, b"something")) == []
    assert peer.send(headers(1), raw(0x0A, flags, stream_id, bytes(100_000)), *CALL[1:]) == ANSWER


@pytest.mark.parametrize("kind", [DATA, SETTINGS, PING, RST_STREAM, WINDOW_UPDATE])
def test_unknown_flags_and_the_reserved_bit_are_ignored(kind: int) -> None:
    peer = Peer()
    peer.send(headers(1))
    payload = {SETTINGS: b"", PING: b"12345678", RST_STREAM: b"\0\0\0\x08", WINDOW_UPDATE: b"\x80\0\0\x01"}
    stream_id = 1 if kind in (DATA, RST_STREAM, WINDOW_UPDATE) else 0
    peer.send(raw(kind, 0xF6 & ~PADDED, stream_id | 1 << 31, payload.get(kind, message(b"x"))))
    assert peer.is_served
    assert peer.handler.closed_times == (kind == RST_STREAM)


@pytest.mark.parametrize("kind", [DATA, HEADERS, 0x55])
def test_a_frame_above_our_size_ends_the_connection_before_it_has_come(kind: int) -> None:
    peer = Peer()
    peer.send(headers(1))
    assert peer.send(raw(kind, 0, 1, length=(1 << 20) + 1)) == gone(FRAME_SIZE_ERROR, 1)
    assert peer.handler.closed_times == 1


def test_a_frame_of_just_our_size_is_taken() -> None:
    peer = Peer(limits=Http2Limits(frame_bytes=1 << 18, stream_window_bytes=1 << 20))
    content = bytes((1 << 18) - 5)
    assert head() in peer.send(headers(1), data(1, message(content)))
    assert peer.handler.received == [content]


@pytest.mark.parametrize(
    ("kind", "stream_id", "payload"),
    [
        (PRIORITY, 1, bytes(4)),
        (RST_STREAM, 1, bytes(3)),
        (RST_STREAM, 1, bytes(5)),
        (SETTINGS, 0, bytes(7)),
        (PING, 0, bytes(7)),
        (PING, 0, bytes(9)),
        (GOAWAY, 0, bytes(7)),
        (WINDOW_UPDATE, 0, bytes(3)),
        (WINDOW_UPDATE, 1, bytes(5)),
    ],
)
def test_frames_of_a_wrong_size(kind: int, stream_id: int, payload: bytes) -> None:
    peer = Peer()
    peer.send(headers(1))
    expected = [reset(1, FRAME_SIZE_ERROR)] if kind == PRIORITY else gone(FRAME_SIZE_ERROR, 1)
    assert peer.send(raw(kind, 0, stream_id, payload)) == expected


@pytest.mark.parametrize("kind", [DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION])
def test_frames_that_belong_to_a_stream_are_not_those_of_stream_0(kind: int) -> None:
    payload = {PRIORITY: bytes(5), RST_STREAM: bytes(4)}.get(kind, block())
    assert Peer().send(raw(kind, END_HEADERS, 0, payload)) == gone(PROTOCOL_ERROR)


@pytest.mark.parametrize(("kind", "size"), [(SETTINGS, 6), (PING, 8), (GOAWAY, 8)])
def test_frames_that_belong_to_the_connection_are_on_stream_0(kind: int, size: int) -> None:
    peer = Peer()
    peer.send(headers(1))
    assert peer.send(raw(kind, 0, 1, bytes(size))) == gone(PROTOCOL_ERROR, 1)


def test_a_client_promises_nothing() -> None:
    peer = Peer()
    peer.send(headers(1))
    assert peer.send(raw(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + block())) == gone(PROTOCOL_ERROR, 1)


def test_padding_is_taken_off_and_counts_for_the_windows() -> None:
    limits = Http2Limits(stream_window_bytes=70_000)
    peer = Peer(limits=limits)
    peer.send(headers(1))
    lines = [line for _ in range(500) for line in peer.send(padded(1, message(b"x"), 255))]
    assert peer.messages(1) == [b"x"] * 500
    opened = sum(int(line.split(": ")[1]) for line in lines if line.startswith("WINDOW_UPDATE 1"))
    assert 500 * (1 + 6 + 255) - 70_000 < opened <= 500 * (1 + 6 + 255)


def test_a_window_that_is_used_up_by_padding_alone_is_opened_again() -> None:
    peer = Peer(limits=Http2Limits(stream_window_bytes=70_000))
    peer.send(headers(1))
    lines = [line for _ in range(400) for line in peer.send(padded(1, b"", 255))]
    assert {line.split(":")[0] for line in lines} == {"WINDOW_UPDATE 1"}
    assert peer.is_served


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abcd", b"\xff" + bytes(100)])
def test_padding_that_is_longer_than_its_frame(payload: bytes) -> None:
    peer = Peer()
    peer.send(headers(1))
    (line,) = peer.send(raw(DATA, PADDED, 1, payload))
    assert line in (*gone(PROTOCOL_ERROR, 1), *gone(FRAME_SIZE_ERROR, 1))


def test_headers_with_padding_and_priority() -> None:
    peer = Peer()
    payload = b"\x03" + b"\x80\0\0\0\x0f" + block() + bytes(3)
    assert peer.send(raw(HEADERS, END_HEADERS | PADDED | PRIORITIZED, 1, payload), CALL[1]) == ANSWER


@pytest.mark.parametrize(
    ("flags", "payload"),
    [(PADDED, b""), (PADDED, b"\x09abc"), (PRIORITIZED, bytes(4)), (PADDED | PRIORITIZED, b"\x01" + bytes(5))],
)
def test_headers_that_are_too_short_for_padding_or_priority(flags: int, payload: bytes) -> None:
    (line,) = Peer().send(raw(HEADERS, END_HEADERS | flags, 1, payload))
    assert line in (*gone(PROTOCOL_ERROR), *gone(FRAME_SIZE_ERROR))


def test_a_header_block_in_many_parts() -> None:
    encoded = block((*GRPC, ("x-long", "y" * 300)))
    parts = [encoded[at : at + 9] for at in range(0, len(encoded), 9)]
    middle = [continuation(1, part, last=False) for part in parts[1:-1]]
    peer = Peer()
    assert peer.send(begun(1, parts[0]), *middle, continuation(1, parts[-1]), CALL[1]) == ANSWER
    assert peer.send(begun(3, b""), continuation(3, b"", last=False), continuation(3, encoded)) == []
    assert len(peer.handlers) == 2


def test_end_stream_is_that_of_headers_not_of_continuation() -> None:
    peer = Peer()
    assert peer.send(begun(1, block()[:5], end=True), continuation(1, block()[5:])) == [
        "HEADERS 1 END: :status=200 content-type=application/grpc grpc-status=0"
    ]
    flags = END_HEADERS | END_STREAM
    assert peer.send(begun(3, block()[:5]), raw(CONTINUATION, flags, 3, block()[5:])) == []


@pytest.mark.parametrize(
    "between",
    [
        data(1, b"x"),
        headers(3),
        ping(),
        frames.settings(),
        frames.window_update(0, 1),
        frames.priority(1),
        frames.rst(1),
        raw(0x33, 0, 1, b"unknown"),
        continuation(1, block()),
        continuation(5, block()),
    ],
    ids=["DATA", "HEADERS", "PING", "SETTINGS", "WINDOW", "PRIORITY", "RST", "unknown", "of another", "of an idle one"],
)
def test_nothing_comes_between_the_parts_of_a_header_block(between: bytes) -> None:
    peer = Peer()
    peer.send(headers(1))
    assert peer.send(begun(3, block()[:5]), between) == gone(PROTOCOL_ERROR, 1)


def test_continuation_of_nothing() -> None:
    peer = Peer()
    peer.send(headers(1))
    assert peer.send(continuation(1, block())) == gone(PROTOCOL_ERROR, 1)


def test_nothing_is_read_after_the_end() -> None:
    peer = Peer()
    peer.send(ping(b"too long."[:8]), raw(PING, 0, 1, bytes(8)))
    assert peer.send(ping(), *CALL) == []
    assert peer.handlers == []
