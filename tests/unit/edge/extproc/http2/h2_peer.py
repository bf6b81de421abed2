"""The h2 library's client against the server, both without sockets: what one says is heard by the other at once.

h2 keeps its own books of windows, states and header tables, and raises where the server breaks a rule.
"""

from collections import defaultdict

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

from tests.unit.edge.extproc.http2.frames import GRPC
from tests.unit.edge.extproc.http2.peer import Peer


class H2Peer:
    """A well-behaved client. `reads` False: it takes what comes but opens no window."""

    def __init__(self, peer: Peer | None = None, *, window_bytes: int = 65_535, reads: bool = True) -> None:
        self.peer = peer or Peer(greets=False)
        self.reads = reads
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.body: dict[int, bytearray] = defaultdict(bytearray)
        self.ended: dict[int, dict[str, str]] = {}
        """trailers, by stream"""
        self.resets: dict[int, int] = {}
        self.h2.initiate_connection()
        self.h2.receive_data(self.peer.greeting_bytes)
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})
        self.exchange()

    def call(self, *messages: bytes, end: bool = True) -> int:
        """A new stream with these messages; returns its id."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, list(GRPC))
        self.exchange()
        body = b"".join(b"\0" + len(content).to_bytes(4, "big") + content for content in messages)
        self.send(stream_id, body, end=end)
        return stream_id

    def send(self, stream_id: int, body: bytes, *, end: bool = False) -> None:
        """DATA as far as the windows let it go, which is asserted to be all of it."""
        view = memoryview(body)
        while view and stream_id not in self.ended:
            size = min(self.h2.local_flow_control_window(stream_id), self.h2.max_outbound_frame_size, len(view))
            assert size, f"the server lets {len(view)} bytes wait"
            self.h2.send_data(stream_id, bytes(view[:size]))
            view = view[size:]
            self.exchange()
        if end and stream_id not in self.ended:
            self.h2.end_stream(stream_id)
            self.exchange()

    def exchange(self) -> None:
        """Until both have said everything."""
        peer = self.peer
        while True:
            said = self.h2.data_to_send()
            if said:
                peer.connection.receive(said, peer.now)
            while peer._later:
                peer._later.popleft()()
            answer = b"".join(peer.connection.send_side.out)
            peer.connection.send_side.out = []
            if not answer and not said:
                return
            for event in self.h2.receive_data(answer):
                self._take(event)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived():
                stream_id = event.stream_id
                self.body[stream_id] += event.data
                if self.reads and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream_id)
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                fields = {str(name): str(value) for name, value in event.headers}
                if event.stream_ended is not None:
                    self.ended[event.stream_id] = fields
            case h2.events.StreamReset():
                self.resets[event.stream_id] = int(event.error_code)
