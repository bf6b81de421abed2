"""Events: what has happened, in the past. The codec makes them of ext_proc messages, the executor of the rest."""

from enum import IntEnum
from typing import Final

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal
from epp.core.domain.record import Record

Data = bytes | memoryview
Headers = dict[str, str]
"""lower-case names; of a repeated header the values are joined by commas"""


class BodyMode(IntEnum):
    """ProcessingMode.BodySendMode of Envoy."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4
    GRPC = 5


class ProtocolConfig(Record):
    """How Envoy is configured to talk; comes with the first message (Envoy 1.34 and later)."""

    def __init__(self, request_body: BodyMode, response_body: BodyMode) -> None:
        self.request_body: Final = request_body
        self.response_body: Final = response_body


class RequestHeaders(Record):
    """The request began. `end_of_stream`: it has no body and no trailers."""

    def __init__(
        self,
        headers: Headers,
        end_of_stream: bool,
        subset: tuple[str, ...] | None = None,
        protocol: ProtocolConfig | None = None,
        observed_only: bool = False,
    ) -> None:
        self.headers: Final = headers
        self.end_of_stream: Final = end_of_stream
        self.subset: Final = subset
        self.protocol: Final = protocol
        self.observed_only: Final = observed_only
        """Envoy's observability mode: answers are ignored"""


class RequestBodyChunk(Record):
    """A piece of the request body, or all of it in BUFFERED mode."""

    def __init__(self, data: Data, end_of_stream: bool, subset: tuple[str, ...] | None = None) -> None:
        self.data: Final = data
        self.end_of_stream: Final = end_of_stream
        self.subset: Final = subset


class RequestTrailers(Record):
    """The request ended with trailers."""


class ResponseHeaders(Record):
    """The response began; `served` is the destination that Envoy says it came from, empty if it does not say."""

    def __init__(self, headers: Headers, end_of_stream: bool, served: str = "") -> None:
        self.headers: Final = headers
        self.end_of_stream: Final = end_of_stream
        self.served: Final = served


class ResponseBodyChunk(Record):
    """A piece of the response body."""

    def __init__(self, data: Data, end_of_stream: bool) -> None:
        self.data: Final = data
        self.end_of_stream: Final = end_of_stream


class ResponseTrailers(Record):
    """The response ended with trailers, which say how a gRPC call went."""

    def __init__(self, trailers: Headers | None = None) -> None:
        self.trailers: Final[Headers] = {} if trailers is None else trailers


class Decided(Record):
    """Routing found an endpoint."""

    def __init__(self, decision: Decision) -> None:
        self.decision: Final = decision


class Held(Record):
    """Routing holds the request; it will be answered within `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s: Final = wait_s


class Refused(Record):
    """Routing refused the request."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal: Final = refusal


class StreamEnded(Record):
    """The ext_proc stream is over: half-closed, reset or lost; all of it is normal."""


Event = (
    RequestHeaders
    | RequestBodyChunk
    | RequestTrailers
    | ResponseHeaders
    | ResponseBodyChunk
    | ResponseTrailers
    | Decided
    | Held
    | Refused
    | StreamEnded
)
