"""A small ext_proc client that costs little: HTTP/2 frames put together beforehand, many streams, closed loop.

It speaks as Envoy does with buffered bodies: headers, body, response headers, reset. It does not wait for the answer
to the headers before it sends the body, so that a request is two exchanges.
"""

import asyncio
import struct
from collections.abc import Callable

import hpack

from epp._pb.ext_proc_pb2 import ProcessingResponse

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_HEADERS = 4
ACK = 1
LARGEST_FRAME_BYTES = 16_384
LARGE_WINDOW = (1 << 31) - 1 - 65_535
LARGEST_STREAM_WINDOW = (1 << 31) - 1
INITIAL_WINDOW_SIZE = 4
NO_ERROR = struct.pack(">I", 0)
ANSWERS_BEFORE_RESPONSE = 2
METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", METHOD),
    (":authority", "epp"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)


class Conversation:
    """The messages of one request, in gRPC framing."""

    def __init__(self, headers: bytes, body: bytes, response: bytes) -> None:
        self.request = _grpc(headers) + _grpc(body)
        self.response = _grpc(response)


class Connection:
    """One connection with so many streams under way all the time; `refused` tells what went wrong."""

    def __init__(self, streams: int, next_conversation: Callable[[], Conversation]) -> None:
        self.finished = 0
        self.refused = ""
        self._streams = streams
        self._next = next_conversation
        self._answers: dict[int, tuple[int, Conversation]] = {}
        self._next_id = 1
        self._writer: asyncio.StreamWriter
        self._encoder = hpack.Encoder()
        self._encoder.header_table_size = 0  # as the picker asks for

    async def run(self, port: int) -> None:
        """Sends until it is cancelled; raises ConnectionError when the picker goes away."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        window = struct.pack(">HI", INITIAL_WINDOW_SIZE, LARGEST_STREAM_WINDOW)
        self._writer.write(PREFACE + frame(SETTINGS, 0, 0, window))
        self._writer.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGE_WINDOW)))
        try:
            for _ in range(self._streams):
                self._begin()
            while not self.refused:
                head = await reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                payload = await reader.readexactly(length) if length else b""
                self._take(head[3], head[4], int.from_bytes(head[5:], "big"), payload)
        finally:
            self._writer.close()

    def _begin(self) -> None:
        stream, self._next_id = self._next_id, self._next_id + 2
        conversation = self._next()
        self._answers[stream] = 0, conversation
        parts = [frame(HEADERS, END_HEADERS, stream, self._encoder.encode(CALL, huffman=False))]
        request = conversation.request
        pieces = range(0, len(request), LARGEST_FRAME_BYTES)
        parts += [frame(DATA, 0, stream, request[at : at + LARGEST_FRAME_BYTES]) for at in pieces]
        self._writer.write(b"".join(parts))

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._writer.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.refused = f"the picker leaves: {payload!r}"
        elif kind == RST_STREAM and stream in self._answers:
            self.refused = f"stream {stream} was reset"
        elif kind == DATA and stream in self._answers:
            self._answered(stream, payload)

    def _answered(self, stream: int, payload: bytes) -> None:
        """Answers are short: each message comes in one frame, or several messages in one."""
        answers, conversation = self._answers[stream]
        at = 0
        while at < len(payload):
            length = int.from_bytes(payload[at + 1 : at + 5], "big")
            answers += 1
            if b"x-llm-d-request-dropped-reason" in payload[at : at + 5 + length]:
                self.refused = str(ProcessingResponse.FromString(payload[at + 5 : at + 5 + length]))
            at += 5 + length
        self._answers[stream] = answers, conversation
        if answers == ANSWERS_BEFORE_RESPONSE:
            self._writer.write(frame(DATA, 0, stream, conversation.response))
        elif answers > ANSWERS_BEFORE_RESPONSE:
            del self._answers[stream]
            self.finished += 1
            self._writer.write(frame(RST_STREAM, 0, stream, NO_ERROR))
            self._begin()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _grpc(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message
