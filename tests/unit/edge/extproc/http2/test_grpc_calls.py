"""gRPC calls over HTTP/2 (gRPC's PROTOCOL-HTTP2.md): which are served, statuses, faults of handlers."""

import pytest

from epp.edge.extproc.http2.wire import ErrorCode
from epp.edge.extproc.transport import GrpcStatus, ServerStream
from tests.unit.edge.extproc.http2.frames import GRPC, Fields, changed, data, headers, message, rst
from tests.unit.edge.extproc.http2.peer import Peer, ended, failed, head, reset
from tests.unit.edge.extproc.scripted_handler import Behaviour, Handler, echo

X = data(1, message(b"x"))
END_X = data(1, message(b"x"), end=True)
DONE = reset(1, ErrorCode.NO_ERROR)
"""after the answer: what the client still has to say does not matter"""
OURS = "fault of the server; see its log"


@pytest.mark.parametrize(
    "fields",
    [
        GRPC,
        changed(content_type="application/grpc+proto"),
        changed(content_type="application/grpc+json"),
        changed(content_type="application/grpc; charset=utf-8"),
        changed(grpc_encoding="identity"),
        changed(grpc_accept_encoding="gzip,deflate"),
        changed(te=None),
    ],
    ids=range(7),
)
def test_calls_that_are_served(fields: Fields) -> None:
    assert Peer().send(headers(1, fields), END_X) == [head(), "DATA 1: 6 bytes", ended()]


@pytest.mark.parametrize(
    "fields",
    [
        changed(content_type=None),
        changed(content_type="application/json"),
        changed(content_type="application/grpc-web+proto"),
        changed(content_type="application/grpcx"),
        changed(_method="GET"),
        changed(_method="PUT"),
    ],
    ids=["none", "json", "web", "longer", "GET", "PUT"],
)
def test_what_is_no_grpc_gets_415(fields: Fields) -> None:
    peer = Peer()
    assert peer.send(headers(1, fields), X) == ["HEADERS 1 END: :status=415", DONE]
    assert peer.handlers == []
    assert peer.send(headers(3, fields, end=True)) == ["HEADERS 3 END: :status=415"]


@pytest.mark.parametrize("path", ["/", "/a/b", "/envoy.service.ext_proc.v3.ExternalProcessor/process", "*"])
def test_methods_that_nobody_knows(path: str) -> None:
    assert Peer().send(headers(1, changed(_path=path)), END_X) == [failed(1, 12, f"no method {path}"), DONE]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x"])
def test_compression_is_refused_and_the_client_told_what_is_taken(encoding: str) -> None:
    line, _ = Peer().send(headers(1, changed(grpc_encoding=encoding)), END_X)
    assert line == failed(1, 12, f"messages cannot be compressed with {encoding}") + " grpc-accept-encoding=identity"


@pytest.mark.parametrize("flag", [1, 2, 255])
def test_a_compressed_message(flag: int) -> None:
    peer = Peer()
    body = message(b"good") + message(b"bad", compressed=flag) + message(b"late")
    assert peer.send(headers(1), data(1, body)) == [
        head(),
        "DATA 1: 9 bytes",
        "HEADERS 1 END: grpc-status=12 grpc-message=messages cannot be compressed",
        DONE,
    ]
    assert peer.handler.received == [b"good"]
    assert peer.handler.closed_times == 1


def test_a_message_above_the_limit_is_refused_as_soon_as_its_length_is_known() -> None:
    peer = Peer(most_message_bytes=1_000)
    assert peer.send(headers(1), data(1, message(bytes(1_001))[:4])) == []
    assert peer.send(data(1, message(bytes(1_001))[4:5])) == [
        failed(1, 8, "a message of 1001 bytes; at most 1000 are taken"),
        DONE,
    ]
    assert peer.handler.announced == []
    assert peer.send(headers(3), data(3, message(bytes(1_000)), end=True)) == [head(3), "DATA 3: 1005 bytes", ended(3)]


@pytest.mark.parametrize(
    ("detail", "encoded"),
    [
        ("plain text, 100 %", "plain text, 100 %25"),
        ("ümläut €", "%C3%BCml%C3%A4ut %E2%82%AC"),
        ("line\nbreak\ttab\0", "line%0Abreak%09tab%00"),
        ('~tilde{brace}|"quote"\\\'', '~tilde{brace}|"quote"\\\''),
        ("lone \udc80 surrogate", "lone ? surrogate"),
        ("", ""),
        ("é" * 5_000, "%C3%A9" * 1_000),
    ],
    ids=["plain", "utf-8", "control", "punctuation", "surrogate", "empty", "long"],
)
def test_details_are_percent_encoded(detail: str, encoded: str) -> None:
    peer = Peer(lambda handler, _: handler.stream.fail(GrpcStatus.ABORTED, detail))
    assert peer.send(headers(1), END_X) == [failed(1, 10, encoded)]


@pytest.mark.parametrize("code", [code for code in GrpcStatus if code])
def test_every_status_can_end_a_stream_before_and_after_messages(code: GrpcStatus) -> None:
    def fail(handler: Handler, content: bytes) -> None:
        if content:
            handler.stream.send(content)
        handler.stream.fail(code, "why")

    assert Peer(fail).send(headers(1), data(1, message(b""), end=True)) == [failed(1, code, "why")]
    assert Peer(fail).send(headers(1), END_X) == [
        head(),
        "DATA 1: 6 bytes",
        f"HEADERS 1 END: grpc-status={int(code)} grpc-message=why",
    ]


def test_an_end_without_any_message_is_one_frame() -> None:
    assert Peer().send(headers(1, end=True)) == [failed(1, 0, "").removesuffix(" grpc-message=")]


def test_a_call_ends_once_whatever_a_handler_says_afterwards() -> None:
    def end_again_and_again(handler: Handler, _: bytes) -> None:
        handler.stream.finish()
        handler.stream.send(b"late")
        handler.stream.fail(GrpcStatus.INTERNAL, "late")
        handler.stream.finish()
        handler.stream.pause_reading()
        handler.stream.resume_reading()

    peer = Peer(end_again_and_again)
    lines = peer.send(headers(1), X, X)
    assert len(lines) == 2
    assert lines[1] == DONE
    assert peer.handler.received == [b"x"]
    peer.send(rst(1))
    peer.connection.lost()
    assert peer.handler.closed_times == 1


def test_a_handler_that_ends_its_call_while_it_is_made() -> None:
    def hasty(stream: ServerStream) -> Handler:
        stream.fail(GrpcStatus.UNAVAILABLE, "not today")
        return Handler(stream, echo)

    peer = Peer(make_handler=hasty)
    assert peer.send(headers(1), X) == [failed(1, 14, "not today"), DONE]
    assert (peer.handler.received, peer.handler.closed_times) == ([], 1)


# -- faults of ours ----------------------------------------------------------------------------------------------------


def raising(handler: Handler, content: bytes) -> None:
    raise ValueError(content)


def sending_and_raising(handler: Handler, content: bytes) -> None:
    handler.stream.send(b"before")
    raise ValueError(content)


class RaisingAt(Handler):
    """Raises where the test says."""

    place = ""

    def message_announced(self, message_bytes: int) -> None:
        self._raise_at("announced")

    def half_closed(self) -> None:
        self._raise_at("half-closed")

    def drain(self) -> None:
        self._raise_at("drain")

    def closed(self) -> None:
        super().closed()
        self._raise_at("closed")

    def _raise_at(self, place: str) -> None:
        if place == self.place:
            raise ValueError(place)


@pytest.mark.parametrize("behaviour", [raising, sending_and_raising])
def test_a_handler_that_raises_fails_its_own_call_alone(behaviour: Behaviour) -> None:
    peer = Peer(behaviour)
    peer.expects_faults = True
    lines = peer.send(headers(1), headers(3), X)
    assert f"grpc-status=13 grpc-message={OURS}" in lines[-2]
    assert lines[-1] == DONE
    assert peer.faults == ["unexpected error in a stream: b'x'"]
    assert [handler.closed_times for handler in peer.handlers] == [1, 0]
    assert peer.send(data(3, end=True)) == ["HEADERS 3 END: :status=200 content-type=application/grpc grpc-status=0"]


@pytest.mark.parametrize("place", ["announced", "half-closed", "drain"])
def test_handlers_may_raise_anywhere(place: str) -> None:
    peer = Peer(make_handler=lambda stream: RaisingAt(stream, echo))
    peer.expects_faults = True
    peer.send(headers(1), X)
    peer.handlers[0].place = place  # type: ignore[attr-defined]
    if place == "drain":
        peer.connection.streams[1].receiver.drain()  # type: ignore[attr-defined]
        lines = peer.answers()
    else:
        lines = peer.send(data(1, message(b"long")[:7]) if place == "announced" else data(1, end=True))
    assert lines[0] == f"HEADERS 1 END: grpc-status=13 grpc-message={OURS}"
    assert peer.faults == [f"unexpected error in a stream: {place}"]
    assert peer.handler.closed_times == 1


def test_a_handler_may_raise_when_it_is_told_of_the_end() -> None:
    peer = Peer(make_handler=lambda stream: RaisingAt(stream, echo))
    peer.expects_faults = True
    peer.send(headers(1), headers(3))
    peer.handlers[0].place = "closed"  # type: ignore[attr-defined]
    assert peer.send(rst(1), data(3, message(b"x"))) == [head(3), "DATA 3: 6 bytes"]
    assert peer.faults == ["unexpected error at the end of a stream: closed"]


def test_a_handler_that_cannot_be_made_fails_its_own_call_alone() -> None:
    made = [RuntimeError("no handler"), None]

    def make(stream: ServerStream) -> Handler:
        if (error := made.pop(0)) is not None:
            raise error
        return Handler(stream, echo)

    peer = Peer(make_handler=make)
    peer.expects_faults = True
    assert peer.send(headers(1), X) == [failed(1, 13, OURS), DONE]
    assert peer.faults == ["unexpected error at the beginning of a stream: no handler"]
    assert peer.send(headers(3), data(3, message(b"x"))) == [head(3), "DATA 3: 6 bytes"]
