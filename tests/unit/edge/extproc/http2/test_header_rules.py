"""Header fields of requests (RFC 9113 8.1.1, 8.2, 8.3): what makes a request malformed, and what does not."""

import pytest

from epp.edge.extproc.http2.wire import ErrorCode
from epp.edge.extproc.transport import PROCESS
from tests.unit.edge.extproc.http2.frames import GRPC, Fields, changed, data, headers, message, raw
from tests.unit.edge.extproc.http2.peer import Peer, ended, head, reset

MALFORMED = [reset(1, ErrorCode.PROTOCOL_ERROR)]
SIX = data(1, message(b"x"), end=True)


@pytest.mark.parametrize(
    "fields",
    [
        GRPC,
        changed(_authority=None),
        changed(te=None),
        changed(te="Trailers"),
        changed(content_length="6"),
        (*changed(content_length="6"), ("content-length", "6")),
        (*GRPC, ("x-empty", "")),
        (*GRPC, ("x-inner", "a b\tc")),
        (*GRPC, ("x-high", "ü")),
        (*GRPC, ("x-!#$%&'*+-.^_`|~09", "token")),
        (*GRPC, ("cookie", "a=1"), ("cookie", "b=2")),
        (*GRPC, ("grpc-timeout", "1S"), ("grpc-encoding", "identity")),
        (*GRPC, ("host", "other")),
    ],
    ids=lambda fields: f"{fields[-1][0]}={fields[-1][1]} {len(fields)}",
)
def test_good_requests(fields: Fields) -> None:
    assert Peer().send(headers(1, fields), SIX) == [head(), "DATA 1: 6 bytes", ended()]


@pytest.mark.parametrize(
    "fields",
    [
        changed(_method=None),
        changed(_scheme=None),
        changed(_path=None),
        changed(_path=""),
        (*GRPC[:4], *GRPC[:1], *GRPC[4:]),
        (*GRPC[:4], (":path", "/other"), *GRPC[4:]),
        (*GRPC[:4], (":protocol", "websocket"), *GRPC[4:]),
        (*GRPC[:4], (":status", "200"), *GRPC[4:]),
        (*GRPC[1:], GRPC[0]),
        (*GRPC[:3], GRPC[4], GRPC[3]),
        changed(_path=PROCESS + "\n"),
        changed(_authority="a\0b"),
    ],
    ids=[
        "no method",
        "no scheme",
        "no path",
        "empty path",
        "method twice",
        "path twice",
        "unknown",
        "of a response",
        "method last",
        "authority last",
        "path with a line feed",
        "authority with a zero",
    ],
)
def test_pseudo_headers(fields: Fields) -> None:
    peer = Peer()
    assert peer.send(headers(1, fields)) == MALFORMED
    assert peer.handlers == []


@pytest.mark.parametrize(
    "field",
    [
        ("Content-Type", "application/grpc"),
        ("x-Y", "1"),
        ("", "1"),
        ("x y", "1"),
        ("x\ty", "1"),
        ("x\x7f", "1"),
        ("xü", "1"),
        ("x:y", "1"),
        ("x-cr", "a\rb"),
        ("x-lf", "a\nb"),
        ("x-nul", "a\0b"),
        ("x-blank", " a"),
        ("x-blank", "a\t"),
        ("connection", "close"),
        ("proxy-connection", "close"),
        ("keep-alive", "1"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("content-length", "-1"),
        ("content-length", "+1"),
        ("content-length", "1e3"),
        ("content-length", ""),
        ("content-length", "9" * 19),
        ("content-length", "１"),
    ],
    ids=repr,
)
def test_fields(field: tuple[str, str]) -> None:
    peer = Peer()
    assert peer.send(headers(1, (*GRPC, field))) == MALFORMED
    assert peer.handlers == []
    assert peer.send(headers(3), data(3, message(b"x"))) == [head(3), "DATA 3: 6 bytes"], "the others are served"


def test_two_values_of_content_length() -> None:
    assert Peer().send(headers(1, (*changed(content_length="6"), ("content-length", "7")))) == MALFORMED


@pytest.mark.parametrize("declared", [0, 5, 7, 10**18 - 1])
def test_a_body_that_is_not_as_long_as_declared(declared: int) -> None:
    peer = Peer()
    lines = peer.send(headers(1, changed(content_length=str(declared))), SIX)
    assert lines[-1:] == MALFORMED
    assert peer.handler.closed_times == 1
    assert peer.handler.received == [], "a frame that does not fit is not looked at"


def test_a_body_may_come_in_parts_of_the_declared_length() -> None:
    peer = Peer()
    first, rest = message(b"x" * 20)[:9], message(b"x" * 20)[9:]
    assert peer.send(headers(1, changed(content_length="25")), data(1, first), data(1, rest)) == [
        head(),
        "DATA 1: 25 bytes",
    ]
    assert peer.send(data(1, end=True)) == [ended()]


def test_a_body_that_ends_with_too_little_by_an_empty_frame_or_by_trailers() -> None:
    for stream_id, last in ((1, data(1, end=True)), (3, headers(3, (("x", "y"),), end=True))):
        peer = Peer()
        peer.send(headers(stream_id, changed(content_length="25")), data(stream_id, message(b"x")))
        assert peer.send(last) == [reset(stream_id, ErrorCode.PROTOCOL_ERROR)]


def test_a_declared_body_that_never_begins() -> None:
    peer = Peer()
    assert peer.send(headers(1, changed(content_length="6"), end=True)) == MALFORMED
    assert peer.send(headers(3, changed(content_length="0"), end=True)) == [
        "HEADERS 3 END: :status=200 content-type=application/grpc grpc-status=0"
    ]


def test_a_block_without_any_field() -> None:
    assert Peer().send(raw(1, 4, 1, b"\x20")) == MALFORMED
