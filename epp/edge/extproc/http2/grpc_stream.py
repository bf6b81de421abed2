"""gRPC over one HTTP/2 stream: messages, statuses, trailers (gRPC's PROTOCOL-HTTP2.md)."""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from epp.core.domain.record import Record
from epp.edge.extproc.http2.frame_reader import COPIED_BYTES, SHOWN_SHARE_BITS
from epp.edge.extproc.http2.grpc_heads import ACCEPTED_ENCODINGS, RESPONSE_HEAD, STATUS_415, TRAILERS_OK, status
from epp.edge.extproc.http2.header_blocks import RequestHead
from epp.edge.extproc.http2.nobody import DEAF, NOBODY
from epp.edge.extproc.http2.stream import MESSAGE_HEAD_BYTES, Buffer, Http2Stream, StreamReceiver
from epp.edge.extproc.transport import GrpcStatus, HandlerFactory, Message, StreamHandler

Fault = Callable[[str, str, BaseException], None]
"""event, request id, error: something of ours failed"""


GRPC_CONTENT: Final = "application/grpc"
OUR_FAULT: Final = "fault of the server; see its log"
_MESSAGE_HEAD: Final = Struct(">BI")
"""not compressed, and the length"""
SMALL_PARTS_AT: Final = 255
"""parts of a message: whenever so many more have come, they are joined if they are small; each of them has its cost"""
SMALL_PARTS_BYTES: Final = 1 << 18


class GrpcService(Record):
    """What a server serves."""

    def __init__(
        self,
        methods: Mapping[str, HandlerFactory],
        most_message_bytes: int,
        on_fault: Fault,
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self.methods: Final = methods
        """by path"""
        self.most_message_bytes: Final = most_message_bytes
        self.on_fault: Final = on_fault
        self.later: Final = later
        """runs something when the present work is done"""

    def accept(self, stream: Http2Stream, head: RequestHead) -> StreamReceiver:
        """The receiver of a request; one that cannot be served is answered at once."""
        factory = self.methods.get(head.path)
        if head.method == "POST" and _is_grpc(head.content_type):
            if factory is None:
                _refuse(stream, GrpcStatus.UNIMPLEMENTED, f"no method {head.path}")
            elif head.message_encoding not in ("", "identity"):
                text = f"messages cannot be compressed with {head.message_encoding}"
                _refuse(stream, GrpcStatus.UNIMPLEMENTED, text, ACCEPTED_ENCODINGS)
            else:
                try:
                    return GrpcStream(self, stream, head.path, factory)
                except Exception as error:  # noqa: BLE001  one stream must not end the others of its connection
                    self.on_fault("unexpected error at the beginning of a stream", "", error)
                    _refuse(stream, GrpcStatus.INTERNAL, OUR_FAULT)
        else:
            stream.end(STATUS_415)
        return NOBODY


def _is_grpc(content_type: str) -> bool:
    """Not gRPC-Web, whose messages look otherwise."""
    return content_type == GRPC_CONTENT or content_type.startswith((GRPC_CONTENT + "+", GRPC_CONTENT + ";"))


def _join_small(parts: list[Buffer]) -> None:
    """Makes one part of the last ones, unless they are large."""
    last = parts[-SMALL_PARTS_AT:]
    if sum(map(len, last)) < SMALL_PARTS_BYTES:
        parts[-SMALL_PARTS_AT:] = [b"".join(last)]


def _rest(data: Buffer, at: int) -> Buffer:
    """What follows; copied where a view of it would keep a lot more alive."""
    rest = data[at:]
    return bytes(rest) if len(rest) << SHOWN_SHARE_BITS < len(data) else rest


def _refuse(stream: Http2Stream, code: GrpcStatus, detail: str, further: bytes = b"") -> None:
    stream.end(RESPONSE_HEAD + status(code, detail) + further)


class GrpcStream:
    """ServerStream and StreamReceiver of one call."""

    __slots__ = (
        "_handler",
        "_has_ended",
        "_has_head",
        "_held",
        "_held_bytes",
        "_is_over",
        "_is_paused",
        "_is_resuming",
        "_missing",
        "_most_bytes",
        "_parts",
        "_service",
        "_stream",
        "path",
    )

    def __init__(self, service: GrpcService, stream: Http2Stream, path: str, factory: HandlerFactory) -> None:
        self.path = path
        self._service = service
        self._most_bytes = service.most_message_bytes
        self._stream = stream
        self._parts: list[Buffer] = []
        """beginning of a message, with its head"""
        self._missing = 0
        """bytes until it is whole; until its length is known where there are less than MESSAGE_HEAD_BYTES"""
        self._has_head = False
        self._is_over = False
        self._is_paused = False
        self._is_resuming = False
        self._held: list[Buffer] = []
        """what came while reading was paused; at most a window"""
        self._held_bytes = 0
        """of it, and of the message that has begun, as long as reading is paused"""
        self._has_ended = False
        """the client has said everything, which the handler does not know yet"""
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
            self._end(status(code, detail))

    def pause_reading(self) -> None:
        """See ServerStream."""
        if not self._is_paused and not self._is_over:
            self._is_paused = True
            self._hold(sum(map(len, self._parts)) + sum(map(len, self._held)))
            self._stream.pause()

    def resume_reading(self) -> None:
        """See ServerStream."""
        if not self._is_paused or self._is_over:
            return
        self._is_paused = False
        self._hold(-self._held_bytes)
        if self._is_resuming:
            return  # further up the stack, and the handler has not read all of the present piece
        self._is_resuming = True
        while self._held and not self._is_paused:
            self.data(self._held.pop(0))
        self._is_resuming = False
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
            self._hold(len(payload))
            if not len(self._held) % SMALL_PARTS_AT:
                _join_small(self._held)
            return
        if self._parts:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing > 0:
                if not len(self._parts) % SMALL_PARTS_AT:
                    _join_small(self._parts)
                return
            payload = self._joined()
        size = len(payload) - MESSAGE_HEAD_BYTES
        if size >= 0 and payload[:MESSAGE_HEAD_BYTES] == _MESSAGE_HEAD.pack(0, size) and size <= self._most_bytes:
            self._message(payload[MESSAGE_HEAD_BYTES:])  # one message and nothing else, as is usual
        else:
            self._messages(payload)

    def pieces(self, payloads: list[Buffer], size: int) -> None:
        """As `data`, for pieces of a message that has begun."""
        if self._is_over or self._is_paused or not self._parts:
            for payload in payloads:
                self.data(payload)
            return
        self._parts += payloads
        self._missing -= size
        if self._missing <= 0:
            self._messages(self._joined())

    def ended(self) -> None:
        """The client has said everything."""
        self._has_ended = self._is_paused
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

    def _joined(self) -> Buffer:
        payload: Buffer = b"".join(self._parts)
        self._parts.clear()
        return memoryview(payload) if len(payload) > COPIED_BYTES else payload

    def _messages(self, data: Buffer) -> None:
        at, end = 0, len(data)
        while end - at >= MESSAGE_HEAD_BYTES:
            size = int.from_bytes(data[at + 1 : at + MESSAGE_HEAD_BYTES], "big")
            if data[at]:
                self.fail(GrpcStatus.UNIMPLEMENTED, "messages cannot be compressed")
                return
            if size > self._most_bytes:
                text = f"a message of {size} bytes; at most {self._most_bytes} are taken"
                self.fail(GrpcStatus.RESOURCE_EXHAUSTED, text)
                return
            stop = at + MESSAGE_HEAD_BYTES + size
            if stop > end:
                self._begin(_rest(data, at), size, stop - end)
                return
            content = data[at + MESSAGE_HEAD_BYTES : stop]
            if size << SHOWN_SHARE_BITS < end:
                content = bytes(content)
            self._message(content)
            at = stop
            if self._is_over:
                return
            if self._is_paused:
                if at < end:
                    self._held.insert(0, _rest(data, at))
                    self._hold(end - at)
                return
        if at < end:
            self._parts.append(_rest(data, at))
            self._missing = MESSAGE_HEAD_BYTES - (end - at)

    def _message(self, content: Message) -> None:
        try:
            self._handler.message_received(content)
        except Exception as error:  # noqa: BLE001  one stream must not end the others of its connection
            self._failed(error)

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

    def _failed(self, error: Exception) -> None:
        self._service.on_fault("unexpected error in a stream", "", error)
        self.fail(GrpcStatus.INTERNAL, OUR_FAULT)

    def _end(self, trailers: bytes) -> None:
        """The handler is told later: it is at work."""
        self._is_over = True
        self._forget()
        self._service.later(self._tell_closed)
        self._stream.end(trailers if self._has_head else RESPONSE_HEAD + trailers)

    def _forget(self) -> None:
        self._parts.clear()
        self._held.clear()
        if self._held_bytes:
            self._hold(-self._held_bytes)

    def _hold(self, held_bytes: int) -> None:
        self._held_bytes += held_bytes
        self._stream.hold(held_bytes)

    def _tell_closed(self) -> None:
        """The last that the handler hears. Nobody refers to anybody then, so that memory is given back at once."""
        handler = self._handler
        self._handler = DEAF
        self._stream.receiver = NOBODY
        try:
            handler.closed()
        except Exception as error:  # noqa: BLE001  as above
            self._service.on_fault("unexpected error at the end of a stream", "", error)
