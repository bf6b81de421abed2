"""Windows (RFC 9113 5.2, 6.9), both directions: what the server sends, what it lets a client send."""

import random

import pytest

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from tests.unit.edge.extproc.http2.frames import (
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    data,
    headers,
    message,
    raw,
    rst,
    settings,
    window_update,
)
from tests.unit.edge.extproc.http2.h2_peer import H2Peer
from tests.unit.edge.extproc.http2.peer import Peer, ended, gone, head, reset
from tests.unit.edge.extproc.scripted_handler import MIB, Handler

LARGEST = 2**31 - 1
FLOW_CONTROL_ERROR, PROTOCOL_ERROR = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.PROTOCOL_ERROR


def in_pieces(handler: Handler, content: bytes) -> None:
    """As the picker sends a body back."""
    for at in range(0, len(content), 62_000):
        handler.stream.send(b"", memoryview(content)[at : at + 62_000])


def answer(size: int) -> "type[None]":
    """A handler's behaviour: so many bytes, with the five of a message's head."""
    return lambda handler, _: handler.stream.send(bytes(size - 5))  # type: ignore[return-value]


# -- towards the client ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window_bytes", [1_000, 65_535, 1 << 20])
def test_20_mb_come_back_through_small_windows(window_bytes: int) -> None:
    size = 20_000_000 if window_bytes > 1_000 else 1_000_000
    client = H2Peer(Peer(in_pieces, most_message_bytes=32 * MIB, greets=False), window_bytes=window_bytes)
    content = random.Random(1).randbytes(size)
    stream_id = client.call(content)
    assert client.ended[stream_id] == {"grpc-status": "0"}
    body = bytes(client.body[stream_id])
    lengths = [min(62_000, size - at) for at in range(0, size, 62_000)]
    assert len(body) == size + 5 * len(lengths)
    at = 0
    for length in lengths:
        assert body[at : at + 5] == b"\0" + length.to_bytes(4, "big")
        at += 5 + length
    assert b"".join(body[at + 5 : at + 62_005] for at in range(0, len(body), 62_005)) == content
    assert client.peer.connection.send_side.waiting_bytes == 0


def test_a_window_of_one_byte() -> None:
    client = H2Peer(window_bytes=1)
    stream_id = client.call(b"hello", b"", b"world")
    assert bytes(client.body[stream_id]) == message(b"hello") + message(b"") + message(b"world")
    assert client.ended[stream_id] == {"grpc-status": "0"}


def test_trailers_wait_for_what_was_said_before_but_need_no_window() -> None:
    peer = Peer(answer(11))
    peer.send(settings({INITIAL_WINDOW_SIZE: 10}))
    assert peer.send(headers(1), data(1, message(b"x"), end=True)) == [head(), "DATA 1: 10 bytes"]
    assert peer.send(window_update(0, 100)) == []
    assert peer.send(window_update(1, 1)) == ["DATA 1: 1 bytes", ended()]


def test_frames_are_as_large_as_the_client_takes_them() -> None:
    peer = Peer(answer(50_000))
    call = (headers(1), data(1, message(b"x"), end=True))
    assert peer.send(*call)[1:] == ["DATA 1: 16384 bytes"] * 3 + ["DATA 1: 848 bytes", ended()]
    peer = Peer(answer(50_000))
    peer.send(settings({MAX_FRAME_SIZE: 40_000}))
    assert peer.send(*call)[1:] == ["DATA 1: 40000 bytes", "DATA 1: 10000 bytes", ended()]


def test_settings_change_the_windows_of_open_streams_below_zero_too() -> None:
    peer = Peer(answer(1_000))
    peer.send(headers(1), data(1, message(b"x")), headers(3))
    assert peer.send(settings({INITIAL_WINDOW_SIZE: 400})) == ["SETTINGS ACK"]
    assert peer.send(data(1, message(b"x"))) == [], "600 bytes too many were sent"
    assert peer.send(data(3, message(b"x"))) == [head(3), "DATA 3: 400 bytes"]
    assert peer.send(window_update(1, 600)) == []
    assert peer.send(window_update(1, 1)) == ["DATA 1: 1 bytes"]
    assert peer.send(settings({INITIAL_WINDOW_SIZE: 500})) == ["SETTINGS ACK", "DATA 1: 100 bytes", "DATA 3: 100 bytes"]


def test_settings_are_acknowledged_before_anything_makes_use_of_them() -> None:
    """A client counts with the new window from the acknowledgement on; h2 raises otherwise."""
    client = H2Peer(Peer(answer(60_000), greets=False), window_bytes=10_000, reads=False)
    stream_id = client.call(b"x", end=False)
    assert len(client.body[stream_id]) == 10_000
    client.h2.update_settings({INITIAL_WINDOW_SIZE: 60_000})
    client.exchange()
    assert len(client.body[stream_id]) == 60_000


def test_the_last_of_several_values_counts() -> None:
    peer = Peer(answer(1_000))
    twice = b"".join(b"\0\x04" + size.to_bytes(4, "big") for size in (5, 700))
    assert peer.send(raw(4, 0, 0, twice), headers(1), data(1, message(b"x"))) == [
        "SETTINGS ACK",
        head(),
        "DATA 1: 700 bytes",
    ]


def test_the_window_of_the_connection_is_shared_and_streams_take_turns() -> None:
    peer = Peer(answer(40_000))
    calls = [part for number in (1, 3, 5) for part in (headers(number), data(number, message(b"x"), end=True))]
    peer.send(*calls)
    assert sum(len(body) for body in peer.body.values()) == 65_535
    assert len(peer.body[1]) == 40_000
    peer.body.clear()
    peer.send(window_update(0, 2 * 16_384))
    assert {number: len(body) for number, body in peer.body.items()} == {3: 14_465, 5: 18_303}
    peer.send(window_update(0, 100_000))
    assert [handler.closed_times for handler in peer.handlers] == [1, 1, 1]
    assert not peer.connection.send_side._waiting
    assert not peer.connection.send_side._ready


def test_a_stream_without_a_window_does_not_hold_up_others() -> None:
    peer = Peer(answer(1_000))
    peer.send(settings({INITIAL_WINDOW_SIZE: 10}))
    peer.send(headers(1), data(1, message(b"x")), headers(3), data(3, message(b"x")))
    peer.send(window_update(3, 2_000))
    assert (len(peer.body[1]), len(peer.body[3])) == (10, 1_000)


def test_new_answers_do_not_overtake_those_that_wait() -> None:
    client = H2Peer(Peer(lambda handler, text: handler.stream.send(text * 20_000), greets=False), reads=False)
    stream_id = client.call(b"abc", end=False)
    client.send(stream_id, message(b"d"))
    client.reads = True
    client.h2.increment_flow_control_window(100_000)
    client.h2.increment_flow_control_window(100_000, stream_id)
    client.exchange()
    assert bytes(client.body[stream_id]) == message(b"abc" * 20_000) + message(b"d" * 20_000)


@pytest.mark.parametrize("end", ["reset", "lost", "stalled"])
def test_what_waits_is_forgotten_with_its_stream(end: str) -> None:
    peer = Peer(answer(100_000))
    peer.send(settings({INITIAL_WINDOW_SIZE: 0}), window_update(0, 1 << 20))
    peer.send(headers(1), data(1, message(b"x")), headers(3), data(3, message(b"x")))
    side = peer.connection.send_side
    assert side.waiting_bytes == 200_000
    if end == "reset":
        peer.send(rst(1))
    elif end == "lost":
        peer.connection.lost()
    else:
        peer.connection.reset_stalled(peer.now + 1)
    left = 100_000 if end == "reset" else 0
    assert side.waiting_bytes == left
    peer.send(window_update(3, 1 << 20))
    assert (side.waiting_bytes, side._waiting, len(side._ready)) == (0, {}, 0)


# -- increments --------------------------------------------------------------------------------------------------------


def test_an_increment_of_nothing() -> None:
    peer = Peer()
    assert peer.send(headers(1), raw(8, 0, 1, bytes(4))) == [reset(1, PROTOCOL_ERROR)]
    assert peer.handler.closed_times == 1
    assert peer.send(raw(8, 0, 0, bytes(4))) == gone(PROTOCOL_ERROR, 1)


def test_windows_that_overflow() -> None:
    peer = Peer()
    assert peer.send(headers(1), window_update(1, LARGEST - 65_535), window_update(0, LARGEST - 65_535)) == []
    assert peer.send(window_update(1, 1)) == [reset(1, FLOW_CONTROL_ERROR)]
    assert peer.send(window_update(0, 1)) == gone(FLOW_CONTROL_ERROR, 1)


def test_windows_that_overflow_by_settings() -> None:
    peer = Peer()
    peer.send(headers(1), window_update(1, LARGEST - 65_535))
    assert peer.send(settings({INITIAL_WINDOW_SIZE: 65_536}))[-1:] == gone(FLOW_CONTROL_ERROR, 1)


# -- from the client ---------------------------------------------------------------------------------------------------


def test_a_stream_may_send_its_window_and_no_byte_more() -> None:
    limits = Http2Limits(stream_window_bytes=100_000)
    for surplus in (0, 1):
        peer = Peer(limits=limits)
        peer.send(headers(1), headers(3))
        peer.handlers[0].stream.pause_reading()
        lines = peer.send(*[data(1, bytes(10_000)) for _ in range(9)], data(1, bytes(10_000 + surplus)))
        assert lines == ([reset(1, FLOW_CONTROL_ERROR)] if surplus else [])
        assert peer.send(data(3, message(b"x"))) == [head(3), "DATA 3: 6 bytes"]


def test_a_window_opens_again_when_half_of_it_is_used() -> None:
    peer = Peer(lambda handler, _: None, limits=Http2Limits(stream_window_bytes=100_000))
    peer.send(headers(1))
    assert peer.send(data(1, message(bytes(49_994)))) == []
    assert peer.send(data(1, message(b""))) == ["WINDOW_UPDATE 1: 50004"]


def test_nothing_is_opened_for_a_stream_that_is_at_its_end() -> None:
    peer = Peer(lambda handler, _: None, limits=Http2Limits(stream_window_bytes=100_000))
    assert peer.send(headers(1), data(1, message(bytes(90_000)), end=True)) == [
        "HEADERS 1 END: :status=200 content-type=application/grpc grpc-status=0"
    ]


def test_a_long_message_gets_room_for_all_of_it_at_once() -> None:
    peer = Peer(lambda handler, _: None, most_message_bytes=32 * MIB)
    start = message(bytes(20 * MIB))[:16_000]
    (line,) = peer.send(headers(1), data(1, start))
    window = 256 * 1024 - 16_000 + int(line.removeprefix("WINDOW_UPDATE 1: "))
    assert window == 20 * MIB + 5 - 16_000
    assert peer.handler.announced == [20 * MIB]


def test_the_window_of_the_connection_opens_before_it_is_used_up() -> None:
    peer = Peer(lambda handler, _: None, most_message_bytes=2**31)
    peer.send(headers(1))
    frame = raw(0, 0, 1, length=1 << 20)
    receive = peer.connection.receive_side
    receive._window = 2**30 + (1 << 20)
    peer.connection.streams[1].receive_window = LARGEST
    assert peer.send(frame) == []
    assert peer.send(bytes(1 << 20), frame) == [f"WINDOW_UPDATE 0: {2**30 + 2**20 - 1}"]
    assert receive._window == LARGEST


def test_who_does_not_take_answers_gets_no_room_for_more_requests() -> None:
    peer = Peer(limits=Http2Limits(stream_window_bytes=100_000))
    peer.send(settings({INITIAL_WINDOW_SIZE: 6}))
    peer.send(headers(1))
    lines = peer.send(*[data(1, message(bytes(9_995))) for _ in range(10)])
    assert lines == [head(), "DATA 1: 6 bytes"]
    assert peer.connection.send_side.waiting_bytes == 100_000 - 6
    lines = peer.send(window_update(1, 100_000), window_update(0, 100_000))
    assert lines[-1] == "WINDOW_UPDATE 1: 100000"
    assert peer.connection.send_side.waiting_bytes == 0
