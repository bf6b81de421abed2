"""A handler that does not read for a while: windows stay shut, order is kept, what is kept is counted."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from epp.edge.extproc.transport import ServerStream
from tests.unit.edge.extproc.http2.frames import data, headers, message, rst
from tests.unit.edge.extproc.http2.peer import Peer, ended, head, reset
from tests.unit.edge.extproc.scripted_handler import MIB, Handler

WINDOW = 100_000
SMALL = Http2Limits(stream_window_bytes=WINDOW, held_bytes=50_000)


def obedient(handler: Handler, content: bytes) -> None:
    """Does what the message says."""
    if b"pause" in content:
        handler.stream.pause_reading()
    if b"resume" in content:
        handler.stream.resume_reading()
    if b"echo" in content:
        handler.stream.send(content)
    if b"finish" in content:
        handler.stream.finish()
    if b"raise" in content:
        raise ValueError(content)


def paused() -> Peer:
    peer = Peer(obedient, limits=SMALL)
    peer.send(headers(1), data(1, message(b"pause")))
    return peer


def held(peer: Peer) -> int:
    return peer.connection.receive_side.held_bytes


def test_messages_behind_the_pause_wait_in_their_order() -> None:
    peer = Peer(obedient)
    peer.send(headers(1), data(1, message(b"a") + message(b"pause") + message(b"b") + message(b"c")[:3]))
    peer.send(data(1, message(b"c")[3:] + message(b"d")), data(1, message(b"e")))
    assert peer.handler.received == [b"a", b"pause"]
    assert held(peer) == 6 + 3 + 3 + 6 + 6
    peer.handler.stream.resume_reading()
    assert peer.handler.received == [b"a", b"pause", b"b", b"c", b"d", b"e"]
    assert held(peer) == 0


def test_a_window_stays_shut_and_opens_when_reading_goes_on() -> None:
    peer = paused()
    for _ in range(9):
        assert peer.send(data(1, message(bytes(9_995)))) == []
    assert held(peer) == 90_000
    assert peer.is_full()
    peer.handler.stream.resume_reading()
    assert peer.answers() == ["WINDOW_UPDATE 1: 90010"]
    assert len(peer.handler.received) == 10


def test_what_is_held_cannot_exceed_the_window() -> None:
    peer = paused()
    peer.send(*[data(1, bytes(10_000)) for _ in range(9)])
    assert peer.send(data(1, bytes(10_000))) == [reset(1, ErrorCode.FLOW_CONTROL_ERROR)]
    assert held(peer) == 0
    assert peer.handler.closed_times == 1


def test_other_streams_of_the_connection_are_read() -> None:
    peer = paused()
    assert peer.send(headers(3), data(3, message(b"echo"))) == [head(3), "DATA 3: 9 bytes"]


def test_a_long_message_that_is_paused_at_its_announcement_gets_no_room_until_it_goes_on() -> None:
    class Cautious(Handler):
        def message_announced(self, message_bytes: int) -> None:
            self.stream.pause_reading()

    peer = Peer(limits=SMALL, make_handler=lambda stream: Cautious(stream, obedient))
    body = message(bytes(MIB // 2))
    assert peer.send(headers(1), data(1, body[:10_000])) == []
    assert held(peer) == 10_000, "the beginning of the message counts"
    assert peer.send(data(1, body[10_000:20_000])) == []
    peer.handler.stream.resume_reading()
    (line,) = peer.answers()
    assert WINDOW - 20_000 + int(line.removeprefix("WINDOW_UPDATE 1: ")) == len(body) - 20_000
    assert held(peer) == 0
    peer.send(*[data(1, body[at : at + 100_000]) for at in range(20_000, len(body), 100_000)])
    assert peer.handler.received == [bytes(MIB // 2)]


def test_the_end_waits_for_what_came_before_it() -> None:
    peer = paused()
    assert peer.send(data(1, message(b"echo"), end=True)) == []
    assert peer.handler.received == [b"pause"]
    peer.handler.stream.resume_reading()
    assert peer.answers() == [head(), "DATA 1: 9 bytes", ended()]


def test_an_end_alone_waits_too() -> None:
    peer = paused()
    assert peer.send(data(1, end=True)) == []
    peer.handler.stream.resume_reading()
    assert peer.answers() == ["HEADERS 1 END: :status=200 content-type=application/grpc grpc-status=0"]


def test_the_end_is_told_once() -> None:
    class Lingering(Handler):
        told = 0

        def half_closed(self) -> None:
            self.told += 1

    peer = Peer(make_handler=lambda stream: Lingering(stream, obedient))
    peer.send(headers(1), data(1, message(b"pause"), end=True))
    for _ in range(3):
        peer.handler.stream.resume_reading()
        peer.handler.stream.pause_reading()
    assert peer.handler.told == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["reset", "lost", "finish", "broken rule"])
def test_a_paused_stream_may_end_and_nothing_stays(how: str) -> None:
    peer = paused()
    peer.send(data(1, message(bytes(60_000))))
    assert peer.is_full()
    if how == "reset":
        peer.send(rst(1))
    elif how == "lost":
        peer.connection.lost()
    elif how == "finish":
        peer.handler.stream.finish()
        peer.answers()
    else:
        peer.send(headers(1, (("x", "y"),)))
    assert held(peer) == 0
    assert not peer.is_full()
    peer.handler.stream.resume_reading()
    peer.handler.stream.pause_reading()
    assert held(peer) == 0
    assert (peer.handler.received, peer.handler.closed_times) == ([b"pause"], 1)


def test_a_handler_may_end_or_fail_in_what_was_held() -> None:
    for content, end in ((b"finish", "grpc-status=0"), (b"raise", "grpc-status=13")):
        peer = paused()
        peer.expects_faults = True
        peer.send(data(1, message(content) + message(b"late")), data(1, message(b"later")))
        peer.handler.stream.resume_reading()
        first, second = peer.answers()
        assert end in first
        assert second == reset(1, ErrorCode.NO_ERROR)
        assert peer.handler.received == [b"pause", content]
        assert held(peer) == 0


def test_pausing_and_resuming_in_the_middle_of_what_was_held_keeps_the_order() -> None:
    peer = paused()
    first = message(b"0") + message(b"pause resume") + message(b"1") + message(b"pause, resume") + message(b"2")
    peer.send(data(1, first), data(1, message(b"3") + message(b"pause") + message(b"4")), data(1, message(b"5")))
    peer.handler.stream.resume_reading()
    assert peer.handler.received == [b"pause", b"0", b"pause resume", b"1", b"pause, resume", b"2", b"3", b"pause"]
    assert held(peer) == 12
    peer.handler.stream.resume_reading()
    assert peer.handler.received[-2:] == [b"4", b"5"]


contents = st.lists(st.sampled_from([b"a", b"", b"pause", b"pause resume", b"c" * 700, b"resume"]), max_size=12)


@settings(max_examples=50)
@given(contents, st.lists(st.integers(1, 800), min_size=1, max_size=8), st.data())
def test_whatever_is_paused_and_resumed_messages_come_in_order(
    script: list[bytes], sizes: list[int], draw: st.DataObject
) -> None:
    peer = Peer(obedient)
    peer.send(headers(1))
    numbered = [b"%d " % number + content for number, content in enumerate(script)]
    body, at, turn = b"".join(map(message, numbered)), 0, 0
    while at < len(body):
        size = sizes[turn % len(sizes)]
        peer.send(data(1, body[at : at + size]))
        at, turn = at + size, turn + 1
        assert held(peer) <= at
        if draw.draw(st.booleans()):
            peer.handler.stream.resume_reading()
    lines = peer.send(data(1, end=True))
    for _ in numbered:
        peer.handler.stream.resume_reading()
    assert peer.handler.received == numbered
    assert "grpc-status=0" in (lines + peer.answers())[-1]
    assert held(peer) == 0
    assert peer.handler.closed_times == 1


def test_room_is_told_of_when_it_is_there_and_not_before() -> None:
    """The transport reads on then."""
    told: list[int] = []
    made: list[Handler] = []

    def make(stream: ServerStream) -> Handler:
        made.append(Handler(stream, obedient))
        return made[-1]

    peer = Peer(limits=SMALL, make_handler=make)
    note: Callable[[], None] = lambda: told.append(held(peer))  # noqa: E731
    peer.connection._on_output = note
    for stream_id in (1, 3, 5):
        peer.send(headers(stream_id), data(stream_id, message(b"pause")), data(stream_id, bytes(20_000)))
    assert peer.is_full()
    assert told == []
    peer.send(rst(3))
    assert told == [], "whoever receives looks himself"
    assert not peer.is_full()
    peer.send(headers(7), data(7, message(b"pause")), data(7, bytes(30_000)))
    made[0].stream.finish()
    assert 50_000 in told
