"""Why a connection was ended: told once for each that ends because of its peer, in virtual time."""

import pytest

from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.protocol import shown_address
from tests.unit.edge.extproc.http2.frames import data, goaway, headers, message, ping, raw
from tests.unit.edge.extproc.http2.socket_stage import Stage

X = message(b"x")
LIMITS = Http2Limits(
    greeting_within_s=10.0, ping_after_s=60.0, pong_within_s=20.0, stalled_after_s=120.0, closed_within_s=10.0
)
PEER = "192.0.2.7:4242"


@pytest.mark.parametrize(
    ("frame", "reason", "detail"),
    [
        (raw(6, 0, 0, b""), "FRAME_SIZE_ERROR", "PING is not 8 bytes long"),
        (ping() * 5, "ENHANCE_YOUR_CALM", "PING"),
        (data(7, X), "PROTOCOL_ERROR", ""),
    ],
    ids=["a wrong size", "a flood", "a stream that never began"],
)
def test_a_peer_that_breaks_a_rule_or_a_limit_is_told_of_once(frame: bytes, reason: str, detail: str) -> None:
    broken = Stage(limits=Http2Limits(nuisances_per_s=0.1, nuisance_burst=4.0))
    broken.say(headers(1), data(1, X), frame)
    broken.pass_time(30.0)
    broken.drop()
    assert [ending[:2] for ending in broken.ended] == [(PEER, reason)]
    assert detail in broken.ended[0][2]


def test_what_does_not_speak_http_2_is_told_of() -> None:
    probe = Stage(limits=LIMITS, greets=False)
    probe.say(b"GET /healthz HTTP/1.1\r\nHost: picker\r\n\r\n")
    assert [ending[:2] for ending in probe.ended] == [(PEER, "PROTOCOL_ERROR")]


def test_a_peer_that_is_silent_is_told_of() -> None:
    silent = Stage(limits=LIMITS)
    silent.pass_time(90.0)
    silent.drop()
    assert silent.ended == [(PEER, "silent", "no answer to a PING within 20 s")]


def test_a_peer_that_does_not_read_the_end_is_told_of() -> None:
    deaf = Stage(limits=LIMITS)
    deaf.protocol.connection.refuse_further()
    deaf.pass_time(20.0)
    deaf.drop()
    assert deaf.ended == [(PEER, "unread", "what was sent last is not read within 10 s")]


@pytest.mark.parametrize("end", ["peer leaves", "socket is gone", "drained"])
def test_nothing_is_told_of_a_connection_that_ends_as_it_should(end: str) -> None:
    good = Stage(limits=LIMITS)
    good.say(headers(1), data(1, X, end=True))
    if end == "peer leaves":
        good.say(goaway())
    elif end == "drained":
        good.protocol.connection.leave()
        good.protocol.connection.refuse_further()
    good.handlers[0].stream.finish()
    good._settle()
    good.drop()
    good.pass_time(100.0)
    assert good.ended == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (("10.0.0.1", 80), "10.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("", ""),
        (None, ""),
    ],
)
def test_addresses_of_peers(name: object, shown: str) -> None:
    assert shown_address(name) == shown
