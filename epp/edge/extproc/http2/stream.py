"""One HTTP/2 stream: what it may receive, and what waits to be sent until the windows open."""

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from epp.edge.extproc.http2.wire import DATA, END_HEADERS, END_STREAM, FRAME_HEAD, HEADERS, ErrorCode, frame

if TYPE_CHECKING:
    from epp.edge.extproc.http2.connection import Http2Connection

Buffer = bytes | memoryview

_MESSAGE_FRAME: Final = Struct(">IBIBI")
"""head of a DATA frame, its length and type in one number, and in it of a gRPC message: not compressed, its length"""
_MESSAGE_HEAD: Final = Struct(">BI")
MESSAGE_HEAD_BYTES: Final = 5


class StreamReceiver(Protocol):
    """Who is told what comes on a stream. After `ended` or `reset` nothing comes."""

    def data(self, payload: Buffer) -> None:
        """A piece of the body."""

    def pieces(self, payloads: list[Buffer], size: int) -> None:
        """Several of them at once, `size` bytes together."""

    def ended(self) -> None:
        """The peer sends nothing more, but may read."""

    def reset(self) -> None:
        """The stream is gone."""


class Http2Stream:
    """Made by its connection. What is sent when `is_gone` is dropped."""

    __slots__ = (
        "_connection",
        "_send_side",
        "body_left",
        "has_data",
        "id",
        "is_gone",
        "is_paused",
        "is_remote_closed",
        "queue",
        "queued_since",
        "receive_window",
        "receiver",
        "send_window",
        "trailers",
        "wanted_bytes",
    )

    def __init__(self, connection: "Http2Connection", stream_id: int, receive_window: int) -> None:
        self._connection = connection
        self._send_side = connection.send_side
        self.id = stream_id
        self.send_window = connection.send_side.stream_window
        self.receive_window = receive_window
        """bytes that the peer may still send"""
        self.receiver: StreamReceiver
        self.is_remote_closed = False
        self.is_gone = False
        """both sides are done, or it was reset"""
        self.has_data = False
        """something came"""
        self.is_paused = False
        self.wanted_bytes = 0
        """rest of a message whose length is known"""
        self.body_left: int | None = None
        """bytes of the declared content-length that have not come; None without one"""
        self.queue: deque[Buffer] = deque()
        """what the windows have no room for"""
        self.queued_since = 0.0
        self.trailers: bytes | None = None
        """block that ends the stream when the queue is empty"""

    def send_headers(self, block: bytes) -> None:
        """The head of the response."""
        if not self.is_gone:
            self._send_side.out.append(frame(HEADERS, END_HEADERS, self.id, block))

    def send_message(self, message: bytes, rest: Buffer) -> None:
        """One gRPC message, `message` and `rest`, in as few DATA frames as possible."""
        if self.is_gone:
            return
        side = self._send_side
        size = len(message) + len(rest)
        framed = size + MESSAGE_HEAD_BYTES
        if framed <= self.send_window and framed <= side.window and framed <= side.frame_bytes and not self.queue:
            self.send_window -= framed
            side.window -= framed
            side.updates_due += side.updates_per_frame
            side.out.append(_MESSAGE_FRAME.pack(framed << 8 | DATA, 0, self.id, 0, size) + message)
            if rest:
                side.out.append(rest)
        else:
            self.queue.append(_MESSAGE_HEAD.pack(0, size) + message)
            if rest:
                self.queue.append(rest)
            side.wait(self, framed, self._connection.now)
        if not self._connection.is_receiving:
            self._connection.sent()

    def end(self, trailers: bytes) -> None:
        """Ends the stream with this header block once everything is sent."""
        if self.is_gone:
            return
        self.trailers = trailers
        if not self.queue:
            self.finish()
        self._connection.sent()

    def finish(self) -> None:
        """Sends the block that ends the stream, and tells a peer that has not ended its side not to go on."""
        self._send_side.out.append(frame(HEADERS, END_HEADERS | END_STREAM, self.id, self.trailers or b""))
        if self.is_remote_closed:
            self._connection.gone(self)
        else:
            self._connection.reset(self, ErrorCode.NO_ERROR)

    def queue_emptied(self) -> None:
        """The windows had room for the last of it."""
        if self.trailers is not None:
            self.finish()
        else:
            self._connection.receive_side.grant(self)

    def expect(self, wanted_bytes: int) -> None:
        """The peer is about to send this much: it gets room for it, unless reading is paused."""
        self.wanted_bytes = wanted_bytes
        self._connection.receive_side.grant(self)

    def hold(self, held_bytes: int) -> None:
        """So much more, or less, of what came is kept until somebody reads on."""
        self._connection.hold(held_bytes)

    def pause(self) -> None:
        """The peer gets no more room."""
        self.is_paused = True

    def resume(self) -> None:
        """The peer gets room again."""
        if self.is_paused:
            self.is_paused = False
            self._connection.receive_side.grant(self)
            self._connection.sent()

    def take_frame(self, most_bytes: int) -> list[Buffer]:
        """The next DATA frame of the queue, of at most `most_bytes`."""
        parts: list[Buffer] = [b""]
        size = 0
        while self.queue and size < most_bytes:
            part = self.queue[0]
            room = most_bytes - size
            if len(part) <= room:
                self.queue.popleft()
            else:
                view = memoryview(part)
                part, self.queue[0] = view[:room], view[room:]
            parts.append(part)
            size += len(part)
        parts[0] = FRAME_HEAD.pack(size >> 8, size & 0xFF, DATA, 0, self.id)
        return parts
