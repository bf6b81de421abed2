"""What a transport and a stream handler owe each other. Messages are raw protobuf bytes on both sides.

A transport calls its handler from one event loop, never from two places at once, and calls `closed` exactly once per
stream, however the stream ends.
"""

from collections.abc import Callable
from typing import Protocol

import grpc

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"


class ServerStream(Protocol):
    """One gRPC stream, seen from the handler. Calls after the stream is over have no effect."""

    def send(self, message: bytes) -> None:
        """Queues one message; messages leave in order."""

    def finish(self) -> None:
        """Ends the stream with grpc-status OK after what was queued."""

    def fail(self, code: grpc.StatusCode, detail: str) -> None:
        """Ends the stream with an error status after what was queued."""

    def pause_reading(self) -> None:
        """Stops reading, so that the peer's flow-control window closes."""

    def resume_reading(self) -> None:
        """Goes on reading."""


class StreamHandler(Protocol):
    """The other side of a ServerStream."""

    def message_received(self, message: bytes) -> None:
        """The next message of the peer."""

    def drain(self) -> None:
        """The server is stopping: come to an end soon."""

    def closed(self) -> None:
        """The stream is over: half-closed by the peer, reset, cancelled or lost."""


HandlerFactory = Callable[[ServerStream], StreamHandler]
