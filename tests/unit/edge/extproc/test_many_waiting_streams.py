"""Streams that come faster than a busy picker takes them wait; none is refused, or it would bypass the picker."""

import asyncio
import socket
from collections import Counter

import hpack
import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from epp.edge.extproc.grpc_transport import GrpcTransport
from epp.edge.extproc.http2.wire import FRAME_HEAD_BYTES, PREFACE
from epp.edge.extproc.transport import PROCESS
from tests.unit.edge.extproc.scripted_handler import Handler, serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]
STREAMS = 4_000
"""more than gRPC lets wait by default, 1,000 for certain and at most 3,000"""
REQUEST = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", PROCESS),
    (":authority", "picker"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
PATIENCE_S = 30.0
WINDOW_BYTES = (1 << 31) - 1 - 65_535


class BlockingClient:
    """Speaks HTTP/2 on a blocking socket: while it does, the event loop of the test stands still."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._received = b""
        self.ended: Counter[str] = Counter()
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0
        window = WindowUpdateFrame(0, window_increment=WINDOW_BYTES)
        self._socket.sendall(PREFACE + SettingsFrame(0).serialize() + window.serialize())

    def close(self) -> None:
        self._socket.close()

    def begin(self, count: int) -> None:
        """Streams without a message whose sending side is over."""
        head = self._encoder.encode(REQUEST)
        frames = []
        for number in range(count):
            headers = HeadersFrame(2 * number + 1, head, flags={"END_HEADERS"})
            frames += [headers.serialize(), DataFrame(2 * number + 1, b"", flags={"END_STREAM"}).serialize()]
        self._socket.sendall(b"".join(frames))

    def until_seen(self) -> None:
        """Waits until the server has read all that was sent."""
        self._socket.sendall(PingFrame(0, b"all seen").serialize())
        while not any(isinstance(frame, PingFrame) and "ACK" in frame.flags for frame in self._frames()):
            pass

    def until_ended(self, count: int) -> None:
        """Waits until so many streams have come to an end, and counts how."""
        while self.ended.total() < count:
            self._frames()

    def _note(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame) and "END_STREAM" in frame.flags:
            self.ended["answered"] += 1
        elif isinstance(frame, RstStreamFrame) and frame.error_code:
            self.ended[f"reset with {frame.error_code}"] += 1

    def _frames(self) -> list[Frame]:
        self._received += self._socket.recv(1 << 16)
        frames = []
        while len(self._received) >= FRAME_HEAD_BYTES:
            frame, length = Frame.parse_frame_header(memoryview(self._received[:FRAME_HEAD_BYTES]))
            end = FRAME_HEAD_BYTES + length
            if len(self._received) < end:
                break
            frame.parse_body(memoryview(self._received[FRAME_HEAD_BYTES:end]))
            self._received = self._received[end:]
            frames.append(frame)
            self._note(frame)
        return frames


async def test_thousands_of_streams_wait_for_a_busy_picker() -> None:
    """gRPC reads in threads of its own and keeps what nobody has asked for yet: with a limit that must not be met."""

    def nothing(_handler: Handler, _message: bytes) -> None:
        raise AssertionError("no stream has a message")

    async with serving(nothing, "grpcio") as (transport, _):
        assert isinstance(transport.served, GrpcTransport)
        client = BlockingClient(transport.port)
        try:
            client.begin(STREAMS)
            client.until_seen()
            await asyncio.to_thread(client.until_ended, STREAMS)
        finally:
            client.close()
        assert client.ended == {"answered": STREAMS}
        assert len(transport.handlers) == STREAMS
