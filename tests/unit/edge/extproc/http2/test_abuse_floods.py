"""Floods of frames that bring nothing: each ends the connection, and a peer just below the limit is served."""

from collections.abc import Callable

import pytest

from epp.edge.extproc.http2.connection import RECENT_RESETS
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from tests.unit.edge.extproc.http2.frames import (
    INITIAL_WINDOW_SIZE,
    SETTINGS_ACK,
    begun,
    block,
    changed,
    continuation,
    data,
    goaway,
    headers,
    message,
    padded,
    ping,
    priority,
    raw,
    rst,
    settings,
    window_update,
)
from tests.unit.edge.extproc.http2.peer import Peer, head

BURST, PER_S = 50, 10
LIMITS = Http2Limits(nuisance_burst=BURST, nuisances_per_s=PER_S)
CALM = f": {ErrorCode.ENHANCE_YOUR_CALM.name}"
ODD = range(1001, 10_000, 2)
X = message(b"x")


def ready() -> Peer:
    """With stream 1 open, stream 3 reset by the server, stream 5 ended, and no update of a window due."""
    peer = Peer(limits=LIMITS)
    peer.send(headers(1), headers(3), headers(5, end=True), data(3, b"\xff" + X))
    peer.connection.send_side.updates_due = 0
    return peer


FLOODS: dict[str, Callable[[int], bytes]] = {
    "PING": lambda _: ping(),
    "answers to PING": lambda _: ping(ack=True),
    "SETTINGS": lambda _: settings(),
    "acknowledgements of SETTINGS": lambda _: SETTINGS_ACK,
    "PRIORITY": lambda number: priority(ODD[number]),
    "PRIORITY of a wrong size": lambda _: raw(2, 0, 3, bytes(4)),
    "WINDOW_UPDATE of the connection": lambda _: window_update(0, 1),
    "WINDOW_UPDATE of a stream": lambda _: window_update(1, 1),
    "WINDOW_UPDATE of a stream that is over": lambda _: window_update(5, 1),
    "empty DATA": lambda _: data(1),
    "DATA that is all padding": lambda _: padded(1, b"", 9),
    "empty DATA on a stream that the server reset": lambda _: data(3),
    "DATA on a stream that is over": lambda number: headers(ODD[number], end=True) + data(ODD[number], X),
    "unknown frames": lambda _: raw(0x99, 0, 0),
    "resets of new streams": lambda number: headers(ODD[number]) + rst(ODD[number]),
    "resets of streams that are over": lambda _: rst(5),
    "malformed requests": lambda number: headers(ODD[number], changed(te="gzip")),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_the_connection(kind: str) -> None:
    peer = ready()
    for number in range(BURST):
        peer.send(FLOODS[kind](number))
        assert peer.is_served, f"{number + 1} are allowed at once"
    assert peer.send(FLOODS[kind](BURST))[-1].endswith(CALM)
    assert "too many frames that bring nothing" in str(peer.connection.fault)


@pytest.mark.parametrize("kind", FLOODS)
def test_a_peer_below_the_limit_is_served_as_long_as_it_likes(kind: str) -> None:
    peer = ready()
    for number in range(4 * BURST):
        peer.now += 1.0 / PER_S
        peer.send(FLOODS[kind](number))
        assert peer.is_served, number
    last = ODD[4 * BURST]
    assert head(last) in peer.send(headers(last), data(last, X))


def test_a_flood_of_goaway() -> None:
    peer = ready()
    peer.send(*[goaway() for _ in range(BURST + 1)])
    assert peer.is_served, "the first one says something"
    assert peer.send(goaway())[-1].endswith(CALM)


def test_streams_that_begin_after_goaway() -> None:
    peer = ready()
    peer.connection.refuse_further()
    peer.answers()
    assert peer.send(*[headers(ODD[number]) for number in range(BURST)]) == []
    assert peer.send(headers(ODD[BURST]))[-1].endswith(CALM)
    roomy = Peer(limits=Http2Limits(nuisance_burst=1e9))
    roomy.send(headers(1))
    roomy.connection.refuse_further()
    for stream_id in range(3, 3 * RECENT_RESETS, 2):
        roomy.send(headers(stream_id))
    assert len(roomy.connection._we_reset) == RECENT_RESETS


def test_streams_above_the_limit() -> None:
    peer = Peer(limits=Http2Limits(nuisance_burst=BURST, nuisances_per_s=PER_S, most_streams=1))
    peer.send(headers(1))
    lines = peer.send(*[headers(ODD[number]) for number in range(BURST)])
    assert [line.split(": ")[1] for line in lines] == ["REFUSED_STREAM"] * BURST
    assert peer.send(headers(ODD[BURST]))[-1].endswith(CALM)


def test_ordinary_streams_that_end_by_reset_are_no_nuisance() -> None:
    """That is how Envoy ends each of them."""
    peer = Peer(limits=LIMITS)
    for number in range(4 * BURST):
        assert len(peer.send(headers(ODD[number]), data(ODD[number], X), rst(ODD[number]))) == 2
    assert peer.is_served


def test_windows_may_be_opened_ten_times_for_each_frame() -> None:
    peer = ready()
    for _ in range(4 * BURST):
        peer.send(data(1, X), *[window_update(0, 1) for _ in range(10)])
    assert peer.is_served
    peer.send(*[window_update(0, 1) for _ in range(BURST)])
    assert peer.is_served
    assert peer.send(window_update(0, 1))[-1].endswith(CALM)


def test_a_change_of_many_windows_costs_as_much_as_many_frames() -> None:
    peer = Peer(limits=Http2Limits(nuisance_burst=BURST, nuisances_per_s=PER_S))
    peer.send(*[headers(stream_id) for stream_id in range(1, 2_001, 2)])
    change = [settings({INITIAL_WINDOW_SIZE: 60_000 + number}) for number in range(6)]
    assert peer.send(*change[:4]) == ["SETTINGS ACK"] * 4
    assert peer.send(change[4])[-1].endswith(CALM), "11 each"


def test_one_frame_of_settings_changes_windows_once() -> None:
    """Two thousand values in one frame, with a stream that would send something after each of them."""
    peer = Peer(lambda handler, _: handler.stream.send(bytes(10_000)))
    peer.send(settings({INITIAL_WINDOW_SIZE: 0}), headers(1), data(1, X))
    values = b"".join(b"\0\x04" + size.to_bytes(4, "big") for size in range(1, 2_001))
    assert peer.send(raw(4, 0, 0, values)) == ["SETTINGS ACK", "DATA 1: 2000 bytes"]


# -- headers -----------------------------------------------------------------------------------------------------------


def test_a_block_that_goes_on_and_on() -> None:
    for part, most in ((b"", 64), (b"\0", 64), (bytes(1_000), 17)):
        peer = Peer()
        peer.send(begun(1, part))
        sent = 1
        while peer.is_served and sent < 1_000:
            last = peer.send(continuation(1, part, last=False))
            sent += 1
        assert last[-1].endswith(CALM)
        assert sent <= most + 1


def test_a_block_of_just_the_allowed_size_and_parts() -> None:
    long = block(changed(x_long="~" * 9_400))
    assert 16_384 > len(long) > 15_000
    parts = [long[at : at + 255] for at in range(0, len(long), 255)]
    assert len(parts) <= 64
    peer = Peer()
    peer.send(begun(1, parts[0]), *[continuation(1, part, last=False) for part in parts[1:]], continuation(1, b""))
    assert peer.send(data(1, X)) == [head(), "DATA 1: 6 bytes"]


def test_headers_that_are_too_long_are_refused_before_they_have_come() -> None:
    assert Peer().send(raw(1, 4, 1, length=(16 << 10) + 1))[-1].endswith(CALM)


@pytest.mark.parametrize("name", ["x", "x" * 50])
def test_a_great_many_small_fields(name: str) -> None:
    used = sum(len(key) + len(value) + 32 for key, value in changed())
    most = ((16 << 10) - used) // (32 + len(name))
    peer = Peer()
    peer.send(headers(1, (*changed(), *[(name, "")] * most)))
    assert len(peer.handlers) == 1
    assert peer.send(headers(3, (*changed(), *[(name, "")] * (most + 1))))[-1].endswith(CALM)


def test_a_bomb_in_a_header_block() -> None:
    """Four kilobytes that each further byte repeats."""
    entry = b"\x40\x01x\x7f" + bytes([(4_000 - 127) & 0x7F | 0x80, (4_000 - 127) >> 7]) + b"v" * 4_000
    peer = Peer(greets=False)
    peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings())
    assert peer.send(raw(1, 4, 1, entry + b"\xbe" * 10_000))[-1].endswith(CALM)
