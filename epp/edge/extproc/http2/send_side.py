"""What goes out on one connection, within the peer's windows (RFC 9113 5.2). Streams that wait take turns."""

from collections import OrderedDict
from collections.abc import Iterator

from epp.edge.extproc.http2 import wire
from epp.edge.extproc.http2.stream import Buffer, Http2Stream
from epp.edge.extproc.http2.wire import ConnectionFault, ErrorCode, StreamFault


class SendSide:
    """`out` is what is to be written; streams read and change the windows themselves where nothing has to wait."""

    def __init__(self, updates_per_frame: int) -> None:
        self.out: list[Buffer] = []
        self.window = wire.DEFAULT_WINDOW
        """of the connection"""
        self.stream_window = wire.DEFAULT_WINDOW
        """of a new stream"""
        self.frame_bytes = wire.DEFAULT_FRAME_BYTES
        """the largest that the peer takes"""
        self.updates_per_frame = updates_per_frame
        self.updates_due = updates_per_frame
        """window updates that the peer may send for what it was sent"""
        self.waiting_bytes = 0
        """in the queues of all streams"""
        self._waiting: dict[Http2Stream, None] = {}
        self._ready: OrderedDict[Http2Stream, None] = OrderedDict()
        """those of them that wait for the window of the connection alone"""

    def wait(self, stream: Http2Stream, size: int, now: float) -> None:
        """The stream has so many bytes more in its queue."""
        self.waiting_bytes += size
        if stream not in self._waiting:
            self._waiting[stream] = None
            stream.queued_since = now
            if stream.send_window > 0:
                self._ready[stream] = None
        self.send_waiting(now)

    def forget(self, stream: Http2Stream) -> None:
        """The stream is gone."""
        self.waiting_bytes -= sum(map(len, stream.queue))
        stream.queue.clear()
        self._waiting.pop(stream, None)
        self._ready.pop(stream, None)

    def stalled(self, before: float) -> Iterator[Http2Stream]:
        """Streams that have waited since then without sending anything."""
        return (stream for stream in list(self._waiting) if stream.queued_since < before)

    def change_stream_window(self, value: int, streams: dict[int, Http2Stream]) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE; `send_waiting` makes use of it. Raises ConnectionFault."""
        change, self.stream_window = value - self.stream_window, value
        for stream in streams.values():
            stream.send_window += change
            if stream.send_window > wire.LARGEST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE overflows a window")
            if stream.queue and stream.send_window > 0:
                self._ready[stream] = None

    def open_window(self, stream: Http2Stream | None, increment: int, now: float) -> None:
        """WINDOW_UPDATE of a stream, or of the connection (None). Raises StreamFault or ConnectionFault."""
        if stream is None:
            self.window += increment
            if not increment:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            if self.window > wire.LARGEST_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE above 2**31 - 1")
        else:
            stream.send_window += increment
            if not increment:
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            if stream.send_window > wire.LARGEST_WINDOW:
                raise StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE above 2**31 - 1")
            if stream.queue and stream.send_window > 0:
                self._ready[stream] = None
        if self._ready:
            self.send_waiting(now)

    def send_waiting(self, now: float) -> None:
        """One frame of each stream in turn, as long as the windows let them."""
        ready = self._ready
        while ready and self.window > 0:
            stream, _ = ready.popitem(last=False)
            room = min(self.window, stream.send_window, self.frame_bytes)
            if room > 0:
                stream.queued_since = now
                self._send_frame(stream, room)
                if stream.queue and stream.send_window > 0:
                    ready[stream] = None

    def _send_frame(self, stream: Http2Stream, room: int) -> None:
        parts = stream.take_frame(room)
        size = sum(map(len, parts)) - wire.FRAME_HEAD_BYTES
        self.window -= size
        self.waiting_bytes -= size
        stream.send_window -= size
        self.updates_due += self.updates_per_frame
        self.out.extend(parts)
        if not stream.queue:
            del self._waiting[stream]
            stream.queue_emptied()
