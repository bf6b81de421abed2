"""SETTINGS, PING, GOAWAY (RFC 9113 6.5, 6.7, 6.8): values, answers, what may not be."""

import pytest

from epp.edge.extproc.http2.wire import ErrorCode
from tests.unit.edge.extproc.http2.frames import (
    ENABLE_PUSH,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PREFACE,
    SETTINGS_ACK,
    goaway,
    headers,
    ping,
    raw,
    settings,
)
from tests.unit.edge.extproc.http2.peer import Peer, gone

FLOW_CONTROL_ERROR, PROTOCOL_ERROR = ErrorCode.FLOW_CONTROL_ERROR, ErrorCode.PROTOCOL_ERROR
SETTINGS = 4


def setting(number: int, value: int) -> bytes:
    return raw(SETTINGS, 0, 0, number.to_bytes(2, "big") + value.to_bytes(4, "big"))


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (1, 0),
        (1, 2**32 - 1),
        (ENABLE_PUSH, 0),
        (ENABLE_PUSH, 1),
        (3, 0),
        (INITIAL_WINDOW_SIZE, 0),
        (INITIAL_WINDOW_SIZE, 2**31 - 1),
        (MAX_FRAME_SIZE, 2**14),
        (MAX_FRAME_SIZE, 2**24 - 1),
        (6, 0),
        (8, 1),
        (0, 7),
        (0xFFFF, 2**32 - 1),
    ],
)
def test_settings_that_are_acknowledged(number: int, value: int) -> None:
    assert Peer().send(setting(number, value)) == ["SETTINGS ACK"]


@pytest.mark.parametrize(
    ("number", "value", "code"),
    [
        (ENABLE_PUSH, 2, PROTOCOL_ERROR),
        (ENABLE_PUSH, 2**32 - 1, PROTOCOL_ERROR),
        (INITIAL_WINDOW_SIZE, 2**31, FLOW_CONTROL_ERROR),
        (INITIAL_WINDOW_SIZE, 2**32 - 1, FLOW_CONTROL_ERROR),
        (MAX_FRAME_SIZE, 2**14 - 1, PROTOCOL_ERROR),
        (MAX_FRAME_SIZE, 2**24, PROTOCOL_ERROR),
    ],
)
def test_settings_out_of_range(number: int, value: int, code: ErrorCode) -> None:
    assert Peer().send(setting(number, value)) == gone(code)


def test_the_first_settings_count_too() -> None:
    assert Peer(greets=False).send(PREFACE, setting(MAX_FRAME_SIZE, 1)) == gone(PROTOCOL_ERROR)


def test_every_settings_frame_is_acknowledged_once() -> None:
    assert Peer().send(settings(), settings(), settings()) == ["SETTINGS ACK"] * 3


def test_an_acknowledgement_is_empty() -> None:
    assert Peer().send(raw(SETTINGS, 1, 0, bytes(6))) == gone(ErrorCode.FRAME_SIZE_ERROR)


def test_an_acknowledgement_is_not_acknowledged() -> None:
    assert Peer().send(SETTINGS_ACK) == []


def test_a_ping_is_answered_with_what_it_says() -> None:
    assert Peer().send(ping(b"abcdefgh"), ping(b"ijklmnop")) == ["PING ACK: abcdefgh", "PING ACK: ijklmnop"]


def test_our_own_ping_is_counted_until_it_is_answered() -> None:
    peer = Peer()
    peer.connection.ask_for_life()
    assert peer.answers() == ["PING: present?"]
    assert peer.connection.control.pings_unanswered == 1
    peer.send(ping(b"whatever", ack=True))
    assert peer.connection.control.pings_unanswered == 1
    peer.send(ping(b"present?", ack=True))
    assert peer.connection.control.pings_unanswered == 0


@pytest.mark.parametrize("code", [0, 2, 11, 0xFFFF])
def test_a_client_that_leaves_without_anything_open_is_done_with(code: int) -> None:
    peer = Peer()
    peer.send(headers(1, end=True))
    assert peer.send(goaway(0, code)) == gone(ErrorCode.NO_ERROR, 1)
    assert peer.is_done()
    assert peer.is_served
