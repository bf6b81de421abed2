"""gRPC messages in DATA: several in one frame, one over many, cut anywhere; what is kept until they are whole."""

import itertools
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.edge.extproc.http2.frame_reader import COPIED_BYTES
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.transport import Message, ServerStream
from tests.unit.edge.extproc.http2.frames import data, headers, message, padded, raw
from tests.unit.edge.extproc.http2.peer import Peer, ended
from tests.unit.edge.extproc.scripted_handler import MIB, Handler, echo

CONTENTS = [b"", b"a", b"", b"bc" * 200, b"d" * 5_000, b"", b"e" * 70_000, b"f"]
BODY = b"".join(map(message, CONTENTS))


def ignore(handler: Handler, content: bytes) -> None:
    pass


def test_several_messages_in_one_frame() -> None:
    peer = Peer()
    lines = peer.send(headers(1), data(1, message(b"a") + message(b"") + message(b"b"), end=True))
    assert lines[1:] == ["DATA 1: 6 bytes", "DATA 1: 5 bytes", "DATA 1: 6 bytes", ended()]
    assert peer.handler.announced == [], "what comes in one piece is not announced"


def test_one_message_over_many_frames_is_announced_once() -> None:
    peer = Peer()
    peer.send(headers(1), *[data(1, bytes([byte])) for byte in message(b"x" * 300)])
    assert peer.messages(1) == [b"x" * 300]
    assert peer.handler.announced == [300]


def test_empty_messages() -> None:
    peer = Peer()
    assert peer.send(headers(1), data(1, message(b"") * 3)).count("DATA 1: 5 bytes") == 3
    peer.send(data(1, b"\0\0"), data(1, b"\0\0"), data(1, b"\0"))
    assert peer.handler.received == [b""] * 4


@settings(max_examples=40)
@given(st.lists(st.integers(0, len(BODY)), max_size=12), st.booleans(), st.integers(1, 60_000))
def test_messages_may_be_cut_anywhere(cuts: list[int], with_padding: bool, read_bytes: int) -> None:
    """Into frames, and the frames into what is read at once."""
    places = sorted({0, *cuts, len(BODY)})
    parts = [BODY[start:stop] for start, stop in itertools.pairwise(places)]
    frames = [padded(1, part, 3) if with_padding else data(1, part) for part in parts]
    stream = b"".join([headers(1), *frames, data(1, end=True)])
    peer = Peer(ignore)
    lines = peer.send_each(*[stream[at : at + read_bytes] for at in range(0, len(stream), read_bytes)])
    assert peer.handler.received == CONTENTS
    assert lines[-1].startswith("HEADERS 1 END")
    assert "grpc-status=0" in lines[-1]


@pytest.mark.parametrize("part", [1, 4, 5, 6, 104])
def test_a_client_that_ends_in_the_middle_of_a_message(part: int) -> None:
    peer = Peer()
    lines = peer.send(headers(1), data(1, message(b"whole") + message(bytes(100))[:part], end=True))
    assert lines[-1] == "HEADERS 1 END: grpc-status=13 grpc-message=the last message is not whole"
    assert peer.handler.received == [b"whole"]
    assert peer.handler.closed_times == 1


def test_a_client_that_resets_in_the_middle_of_a_message() -> None:
    peer = Peer()
    peer.send(headers(1), data(1, message(bytes(100))[:50]), raw(3, 0, 1, b"\0\0\0\x08"))
    assert (peer.handler.received, peer.handler.closed_times) == ([], 1)


# -- memory ------------------------------------------------------------------------------------------------------------


class Keeping(Handler):
    """Keeps messages as they come."""

    def __init__(self, stream: ServerStream) -> None:
        super().__init__(stream, echo)
        self.kept: list[Message] = []

    def message_received(self, content: Message) -> None:
        self.kept.append(content)


def kept(size: int, read_bytes: int) -> Message:
    """A message of this size that came with so much else in one piece."""
    peer = Peer(make_handler=Keeping)
    rest = b"".join(raw(0x99, 0, 1, bytes(10_000)) for _ in range((read_bytes - size) // 10_000))
    peer.send(headers(1), data(1, message(bytes(size))[: size + 5]), rest)
    (only,) = peer.handler.kept  # type: ignore[attr-defined]
    assert bytes(only) == bytes(size)
    return only  # type: ignore[no-any-return]


@pytest.mark.parametrize(("size", "read_bytes"), [(100, 200), (4_000, 200_000), (9_000, 200_000), (15_000, 260_000)])
def test_a_message_does_not_keep_alive_much_more_than_itself(size: int, read_bytes: int) -> None:
    shown = kept(size, read_bytes)
    alive = sys.getsizeof(shown.obj) if isinstance(shown, memoryview) else sys.getsizeof(shown)
    assert alive < max(COPIED_BYTES + 100, 18 * size)


def test_a_large_message_is_shown_and_not_copied() -> None:
    assert isinstance(kept(16_000, 30_000), memoryview)


def test_a_long_message_is_put_together_once_and_does_not_stay_because_of_what_follows() -> None:
    peer = Peer(make_handler=Keeping)
    body = message(bytes(200_000)) + message(b"short") + message(b"a" * 50)[:20]
    peer.send(headers(1), *[data(1, body[at : at + 16_000]) for at in range(0, len(body), 16_000)])
    long, short = peer.handler.kept  # type: ignore[attr-defined]
    assert isinstance(long, memoryview), "a slice would have been a second copy"
    assert (bytes(long), short) == (bytes(200_000), b"short")
    assert isinstance(short, bytes)
    assert peer.connection.streams[1].receiver._parts == [message(b"a" * 50)[:20]]  # type: ignore[attr-defined]
    assert isinstance(peer.connection.streams[1].receiver._parts[0], bytes)  # type: ignore[attr-defined]


def held_by(frames: list[bytes], peer: Peer) -> int:
    """Memory that is taken by what these frames leave behind, in bytes."""
    tracemalloc.start()
    try:
        for frame in frames:
            peer.send(frame)
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("piece", [2, 900])
def test_a_message_in_tiny_pieces_takes_no_more_room_than_another(piece: int, is_paused: bool) -> None:
    """A piece of two bytes costs 35 and its place in a list; so they are joined from time to time."""
    size = 12_000 if piece == 2 else 240_000
    body = message(bytes(range(250)) * (size // 250 + 1))[:size]
    frames = [data(1, body[at : at + piece]) for at in range(0, size, piece)]
    peer = Peer(ignore)
    peer.send(headers(1))
    if is_paused:
        peer.handler.stream.pause_reading()
    assert held_by(frames, peer) < size * 1.1 + 25_000
    peer.handler.stream.resume_reading()
    peer.send(data(1, message(bytes(range(250)) * (size // 250 + 1))[size:]))
    assert peer.handler.received == [bytes(range(250)) * (size // 250 + 1)]


@pytest.mark.parametrize("count", [3, 300])
def test_large_pieces_are_not_joined_before_the_message_is_whole(count: int) -> None:
    peer = Peer(ignore, limits=Http2Limits(stream_window_bytes=8 * MIB), most_message_bytes=8 * MIB)
    body = message(bytes(16_384 * count))
    peer.send(headers(1))
    for at in range(0, 16_384 * (count - 1), 16_384):
        peer.send(data(1, body[at : at + 16_384]))
    assert len(peer.connection.streams[1].receiver._parts) == count - 1  # type: ignore[attr-defined]
    peer.send(data(1, body[16_384 * (count - 1) :][:16_384]), data(1, body[16_384 * count :]))
    assert peer.handler.received == [bytes(16_384 * count)]


@pytest.mark.parametrize("cut", [3, 16_389, 65_535, 65_541, 70_010, 140_015])
def test_messages_may_meet_within_a_frame(cut: int) -> None:
    """Long ones, short ones and empty ones, cut into two wherever."""
    peer = Peer(ignore, limits=Http2Limits(stream_window_bytes=8 * MIB))
    contents = [b"a" * 70_000, b"b" * 70_000, b"", b"c", b"d" * 65_536]
    body = b"".join(map(message, contents))
    peer.send(headers(1), data(1, body[:cut]), data(1, body[cut:]))
    assert peer.handler.received == contents


def test_a_long_message_that_is_not_whole_at_the_end_fails() -> None:
    peer = Peer(ignore)
    lines = peer.send(headers(1), data(1, message(bytes(100_000))[:90_000], end=True))
    assert "the last message is not whole" in lines[-1]


def test_a_frame_that_never_becomes_whole_is_kept_once() -> None:
    """HEADERS in pieces of one byte."""
    peer = Peer()
    frame = raw(1, 4, 1, bytes(16_000))
    assert held_by([frame[at : at + 1] for at in range(15_000)], peer) < 40_000
    assert peer.send(frame[15_000:]) == ["GOAWAY 0: ENHANCE_YOUR_CALM"], "too many fields"


def test_what_nobody_wants_is_not_kept() -> None:
    peer = Peer()
    peer.send(headers(1))
    unknown = raw(0x77, 0, 1, bytes(900_000))
    assert held_by([unknown[at : at + 9_000] for at in range(0, len(unknown), 9_000)], peer) < 30_000
    peer.send(padded(1, b"", 200)[:150])
    assert peer.send(padded(1, b"", 200)[150:]) == []
    assert peer.send(data(3)) == ["GOAWAY 1: PROTOCOL_ERROR"]
