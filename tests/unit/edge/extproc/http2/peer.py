"""The other side of one connection, without sockets: frames in, a line for each frame that comes back, a clock.

peer = Peer(echo)
assert peer.send(headers(1), data(1, message(b"x"), end=True)) == [HEAD, "DATA 1: 6 bytes", ended(1)]
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from epp.edge.extproc.http2.connection import Http2Connection
from epp.edge.extproc.http2.grpc_stream import GrpcService
from epp.edge.extproc.http2.limits import DEFAULT_LIMITS, Http2Limits
from epp.edge.extproc.http2.wire import ErrorCode
from epp.edge.extproc.transport import PROCESS, ServerStream
from tests.unit.edge.extproc.http2.frames import PREFACE, SETTINGS_ACK, settings
from tests.unit.edge.extproc.scripted_handler import MIB, Behaviour, Handler, echo

FRAME_HEAD_BYTES = 9
CONTENT_TYPE = "content-type=application/grpc"


class Peer:
    """A client that says what the test says, and the handlers that it meets."""

    def __init__(
        self,
        behaviour: Behaviour = echo,
        *,
        limits: Http2Limits = DEFAULT_LIMITS,
        most_message_bytes: int = MIB,
        greets: bool = True,
        make_handler: Callable[[ServerStream], Handler] | None = None,
    ) -> None:
        self.now = 1000.0
        self.handlers: list[Handler] = []
        self.faults: list[str] = []
        self.expects_faults = False
        self.body: dict[int, bytearray] = defaultdict(bytearray)
        """what came in DATA, by stream"""
        self._behaviour = behaviour
        self._make_handler = make_handler or self._usual_handler
        self._later: deque[Callable[[], None]] = deque()
        self._decoder = hpack.Decoder()
        service = GrpcService({PROCESS: self._handler}, most_message_bytes, self._on_fault, self._later.append)
        self.connection = Http2Connection(limits, service.accept, self.now)
        self.greeting_bytes = b"".join(self.connection.send_side.out)
        self.greeting = self.answers()
        if greets:
            assert self.send(PREFACE, settings(), SETTINGS_ACK) == ["SETTINGS ACK"]

    def send(self, *frames: bytes) -> list[str]:
        """Says this in one piece; returns the answer."""
        self.connection.receive(b"".join(frames), self.now)
        return self.answers()

    def send_each(self, *pieces: bytes) -> list[str]:
        """Says this piece by piece."""
        return [line for piece in pieces for line in self.send(piece)]

    def answers(self) -> list[str]:
        """What the server has to say, a line for each frame."""
        while self._later:
            self._later.popleft()()
        out = b"".join(self.connection.send_side.out)
        self.connection.send_side.out = []
        return [self._line(frame) for frame in _frames(out)]

    def messages(self, stream_id: int) -> list[bytes]:
        """The whole gRPC messages that came on a stream."""
        found, at, body = [], 0, bytes(self.body[stream_id])
        while at + 5 <= len(body):
            stop = at + 5 + int.from_bytes(body[at + 1 : at + 5], "big")
            found.append(body[at + 5 : stop])
            at = stop
        assert at == len(body), "a message is not whole"
        return found

    @property
    def handler(self) -> Handler:
        """The only one."""
        (only,) = self.handlers
        return only

    @property
    def is_served(self) -> bool:
        """The connection is whole."""
        return self.connection.fault is None

    def is_done(self) -> bool:
        """The connection is to be closed."""
        return self.connection.is_done

    def is_full(self) -> bool:
        """The connection is not to be read."""
        return self.connection.is_full

    def _handler(self, stream: ServerStream) -> Handler:
        handler = self._make_handler(stream)
        self.handlers.append(handler)
        return handler

    def _usual_handler(self, stream: ServerStream) -> Handler:
        return Handler(stream, self._behaviour)

    def _on_fault(self, event: str, request_id: str, error: BaseException) -> None:
        if not self.expects_faults:
            raise AssertionError(event) from error
        self.faults.append(f"{event}: {error}")

    def _line(self, frame: Frame) -> str:
        number = frame.stream_id
        acknowledges = " ACK" if "ACK" in frame.flags else ""
        match frame:
            case DataFrame():
                self.body[number] += frame.data
                return f"DATA {number}: {len(frame.data)} bytes"
            case HeadersFrame():
                assert "END_HEADERS" in frame.flags
                fields: Any = self._decoder.decode(frame.data)
                text = " ".join(f"{name}={value}" for name, value in fields)
                return f"HEADERS {number}{' END' if 'END_STREAM' in frame.flags else ''}: {text}"
            case SettingsFrame():
                return f"SETTINGS{acknowledges}"
            case PingFrame():
                return f"PING{acknowledges}: {frame.opaque_data.decode()}"
            case GoAwayFrame():
                return f"GOAWAY {frame.last_stream_id}: {ErrorCode(frame.error_code).name}"
            case RstStreamFrame():
                return f"RST_STREAM {number}: {ErrorCode(frame.error_code).name}"
            case WindowUpdateFrame():
                return f"WINDOW_UPDATE {number}: {frame.window_increment}"
        raise AssertionError(f"a server sends no {frame}")


def head(stream_id: int = 1) -> str:
    """The beginning of an answer."""
    return f"HEADERS {stream_id}: :status=200 {CONTENT_TYPE}"


def ended(stream_id: int = 1) -> str:
    """The end of an answer: OK."""
    return f"HEADERS {stream_id} END: grpc-status=0"


def failed(stream_id: int, status: int, detail: str) -> str:
    """An answer that is nothing but an error; `detail` as it is encoded."""
    return f"HEADERS {stream_id} END: :status=200 {CONTENT_TYPE} grpc-status={status} grpc-message={detail}"


def reset(stream_id: int, code: ErrorCode) -> str:
    """RST_STREAM."""
    return f"RST_STREAM {stream_id}: {code.name}"


def gone(code: ErrorCode, last_stream_id: int = 0) -> list[str]:
    """GOAWAY and nothing else."""
    return [f"GOAWAY {last_stream_id}: {code.name}"]


def _frames(out: bytes) -> Iterator[Frame]:
    at = 0
    while at < len(out):
        frame, length = Frame.parse_frame_header(memoryview(out[at : at + FRAME_HEAD_BYTES]))
        at += FRAME_HEAD_BYTES
        frame.parse_body(memoryview(out[at : at + length]))
        at += length
        yield frame
    assert at == len(out), "a frame is not whole"
