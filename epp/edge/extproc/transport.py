"""What a transport and a stream handler owe each other. Messages are protobuf bytes on both sides.

A transport calls its handlers from one event loop, never from two places at once, and calls `closed` exactly once per
stream, however the stream ends.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

SERVICE = "envoy.service.ext_proc.v3.ExternalProcessor"
PROCESS = f"/{SERVICE}/Process"

Message = bytes | memoryview
"""of the peer; a view may show a buffer that holds more than the message"""


class GrpcStatus(IntEnum):
    """`grpc-status` (gRPC's statuscodes.md)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServerStream(Protocol):
    """One gRPC stream, seen from the handler. Calls after the stream is over have no effect."""

    def send(self, message: bytes, rest: Message = b"") -> None:
        """Queues one message, which is `message` followed by `rest`; messages leave in order.

        What `rest` shows must not change until the stream is over: it may leave without having been copied.
        """

    def finish(self) -> None:
        """Ends the stream with grpc-status OK after what was queued."""

    def fail(self, code: GrpcStatus, detail: str) -> None:
        """Ends the stream with an error status after what was queued."""

    def pause_reading(self) -> None:
        """Stops reading, so that the peer's flow-control window closes."""

    def resume_reading(self) -> None:
        """Goes on reading."""


class StreamHandler(Protocol):
    """The other side of a ServerStream."""

    def message_announced(self, message_bytes: int) -> None:
        """A message of this size has begun that did not come in one piece. A transport need not tell."""

    def message_received(self, message: Message) -> None:
        """The next message of the peer."""

    def half_closed(self) -> None:
        """The peer sends nothing more; it is for the handler to end the stream."""

    def drain(self) -> None:
        """The server is stopping: come to an end soon."""

    def closed(self) -> None:
        """The stream is over: ended by the handler, reset, cancelled or lost."""


HandlerFactory = Callable[[ServerStream], StreamHandler]


class Transport(Protocol):
    """A gRPC server."""

    port: int
    """the bound one, after `start`"""

    @property
    def open_streams(self) -> int:
        """ext_proc streams that are being served."""
        ...

    async def start(self) -> None:
        """Binds and serves. Raises RuntimeError when the address cannot be bound."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Takes no new stream, tells the handlers to come to an end, and ends what is left after `grace_s` with OK."""
        ...
