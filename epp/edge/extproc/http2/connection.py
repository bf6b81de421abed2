"""The server's side of one HTTP/2 connection, without I/O: bytes in, calls to receivers, bytes out (RFC 9113).

Priorities are ignored (RFC 9113 5.3).
"""

from collections.abc import Callable
from typing import Final

from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.control_frames import KEEP_ALIVE, LEAVING, ControlFrames
from epp.edge.extproc.http2.frame_reader import FrameReader
from epp.edge.extproc.http2.header_blocks import HeaderBlocks, RequestHead
from epp.edge.extproc.http2.header_frames import HeaderBlock, HeaderFrames
from epp.edge.extproc.http2.limits import Http2Limits
from epp.edge.extproc.http2.receive_side import ReceiveSide
from epp.edge.extproc.http2.send_side import SendSide
from epp.edge.extproc.http2.stream import Http2Stream, StreamReceiver
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode, Setting, StreamFault

Accept = Callable[[Http2Stream, RequestHead], StreamReceiver]

RECENT_RESETS: Final = 1_000
"""streams that were reset here, of which frames may still be on their way"""


def _ignore() -> None:
    pass


class Http2Connection:
    """`receive` bytes, and write `send_side.out` after every call that may have sent something.

    `accept` is asked for the receiver of every request; `on_output` is called when something was sent outside of
    `receive`. When `fault` is set, the connection is to be closed once what is in `out` was written.
    """

    def __init__(
        self, limits: Http2Limits, accept: Accept, now: float, on_output: Callable[[], None] = _ignore
    ) -> None:
        self.send_side = SendSide(limits.updates_per_frame)
        self.streams: dict[int, Http2Stream] = {}
        self.now = now
        self.is_closing = False
        """no further stream is taken"""
        self.fault: ConnectionFault | None = None
        self.control = ControlFrames(self, limits, now)
        self._header_frames = HeaderFrames(limits.header_bytes)
        self.receive_side = ReceiveSide(self, self._header_frames, limits)
        self._limits = limits
        self._accept = accept
        self._on_output = on_output
        self.is_receiving = False
        self._reader = FrameReader(self.receive_side, self, limits)
        self._blocks = HeaderBlocks(limits.header_bytes)
        self._last_id = 0
        self._last_taken_id = 0
        """what GOAWAY tells; streams after it are not served"""
        self._we_reset: dict[int, None] = {}
        self._handlers = {
            wire.HEADERS: self._headers,
            wire.CONTINUATION: self._continuation,
            wire.RST_STREAM: self._rst_stream,
            **self.control.handlers,
        }
        settings = {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.MAX_CONCURRENT_STREAMS: limits.most_streams,
            Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            Setting.MAX_FRAME_SIZE: limits.frame_bytes,
            Setting.MAX_HEADER_LIST_SIZE: limits.header_bytes,
        }
        opening = wire.window_update(0, wire.LARGEST_WINDOW - wire.DEFAULT_WINDOW)
        self.send_side.out.append(wire.settings_frame(settings) + opening)

    @property
    def unfinished(self) -> tuple[int, int] | None:
        """What the peer has begun and owes us the rest of: greeting, header block or frame; another value for each."""
        if not self.control.has_settings:
            return 0, 0
        if self._header_frames.open_stream:
            return self._header_frames.open_stream, 0
        return (0, self._reader.unfinished) if self._reader.unfinished else None

    @property
    def is_full(self) -> bool:
        """So much is kept that nothing more should be read."""
        return self.receive_side.held_bytes > self._limits.held_bytes

    @property
    def is_done(self) -> bool:
        """Nothing is left to do: the connection was broken, or is being left and has no stream."""
        return self.fault is not None or (self.is_closing and not self.streams)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the peer."""
        if self.fault is not None:
            return
        self.now = now
        self.is_receiving = True
        try:
            self._reader.feed(data)
            self._check_waiting()
        except ConnectionFault as fault:
            self.break_off(fault)
        finally:
            self.is_receiving = False

    def break_off(self, fault: ConnectionFault) -> None:
        """Says why, and ends every stream."""
        self.fault = fault
        self.send_side.out.append(wire.goaway(self._last_taken_id, fault.code, fault.reason))
        self.lost()

    def lost(self) -> None:
        """The connection is gone, and with it every stream."""
        self.is_closing = True
        for stream in list(self.streams.values()):
            self.gone(stream)
            stream.receiver.reset()

    def leave(self) -> None:
        """First half of a graceful end: no new streams, please; those on their way are served."""
        if self.is_closing:
            return
        notice = wire.goaway(wire.LAST_STREAM_ID, ErrorCode.NO_ERROR) + self.control.ping(LEAVING)
        self.send_side.out.append(notice)
        self.sent()

    def refuse_further(self) -> None:
        """Second half: streams that begin from now on are not served."""
        if self.is_closing:
            return
        self.is_closing = True
        self.send_side.out.append(wire.goaway(self._last_taken_id, ErrorCode.NO_ERROR))
        self.sent()

    def ask_for_life(self) -> None:
        """Sends a PING; `control.pings_unanswered` says what became of it."""
        self.send_side.out.append(self.control.ping(KEEP_ALIVE))
        self.sent()

    def reset_stalled(self, before: float) -> None:
        """Resets streams whose peer has taken nothing of what waits for it since then."""
        for stream in self.send_side.stalled(before):
            self.reset(stream, ErrorCode.CANCEL)
            stream.receiver.reset()
            self.sent()

    # -- for streams ---------------------------------------------------------------------------------------------

    def sent(self) -> None:
        """Something is in `out`."""
        if not self.is_receiving:
            self._on_output()

    def hold(self, held_bytes: int) -> None:
        """So much more, or less, is kept on streams that are not read."""
        was_full = self.is_full
        self.receive_side.held_bytes += held_bytes
        if was_full and not self.is_full:
            self.sent()

    def reset(self, stream: Http2Stream, code: ErrorCode) -> None:
        """Ends the stream from here."""
        if not stream.is_gone:
            self.gone(stream)
            self._reset_id(stream.id, code)

    def gone(self, stream: Http2Stream) -> None:
        """The stream is over on both sides."""
        stream.is_gone = True
        self.streams.pop(stream.id, None)
        if stream.queue:
            self.send_side.forget(stream)

    def end_faulty(self, stream: Http2Stream, code: ErrorCode) -> None:
        """The peer broke a rule that ends the stream."""
        self.reset(stream, code)
        stream.receiver.reset()

    def end(self, fault: StreamFault) -> None:
        """The same where only its id is known. Raises ConnectionFault for an idle one, which cannot be reset."""
        stream = self.streams.get(fault.stream_id)
        if stream is not None:
            self.end_faulty(stream, fault.code)
        elif self.is_idle(fault.stream_id):
            raise ConnectionFault(fault.code, fault.reason)
        else:
            self._reset_id(fault.stream_id, fault.code)

    def was_reset_here(self, stream_id: int) -> bool:
        """Not long ago, so that the peer may not know it yet."""
        return stream_id in self._we_reset

    # -- frames other than DATA (FrameSink) ------------------------------------------------------------------------

    def frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """See FrameSink."""
        if self._header_frames.open_stream and kind != wire.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "another frame in the middle of a header block")
        if not self.control.has_settings and (kind != wire.SETTINGS or flags & wire.ACK):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        handler = self._handlers.get(kind)
        if handler is None:
            self.control.nuisance("a frame of unknown type")  # to be ignored (RFC 9113 4.1)
            return
        try:
            handler(flags, stream_id, payload)
        except StreamFault as fault:
            self.end(fault)

    def settings_acknowledged(self) -> None:
        """The peer keeps to our settings from now on."""
        self._blocks.forbid_table()

    def is_idle(self, stream_id: int) -> bool:
        """The stream has not begun; those with even numbers are a server's, which begins none."""
        return stream_id > self._last_id or not stream_id & 1

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._header_frames.headers(flags, stream_id, payload)
        if block is not None:
            self._whole_block(block)

    def _continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._header_frames.continuation(flags, stream_id, payload)
        if block is not None:
            self._whole_block(block)

    def _whole_block(self, block: HeaderBlock) -> None:
        stream_id = block.stream_id
        if stream_id <= self._last_id:
            self._trailers(block)
            return
        head = self._blocks.request(block.encoded)  # in any case: the table has to stay as the peer believes it is
        self._last_id = stream_id
        if self.is_closing:
            self.control.nuisance("streams after GOAWAY")
            self._remember_reset(stream_id)  # the peer knows that it is not served
            return
        self._last_taken_id = stream_id
        if head.problem or block.faulty_priority:
            self.control.nuisance("malformed requests")
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, head.problem or "a stream that depends on itself")
        if len(self.streams) >= self._limits.most_streams:
            self.control.nuisance("more streams than allowed")
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
        stream = Http2Stream(self, stream_id, self._limits.stream_window_bytes)
        stream.body_left = head.content_length
        stream.is_remote_closed = block.ends_stream
        self.streams[stream_id] = stream
        self.send_side.updates_due += self._limits.updates_per_frame
        stream.receiver = self._accept(stream, head)
        if block.ends_stream:
            self.receive_side.remote_ended(stream)

    def _trailers(self, block: HeaderBlock) -> None:
        problem = self._blocks.trailers(block.encoded)
        stream = self.streams.get(block.stream_id)
        if stream is None:
            if block.stream_id not in self._we_reset:
                raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"HEADERS on the closed stream {block.stream_id}")
        elif stream.is_remote_closed:
            raise StreamFault(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        elif problem or not block.ends_stream:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, problem or "trailers that do not end the stream")
        else:
            self.receive_side.remote_ended(stream)

    def _rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes long")
        if self.is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which is idle")
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._we_reset.pop(stream_id, 0) is not None:
                self.control.nuisance("RST_STREAM on closed streams")
            return
        if not stream.has_data:
            self.control.nuisance("streams that are reset before they say anything")
        self.gone(stream)
        stream.receiver.reset()

    def _reset_id(self, stream_id: int, code: ErrorCode) -> None:
        self._remember_reset(stream_id)
        self.send_side.out.append(wire.rst_stream(stream_id, code))

    def _remember_reset(self, stream_id: int) -> None:
        self._we_reset[stream_id] = None
        if len(self._we_reset) > RECENT_RESETS:
            del self._we_reset[next(iter(self._we_reset))]

    def _check_waiting(self) -> None:
        if self.send_side.waiting_bytes > self._limits.waiting_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too much waits to be read")
