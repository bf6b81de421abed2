"""What a peer can make the server keep: answers nobody takes, bodies nobody reads, windows of a byte."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from tests.unit.edge.extproc.http2.frames import (
    INITIAL_WINDOW_SIZE,
    data,
    headers,
    message,
    rst,
    settings,
    window_update,
)
from tests.unit.edge.extproc.http2.peer import Peer, ended, head, reset
from tests.unit.edge.extproc.scripted_handler import Handler

X = message(b"x")
KB = 1_000


def long_answer(handler: Handler, _: bytes) -> None:
    handler.stream.send(bytes(100 * KB - 5))


def shut(limits: Http2Limits) -> Peer:
    """A peer that opens no window for streams."""
    peer = Peer(long_answer, limits=limits)
    peer.send(settings({INITIAL_WINDOW_SIZE: 0}), window_update(0, 1 << 30))
    return peer


def test_a_stream_whose_window_stays_shut_is_reset() -> None:
    peer = shut(Http2Limits(stalled_after_s=120.0))
    peer.send(headers(1), data(1, X))
    peer.now += 119.0
    peer.send(headers(3), data(3, X))
    peer.now += 1.5
    peer.connection.reset_stalled(peer.now - 120.0)
    assert peer.answers() == [reset(1, ErrorCode.CANCEL)]
    assert [handler.closed_times for handler in peer.handlers] == [1, 0]
    assert peer.send(window_update(3, 200 * KB))[:1] == ["DATA 3: 16384 bytes"]


def test_a_stream_that_was_ended_but_not_read_is_reset_too() -> None:
    peer = shut(Http2Limits())
    peer.send(headers(1), data(1, X, end=True))
    assert peer.handler.closed_times == 1
    peer.connection.reset_stalled(peer.now + 1.0)
    assert peer.answers() == [reset(1, ErrorCode.CANCEL)]
    assert peer.handler.closed_times == 1


def test_a_slow_reader_that_takes_something_is_not_stalled() -> None:
    peer = shut(Http2Limits(stalled_after_s=120.0))
    peer.send(headers(1), data(1, X, end=True))
    for _ in range(100):
        peer.now += 100.0
        peer.connection.reset_stalled(peer.now - 120.0)
        assert peer.send(window_update(1, KB)) == [f"DATA 1: {KB} bytes"] or peer.body[1] == message(
            bytes(100 * KB - 5)
        )
    assert len(peer.body[1]) == 100 * KB
    assert not peer.connection.streams


def test_answers_that_nobody_takes_end_the_connection() -> None:
    peer = shut(Http2Limits(waiting_bytes=1_000 * KB))
    for number in range(10):
        peer.send(headers(2 * number + 1), data(2 * number + 1, X))
    assert peer.is_served
    assert peer.send(headers(31), data(31, X))[-1] == "GOAWAY 31: ENHANCE_YOUR_CALM"
    assert [handler.closed_times for handler in peer.handlers] == [1] * 11
    assert peer.connection.send_side.waiting_bytes == 0


def test_who_takes_his_answers_may_ask_for_any_number() -> None:
    peer = shut(Http2Limits(waiting_bytes=1_000 * KB))
    for stream_id in range(1, 101, 2):
        peer.send(headers(stream_id), data(stream_id, X, end=True))
        assert peer.send(window_update(stream_id, 100 * KB))[-1] == ended(stream_id)


def test_a_stream_that_takes_nothing_can_say_no_more_than_its_window() -> None:
    """An answer to each tiny message, while the window for answers is shut."""
    peer = Peer(limits=Http2Limits(stream_window_bytes=70 * KB))
    peer.send(settings({INITIAL_WINDOW_SIZE: 0}), headers(1))
    said = 0
    while said < 20_000 and peer.connection.streams:
        peer.send(data(1, message(b"12")))
        said += 1
    assert said == 70 * KB // 7 + 1, "one more than the window has room for"
    assert peer.is_served


def test_windows_of_a_byte() -> None:
    """Each byte is a frame of ten bytes, which is as much as the client asked for."""
    peer = Peer(lambda handler, _: handler.stream.send(bytes(2_000)))
    peer.send(settings({INITIAL_WINDOW_SIZE: 0}), headers(1), data(1, X))
    for _ in range(2_005):
        assert peer.send(window_update(1, 1)) == ["DATA 1: 1 bytes"]
    assert peer.messages(1) == [bytes(2_000)]


def lines_run(path: str, run: Callable[[], object]) -> int:
    """How many lines of this file are run."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename.endswith(path):
            count += event == "line"
            return trace
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("blocked_by", ["their own windows", "the window of the connection"])
def test_many_streams_that_wait_do_not_make_a_window_update_dear(blocked_by: str) -> None:
    """The work is that for what can be sent, not for what waits."""
    peer = Peer(long_answer)
    if blocked_by == "their own windows":
        peer.send(settings({INITIAL_WINDOW_SIZE: 0}))
    else:
        peer.send(headers(1), data(1, X))
    peer.send(*[headers(number) + data(number, X) for number in range(3, 1_003, 2)])
    lines: list[str] = []
    spent = lines_run("send_side.py", lambda: lines.extend(peer.send(window_update(0, 1), window_update(3, 1))))
    assert len(lines) == 1
    assert spent < 60, "there are 500 streams"


def test_streams_that_come_and_go_leave_nothing_behind() -> None:
    peer = shut(Http2Limits())
    for stream_id in range(1, 1_001, 2):
        peer.send(headers(stream_id), data(stream_id, X), rst(stream_id))
    side, connection = peer.connection.send_side, peer.connection
    assert (len(side._waiting), len(side._ready), side.waiting_bytes) == (0, 0, 0)
    assert (len(connection.streams), connection.receive_side.held_bytes) == (0, 0)
    assert len(connection._we_reset) == 0
    assert head(1_001) in peer.send(headers(1_001), data(1_001, X))
