"""Streams (RFC 9113 5.1): ids, states, how many, ends from either side and frames that were on their way meanwhile."""

import pytest

from epp.edge.extproc.http2.connection import RECENT_RESETS
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from epp.edge.extproc.transport import GrpcStatus
from tests.unit.edge.extproc.http2.frames import (
    bare_block,
    changed,
    continuation,
    data,
    goaway,
    headers,
    message,
    ping,
    priority,
    raw,
    rst,
    window_update,
)
from tests.unit.edge.extproc.http2.peer import Peer, ended, failed, gone, head, reset
from tests.unit.edge.extproc.scripted_handler import Handler

PROTOCOL_ERROR, STREAM_CLOSED = ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED
HEADERS, END_HEADERS = 1, 4
TRAILERS = (("x-checksum", "1"),)
X = data(1, message(b"x"))


def finish(handler: Handler, content: bytes) -> None:
    handler.stream.finish()


def say_nothing(handler: Handler, content: bytes) -> None:
    pass


class Lingering(Handler):
    """Does not end its stream when the client says nothing more."""

    def half_closed(self) -> None:
        self.was_drained = False


def half_closed() -> Peer:
    """Stream 1 is half-closed (remote), and not ended by the handler."""
    peer = Peer(make_handler=lambda stream: Lingering(stream, say_nothing))
    assert peer.send(headers(1), data(1, message(b"x"), end=True)) == []
    assert peer.handler.received == [b"x"]
    return peer


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_id", [2, 4, 2**31 - 2])
def test_a_client_has_odd_numbers(stream_id: int) -> None:
    assert Peer().send(headers(stream_id)) == gone(PROTOCOL_ERROR)


def test_numbers_may_leave_gaps_up_to_the_last_one() -> None:
    peer = Peer()
    for stream_id in (1, 7, 4_001, 2**31 - 1):
        assert peer.send(headers(stream_id), data(stream_id, message(b"x"), end=True)) == [
            head(stream_id),
            f"DATA {stream_id}: 6 bytes",
            ended(stream_id),
        ]


@pytest.mark.parametrize("stream_id", [1, 3, 5])
def test_numbers_do_not_go_back(stream_id: int) -> None:
    peer = Peer()
    peer.send(headers(3), headers(5, end=True))
    expected = {1: gone(STREAM_CLOSED, 5), 3: [reset(3, PROTOCOL_ERROR)], 5: gone(STREAM_CLOSED, 5)}
    assert peer.send(headers(stream_id)) == expected[stream_id]


# -- idle --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_id", [2, 5, 6])
@pytest.mark.parametrize("make", [data, rst, lambda stream_id: window_update(stream_id, 1)], ids=["DATA", "RST", "WIN"])
def test_nothing_but_headers_and_priority_comes_on_an_idle_stream(make: "type[bytes]", stream_id: int) -> None:
    peer = Peer()
    peer.send(headers(3))
    assert peer.send(make(stream_id)) == gone(PROTOCOL_ERROR, 3)


def test_priority_may_come_on_any_stream() -> None:
    peer = half_closed()
    peer.send(headers(3), rst(3))
    assert peer.send(priority(1, 3), priority(3, 1), priority(9, 1), priority(10, 1)) == []


def test_a_stream_that_depends_on_itself() -> None:
    peer = Peer()
    payload = (5).to_bytes(4, "big") + b"\x0f"
    assert peer.send(headers(1), priority(1, 1)) == [reset(1, PROTOCOL_ERROR)]
    assert peer.handler.closed_times == 1
    assert peer.send(raw(HEADERS, END_HEADERS | 0x20, 5, payload + headers(5)[9:])) == [reset(5, PROTOCOL_ERROR)]
    assert len(peer.handlers) == 1
    assert peer.send(priority(7, 7)) == gone(PROTOCOL_ERROR, 5), "an idle stream cannot be reset"


# -- half-closed and closed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [X, headers(1), headers(1, TRAILERS, end=True)], ids=["DATA", "HEADERS", "trailers"])
def test_after_its_end_a_client_says_nothing_more(late: bytes) -> None:
    peer = half_closed()
    assert peer.send(late) == [reset(1, STREAM_CLOSED)]
    assert peer.handler.closed_times == 1
    assert peer.send(ping()) == ["PING ACK: 12345678"], "the others go on"


def test_a_half_closed_stream_is_answered_and_may_be_reset() -> None:
    peer = half_closed()
    peer.handler.stream.send(b"answer")
    assert peer.send(window_update(1, 10), priority(1)) == [head(), "DATA 1: 11 bytes"]
    assert peer.send(rst(1)) == []
    assert peer.handler.closed_times == 1
    peer.handler.stream.send(b"too late")
    assert peer.answers() == []


def test_trailers_end_a_request() -> None:
    peer = Peer()
    assert peer.send(headers(1), X, headers(1, TRAILERS, end=True)) == [head(), "DATA 1: 6 bytes", ended()]


def test_headers_in_the_middle_of_a_request_that_do_not_end_it() -> None:
    peer = Peer()
    assert peer.send(headers(1), headers(1, TRAILERS)) == [reset(1, PROTOCOL_ERROR)]
    assert peer.handler.closed_times == 1


@pytest.mark.parametrize(
    "trailers", [((":status", "200"),), (("X-Upper", "1"),), (("connection", "x"),), (("x", "a\nb"),)]
)
def test_malformed_trailers(trailers: tuple[tuple[str, str], ...]) -> None:
    assert Peer().send(headers(1), headers(1, trailers, end=True)) == [reset(1, PROTOCOL_ERROR)]


def test_frames_on_a_stream_that_both_sides_ended() -> None:
    peer = Peer()
    peer.send(headers(1), data(1, message(b"x"), end=True))
    assert peer.send(window_update(1, 5), rst(1), priority(1)) == []
    assert peer.send(X) == [reset(1, STREAM_CLOSED)]
    assert peer.send(headers(3, end=True), headers(3)) == [
        "HEADERS 3 END: :status=200 content-type=application/grpc grpc-status=0",
        *gone(STREAM_CLOSED, 3),
    ]


def test_frames_on_a_stream_that_the_client_reset() -> None:
    peer = Peer()
    peer.send(headers(1), X, rst(1))
    assert peer.send(rst(1), window_update(1, 5), priority(1)) == []
    assert peer.send(X) == [reset(1, STREAM_CLOSED)]
    assert peer.send(X) == [], "it knows by now"
    assert peer.handler.closed_times == 1


def test_frames_that_were_on_their_way_when_the_server_ended_a_stream_are_ignored() -> None:
    peer = Peer(finish)
    assert peer.send(headers(1), X) == [
        "HEADERS 1 END: :status=200 content-type=application/grpc grpc-status=0",
        reset(1, ErrorCode.NO_ERROR),
    ]
    late = (X, data(1, bytes(10_000)), window_update(1, 9), headers(1, TRAILERS, end=True), rst(1))
    assert peer.send(*late) == []
    assert peer.handler.received == [b"x"]
    assert peer.handler.closed_times == 1


def test_header_blocks_of_streams_that_are_over_still_count_for_the_table() -> None:
    peer = Peer(finish, greets=False)
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + raw(4, 0, 0))
    peer.send(headers(1), X)
    added = b"\x40\x0cx-from-table\x01v"
    assert peer.send(raw(HEADERS, END_HEADERS | 1, 1, b"\x3f\xe1\x1f" + added)) == [], "table of 4096 bytes, one entry"
    assert peer.send(raw(HEADERS, END_HEADERS, 3, bare_block() + b"\xbe")) == []
    assert len(peer.handlers) == 2
    assert peer.send(raw(HEADERS, END_HEADERS, 5, bare_block() + b"\xbf")) == gone(ErrorCode.COMPRESSION_ERROR, 3)


def test_what_is_remembered_of_resets_is_bounded() -> None:
    peer = Peer(finish)
    for stream_id in range(1, 2 * RECENT_RESETS + 200, 2):
        peer.send(headers(stream_id), data(stream_id, message(b"x")))
    assert len(peer.connection._we_reset) == RECENT_RESETS
    assert peer.send(X) == [reset(1, STREAM_CLOSED)], "forgotten, so told again"


# -- how many ----------------------------------------------------------------------------------------------------------


def test_streams_above_the_limit_are_refused_until_others_end() -> None:
    peer = Peer(limits=Http2Limits(most_streams=2))
    assert peer.send(headers(1), headers(3), headers(5)) == [reset(5, ErrorCode.REFUSED_STREAM)]
    assert peer.send(data(5, message(b"x"), end=True)) == [], "what was on its way"
    peer.send(rst(3))
    assert peer.send(headers(7), data(7, message(b"x"), end=True)) == [head(7), "DATA 7: 6 bytes", ended(7)]
    assert len(peer.handlers) == 3


def test_one_stream_does_not_wait_for_another() -> None:
    peer = Peer()
    begun = [headers(stream_id) for stream_id in range(1, 41, 2)]
    halves = [data(stream_id, message(b"%d" % stream_id)[:3]) for stream_id in range(1, 41, 2)]
    rests = [data(stream_id, message(b"%d" % stream_id)[3:]) for stream_id in reversed(range(1, 41, 2))]
    peer.send(*begun, *halves, *rests)
    assert [peer.messages(stream_id) for stream_id in range(1, 41, 2)] == [[b"%d" % i] for i in range(1, 41, 2)]


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_fault_of_the_connection_ends_every_stream_once() -> None:
    peer = Peer()
    peer.send(headers(1), X, headers(3))
    assert peer.send(continuation(3, b"")) == gone(PROTOCOL_ERROR, 3)
    assert [handler.closed_times for handler in peer.handlers] == [1, 1]
    peer.handlers[0].stream.send(b"too late")
    peer.handlers[0].stream.fail(GrpcStatus.INTERNAL, "too late")
    assert peer.answers() == []
    assert peer.is_done()
    peer.connection.lost()
    assert [handler.closed_times for handler in peer.handlers] == [1, 1]


def test_a_lost_connection_ends_every_stream_once() -> None:
    peer = Peer()
    peer.send(headers(1), X, headers(3))
    peer.connection.lost()
    peer.connection.lost()
    assert [handler.closed_times for handler in peer.handlers] == [1, 1]


# -- leaving -----------------------------------------------------------------------------------------------------------


def test_a_graceful_end_serves_the_streams_in_between() -> None:
    peer = Peer()
    peer.send(headers(1), X)
    peer.connection.leave()
    assert peer.answers() == [f"GOAWAY {2**31 - 1}: NO_ERROR", "PING: leaving?"]
    assert peer.send(headers(3), data(3, message(b"y"))) == [head(3), "DATA 3: 6 bytes"]
    assert peer.send(ping(b"leaving?", ack=True)) == gone(ErrorCode.NO_ERROR, 3)
    assert not peer.is_done()
    assert peer.send(headers(5), data(5, message(b"z"), end=True), ping()) == ["PING ACK: 12345678"]
    assert peer.send(data(1, end=True)) == [ended(1)]
    assert not peer.is_done()
    assert peer.send(data(3, end=True)) == [ended(3)]
    assert peer.is_done()
    assert len(peer.handlers) == 2


def test_further_streams_are_refused_at_the_latest_when_the_server_says_so() -> None:
    peer = Peer()
    peer.send(headers(1), X)
    peer.connection.leave()
    peer.connection.refuse_further()
    peer.connection.refuse_further()
    assert peer.answers()[2:] == gone(ErrorCode.NO_ERROR, 1)
    assert peer.send(headers(3), data(3, message(b"z"))) == []
    assert peer.send(raw(6, 0, 0, b"")) == gone(ErrorCode.FRAME_SIZE_ERROR, 1), "the id in GOAWAY never grows"


def test_an_answer_to_a_ping_that_was_not_sent_ends_nothing() -> None:
    peer = Peer()
    assert peer.send(ping(b"leaving?", ack=True), ping(b"present?", ack=True), ping(b"whatever", ack=True)) == []
    assert peer.send(headers(1), X) == [head(), "DATA 1: 6 bytes"]


def test_a_client_that_leaves_is_served_to_the_end_of_what_it_asked_for() -> None:
    peer = Peer()
    peer.send(headers(1), X)
    assert peer.send(goaway()) == gone(ErrorCode.NO_ERROR, 1)
    assert not peer.is_done()
    assert peer.send(X, data(1, end=True)) == ["DATA 1: 6 bytes", ended(1)]
    assert peer.is_done()


def test_refused_methods_are_streams_too() -> None:
    peer = Peer(limits=Http2Limits(most_streams=1))
    for stream_id in (1, 3):
        assert peer.send(headers(stream_id, changed(_path="/a/b"))) == [
            failed(stream_id, 12, "no method /a/b"),
            reset(stream_id, ErrorCode.NO_ERROR),
        ]
    assert not peer.connection.streams
