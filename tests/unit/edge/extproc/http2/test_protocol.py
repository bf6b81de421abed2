"""One connection on asyncio, in virtual time: slow greetings, silence, peers that do not read, ends."""

import pytest

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.protocol import HIGH_WATER_BYTES
from tests.unit.edge.extproc.http2.frames import (
    INITIAL_WINDOW_SIZE,
    PREFACE,
    SETTINGS_ACK,
    begun,
    block,
    continuation,
    data,
    goaway,
    headers,
    message,
    ping,
    raw,
    settings,
    window_update,
)
from tests.unit.edge.extproc.http2.socket_stage import Stage
from tests.unit.edge.extproc.scripted_handler import MIB, Handler

X = message(b"x")
LIMITS = Http2Limits(
    greeting_within_s=10.0, ping_after_s=60.0, pong_within_s=20.0, stalled_after_s=120.0, closed_within_s=10.0
)
PING_FRAME = raw(6, 0, 0, b"present?")
CALM = b"\0\0\0\x0b"
"""ENHANCE_YOUR_CALM"""


def stage(*, greets: bool = True) -> Stage:
    return Stage(limits=LIMITS, greets=greets)


# -- what is begun is finished -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "greeting",
    [b"", PREFACE[:10], PREFACE, PREFACE + settings({4: 5})[:12]],
    ids=["nothing", "half", "preface", "no more"],
)
def test_a_greeting_that_is_not_finished_in_time(greeting: bytes) -> None:
    slow = stage(greets=False)
    slow.say(greeting)
    slow.pass_time(9.5)
    slow.say(b"")
    assert not slow.is_over
    slow.pass_time(2.0)
    assert slow.transport.was_closed
    assert CALM in slow.transport.written


def test_a_slow_greeting_that_is_finished_just_in_time() -> None:
    slow = stage(greets=False)
    for byte in PREFACE + settings():
        slow.pass_time(9.5 / len(PREFACE + settings()))
        slow.say(bytes([byte]))
    slow.say(SETTINGS_ACK)
    slow.pass_time(15.0)
    slow.say(headers(1), data(1, X))
    assert not slow.is_over
    assert slow.handlers[0].received == [b"x"]


def header_block(sizes: int) -> list[bytes]:
    encoded = block()
    parts = [encoded[at : at + sizes] for at in range(0, len(encoded), sizes)]
    return [begun(1, parts[0]), *[continuation(1, part, last=False) for part in parts[1:]]]


@pytest.mark.parametrize("unit", ["frames", "bytes"])
def test_a_header_block_that_is_never_finished(unit: str) -> None:
    """However lively it is until then."""
    slow = stage()
    pieces = header_block(7)[:11] if unit == "frames" else [bytes([byte]) for byte in header_block(1_000)[0]][:11]
    for piece in pieces:
        assert not slow.is_over
        slow.say(piece)
        slow.pass_time(1.1)
    assert slow.transport.was_closed
    assert CALM in slow.transport.written
    assert slow.handlers == []


def test_frames_and_blocks_that_are_finished_may_always_be_in_parts() -> None:
    """Whenever we look, something is not finished; but each time something else."""
    busy = stage()
    for number in range(1, 81, 4):
        encoded = block()
        busy.say(headers(number)[:20])
        busy.pass_time(1.0)
        busy.say(headers(number)[20:], data(number, X, end=True), begun(number + 2, encoded[:9]))
        busy.pass_time(1.0)
        busy.say(continuation(number + 2, encoded[9:]), data(number + 2, X, end=True))
    assert not busy.is_over
    assert [handler.received for handler in busy.handlers] == [[b"x"]] * 40


def test_a_slow_body_is_no_fault() -> None:
    slow = stage()
    slow.say(headers(1), raw(0, 0, 1, b"\0", length=105))
    for _ in range(30):
        slow.pass_time(5.0)
        assert not slow.is_over
        slow.say(b"\0")


# -- silence -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_stream", [True, False])
def test_a_peer_that_says_nothing_is_asked_and_then_given_up(has_stream: bool) -> None:
    silent = stage()
    if has_stream:
        silent.say(headers(1), data(1, X))
    silent.transport.written.clear()
    silent.pass_time(60.5)
    assert not silent.transport.written
    silent.pass_time(1.0)
    assert silent.transport.written == PING_FRAME
    silent.pass_time(17.0)
    assert not silent.is_over
    assert silent.transport.written == PING_FRAME, "asked once"
    silent.pass_time(3.0)
    assert silent.transport.was_aborted
    silent.drop()
    assert [handler.closed_times for handler in silent.handlers] == [1] * has_stream
    assert silent.lost == 1


def test_a_peer_that_answers_is_kept_as_long_as_it_likes() -> None:
    quiet = stage()
    quiet.say(headers(1), data(1, X))
    for _ in range(20):
        quiet.transport.written.clear()
        quiet.pass_time(65.0)
        assert quiet.transport.written == PING_FRAME
        quiet.say(ping(b"present?", ack=True))
    assert not quiet.is_over


def test_a_peer_that_talks_is_not_asked() -> None:
    lively = stage()
    for _ in range(20):
        lively.pass_time(50.0)
        lively.transport.written.clear()
        lively.say(ping())
        assert lively.transport.written == ping(ack=True)


# -- a peer that does not read -----------------------------------------------------------------------------------------


def flood(handler: Handler, _: bytes) -> None:
    handler.stream.send(bytes(MIB))


def test_a_peer_that_never_reads_is_not_read_and_then_given_up() -> None:
    deaf = Stage(flood, LIMITS)
    deaf.transport.reads = False
    deaf.say(settings({INITIAL_WINDOW_SIZE: 2**31 - 1}), window_update(0, 2**30), headers(1))
    said = 0
    while deaf.transport.is_read_from() and said < 100:
        deaf.say(data(1, X))
        said += 1
    assert said == HIGH_WATER_BYTES // MIB
    assert deaf.transport.unread_bytes < HIGH_WATER_BYTES + 2 * MIB
    deaf.pass_time(79.0)
    assert not deaf.is_over
    deaf.pass_time(3.0)
    assert deaf.transport.was_aborted


def test_a_peer_that_reads_again_is_read_again() -> None:
    slow = Stage(flood, LIMITS)
    slow.transport.reads = False
    slow.say(settings({INITIAL_WINDOW_SIZE: 2**31 - 1}), window_update(0, 2**30), headers(1))
    for _ in range(4):
        slow.say(data(1, X))
    assert not slow.transport.is_read_from()
    slow.pass_time(70.0)
    slow.transport.peer_reads()
    assert slow.transport.is_read_from()
    slow.say(data(1, X, end=True), ping(b"present?", ack=True))
    assert len(slow.handlers[0].received) == 5
    slow.pass_time(50.0)
    assert not slow.is_over


def test_a_frame_in_parts_is_not_late_while_we_do_not_read() -> None:
    slow = Stage(flood, LIMITS)
    slow.transport.reads = False
    slow.say(settings({INITIAL_WINDOW_SIZE: 2**31 - 1}), window_update(0, 2**30), headers(1))
    slow.say(*[data(1, X)] * 4, headers(3)[:30])
    slow.pass_time(40.0)
    slow.transport.peer_reads()
    slow.pass_time(5.0)
    slow.say(headers(3)[30:], data(3, X))
    assert not slow.is_over
    assert len(slow.handlers) == 2


def test_a_peer_whose_windows_stay_shut_is_reset() -> None:
    shut = Stage(flood, LIMITS)
    shut.say(settings({INITIAL_WINDOW_SIZE: 0}), headers(1), data(1, X))
    for _ in range(11):
        shut.pass_time(10.0)
        shut.say(ping())
    assert shut.handlers[0].closed_times == 0
    shut.pass_time(12.0)
    assert shut.handlers[0].closed_times == 1
    assert not shut.is_over
    assert raw(3, 0, 1, b"\0\0\0\x08") in shut.transport.written


# -- more than may be held ---------------------------------------------------------------------------------------------


def pause(handler: Handler, _: bytes) -> None:
    handler.stream.pause_reading()


@pytest.mark.parametrize("end", ["resume", "finish", "reset by timer"])
def test_a_connection_is_not_read_while_too_much_is_held(end: str) -> None:
    full = Stage(pause, Http2Limits(held_bytes=50_000))
    for number in (1, 3, 5):
        full.say(headers(number), data(number, X), data(number, message(bytes(20_000))))
    assert not full.transport.is_read_from()
    first = full.handlers[0]
    if end == "resume":
        first.stream.resume_reading()
    elif end == "finish":
        first.stream.finish()
    else:
        full.call_later(5.0, first.stream.finish)
        full.pass_time(6.0)
    full.pass_time(0.0)
    full._settle()
    assert full.transport.is_read_from()
    full.say(ping())
    assert full.transport.written.endswith(ping(ack=True))


def test_a_connection_below_that_is_read() -> None:
    roomy = Stage(pause, Http2Limits(held_bytes=50_000))
    for number in (1, 3):
        roomy.say(headers(number), data(number, X), data(number, message(bytes(24_900))))
    assert roomy.transport.is_read_from()


# -- ends --------------------------------------------------------------------------------------------------------------


def test_the_reason_is_written_before_the_end() -> None:
    broken = stage()
    broken.say(headers(1), data(1, X), raw(6, 0, 0, b""))
    assert broken.transport.was_closed
    assert b"PING is not 8 bytes long" in broken.transport.written
    assert broken.handlers[0].closed_times == 1


def test_a_broken_connection_that_nobody_reads_does_not_stay() -> None:
    broken = stage()
    broken.transport.reads = False
    broken.say(raw(6, 0, 0, b""))
    broken.pass_time(9.0)
    assert not broken.transport.was_aborted
    broken.pass_time(4.0)
    assert broken.transport.was_aborted


def test_a_client_that_leaves_is_closed_when_its_last_stream_ends() -> None:
    leaving = stage()
    leaving.say(headers(1), data(1, X), goaway())
    assert not leaving.is_over
    leaving.handlers[0].stream.finish()
    leaving._settle()
    assert leaving.transport.was_closed


def test_answers_out_of_the_blue_are_written_once_for_all_of_a_turn() -> None:
    quiet = stage()
    quiet.say(headers(1))
    quiet.transport.written.clear()
    for content in (b"a", b"b"):
        quiet.handlers[0].stream.send(content)
    assert not quiet.transport.written
    assert len(quiet._soon) == 1
    quiet._settle()
    assert quiet.transport.written.endswith(data(1, message(b"a")) + data(1, message(b"b")))


def test_nothing_is_written_and_no_timer_runs_when_the_socket_is_gone() -> None:
    gone = stage()
    gone.say(headers(1))
    gone.transport.written.clear()
    gone.drop()
    gone.handlers[0].stream.send(b"late")
    gone.protocol.flush()
    gone.protocol.abort()
    gone.protocol.pause_writing()
    gone.protocol.resume_writing()
    gone.pass_time(1_000.0)
    assert not gone.transport.written
    assert (gone.lost, gone.handlers[0].closed_times) == (1, 1)
