"""gRPC over one HTTP/2 stream: messages, statuses, trailers (gRPC's PROTOCOL-HTTP2.md)."""

import string
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec

from epp.edge.extproc.http2.header_blocks import RequestHead
from epp.edge.extproc.http2.stream import MESSAGE_HEAD_BYTES, Buffer, Http2Stream, StreamReceiver
from epp.edge.extproc.transport import GrpcStatus, HandlerFactory, Message, StreamHandler

Fault = Callable[[str, str, BaseException], None]
"""event, request id, error: something of ours failed"""


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that nobody has to remember (RFC 7541 6.2.2), without Huffman coding."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    """RFC 7541 5.1 and 5.2."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, size = len(text) - 127, bytearray([127])
    while rest >= 128:
        size.append(rest % 128 + 128)
        rest //= 128
    return bytes(size) + bytes([rest]) + text


STATUS_200 = b"\x88"
"""index of `:status: 200` in the static table (RFC 7541 appendix A)"""
STATUS_415 = b"\x08\x03415"
"""name of index 8, literal value"""
RESPONSE_HEAD = STATUS_200 + literal(b"content-type", b"application/grpc")
TRAILERS_OK = literal(b"grpc-status", b"0")
ACCEPTED_ENCODINGS = literal(b"grpc-accept-encoding", b"identity")
PLAIN_CHARACTERS = " " + string.punctuation.replace("%", "")
"""of `grpc-message`, beside letters and digits"""
LONGEST_DETAIL = 1_000
"""characters of an error's text; it has to fit into a header list"""


class GrpcService(msgspec.Struct, frozen=True):
    """What a server serves."""

    methods: Mapping[str, HandlerFactory]
    """by path"""
    most_message_bytes: int
    on_fault: Fault
    later: Callable[[Callable[[], None]], object]
    """runs something when the present work is done"""

    def accept(self, stream: Http2Stream, head: RequestHead) -> StreamReceiver:
        """The receiver of a request; one that cannot be served is answered at once."""
        factory = self.methods.get(head.path)
        if head.method == "POST" and head.content_type.startswith("application/grpc"):
            if factory is None:
                _refuse(stream, GrpcStatus.UNIMPLEMENTED, f"no method {head.path}")
            elif head.message_encoding not in ("", "identity"):
                text = f"messages cannot be compressed with {head.message_encoding}"
                _refuse(stream, GrpcStatus.UNIMPLEMENTED, text, ACCEPTED_ENCODINGS)
            else:
                return GrpcStream(self, stream, head.path, factory)
        else:
            stream.end(STATUS_415)
        return NOBODY


class _Nobody:
    """Of a request that is answered already."""

    def data(self, payload: Buffer) -> None:
        """Nothing."""

    def ended(self) -> None:
        """Nothing."""

    def reset(self) -> None:
        """Nothing."""


NOBODY = _Nobody()


def _refuse(stream: Http2Stream, code: GrpcStatus, detail: str, further: bytes = b"") -> None:
    stream.end(RESPONSE_HEAD + _status(code, detail) + further)


def _status(code: GrpcStatus, detail: str) -> bytes:
    message = quote(detail[:LONGEST_DETAIL], safe=PLAIN_CHARACTERS)
    return literal(b"grpc-status", str(int(code)).encode()) + literal(b"grpc-message", message.encode())


class GrpcStream:
    """ServerStream and StreamReceiver of one call."""

    __slots__ = (
        "_handler",
        "_has_ended",
        "_has_head",
        "_held",
        "_is_over",
        "_is_paused",
        "_missing",
        "_parts",
        "_service",
        "_stream",
        "path",
    )

    def __init__(self, service: GrpcService, stream: Http2Stream, path: str, factory: HandlerFactory) -> None:
        self.path = path
        self._service = service
        self._stream = stream
        self._parts: list[Buffer] = []
        """beginning of a message, with its head"""
        self._missing = 0
        """bytes until it is whole; until its length is known where there are less than MESSAGE_HEAD_BYTES"""
        self._has_head = False
        self._is_over = False
        self._is_paused = False
        self._held: deque[Buffer] = deque()
        """what came while reading was paused; at most a window"""
        self._has_ended = False
        """the client has said everything"""
        self._handler: StreamHandler = factory(self)

    # -- ServerStream --------------------------------------------------------------------------------------------

    def send(self, message: bytes, rest: Message = b"") -> None:
        """See ServerStream."""
        if self._is_over:
            return
        if not self._has_head:
            self._has_head = True
            self._stream.send_headers(RESPONSE_HEAD)
        self._stream.send_message(message, rest)

    def finish(self) -> None:
        """See ServerStream."""
        if not self._is_over:
            self._end(TRAILERS_OK)

    def fail(self, code: GrpcStatus, detail: str) -> None:
        """See ServerStream."""
        if not self._is_over:
            self._end(_status(code, detail))

    def pause_reading(self) -> None:
        """See ServerStream."""
        self._is_paused = True
        self._stream.pause()

    def resume_reading(self) -> None:
        """See ServerStream."""
        self._is_paused = False
        while self._held and not self._is_paused:
            self.data(self._held.popleft())
        if not self._is_paused:
            if self._has_ended:
                self.ended()
            self._stream.resume()

    def drain(self) -> None:
        """The server is stopping."""
        if not self._is_over:
            try:
                self._handler.drain()
            except Exception as error:  # noqa: BLE001  one stream must not keep the others from ending
                self._failed(error)

    # -- StreamReceiver ------------------------------------------------------------------------------------------

    def data(self, payload: Buffer) -> None:
        """Messages of up to the whole payload are handed on as they are."""
        if self._is_over:
            return
        if self._is_paused:
            self._held.append(payload)
            return
        if self._parts:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing > 0:
                return
            payload = b"".join(self._parts)
            self._parts.clear()
        self._messages(payload)

    def ended(self) -> None:
        """The client has said everything."""
        self._has_ended = True
        if self._is_over or self._is_paused:
            return
        if self._parts:
            self.fail(GrpcStatus.INTERNAL, "the last message is not whole")
            return
        try:
            self._handler.half_closed()
        except Exception as error:  # noqa: BLE001  one stream must not end the others of its connection
            self._failed(error)

    def reset(self) -> None:
        """The stream is gone."""
        if not self._is_over:
            self._is_over = True
            self._forget()
            self._tell_closed()

    # ------------------------------------------------------------------------------------------------------------

    def _messages(self, data: Buffer) -> None:
        at, end = 0, len(data)
        while end - at >= MESSAGE_HEAD_BYTES:
            size = int.from_bytes(data[at + 1 : at + MESSAGE_HEAD_BYTES], "big")
            if data[at]:
                self.fail(GrpcStatus.UNIMPLEMENTED, "messages cannot be compressed")
                return
            if size > self._service.most_message_bytes:
                text = f"a message of {size} bytes; at most {self._service.most_message_bytes} are taken"
                self.fail(GrpcStatus.RESOURCE_EXHAUSTED, text)
                return
            stop = at + MESSAGE_HEAD_BYTES + size
            if stop > end:
                self._begin(data[at:], size, stop - end)
                return
            self._received(data[at + MESSAGE_HEAD_BYTES : stop])
            at = stop
            if self._is_over:
                return
            if self._is_paused:
                if at < end:
                    self._held.appendleft(data[at:])
                return
        if at < end:
            self._parts.append(data[at:])
            self._missing = MESSAGE_HEAD_BYTES - (end - at)

    def _begin(self, part: Buffer, size: int, missing: int) -> None:
        """A message of `size` bytes has begun with `part`."""
        self._parts.append(part)
        self._missing = missing
        try:
            self._handler.message_announced(size)
        except Exception as error:  # noqa: BLE001  one stream must not end the others of its connection
            self._failed(error)
            return
        self._stream.expect(missing)

    def _received(self, message: Message) -> None:
        try:
            self._handler.message_received(message)
        except Exception as error:  # noqa: BLE001  as above
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._service.on_fault("unexpected error in a stream", "", error)
        self.fail(GrpcStatus.INTERNAL, "fault of the server; see its log")

    def _end(self, trailers: bytes) -> None:
        """The handler is told later: it is at work."""
        self._is_over = True
        self._forget()
        self._service.later(self._tell_closed)
        self._stream.end(trailers if self._has_head else RESPONSE_HEAD + trailers)

    def _forget(self) -> None:
        self._parts.clear()
        self._held.clear()

    def _tell_closed(self) -> None:
        """The last that the handler hears. Nobody refers to anybody then, so that memory is given back at once."""
        handler = self._handler
        del self._handler
        self._stream.receiver = NOBODY
        try:
            handler.closed()
        except Exception as error:  # noqa: BLE001  as above
            self._service.on_fault("unexpected error at the end of a stream", "", error)
