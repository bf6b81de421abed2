"""Events: what has happened, in the past. The codec makes them of ext_proc messages, the executor of the rest."""

from enum import IntEnum

import msgspec

from epp.core.domain.decision import Decision
from epp.core.domain.errors import Refusal

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


class ProtocolConfig(msgspec.Struct, frozen=True):
    """How Envoy is configured to talk; comes with the first message (Envoy 1.34 and later)."""

    request_body: BodyMode
    response_body: BodyMode


class RequestHeaders(msgspec.Struct, frozen=True):
    """The request began. `end_of_stream`: it has no body and no trailers."""

    headers: Headers
    end_of_stream: bool
    subset: tuple[str, ...] | None = None
    protocol: ProtocolConfig | None = None
    observed_only: bool = False
    """Envoy's observability mode: answers are ignored"""


class RequestBodyChunk(msgspec.Struct, frozen=True):
    """A piece of the request body, or all of it in BUFFERED mode."""

    data: Data
    end_of_stream: bool
    subset: tuple[str, ...] | None = None


class RequestTrailers(msgspec.Struct, frozen=True):
    """The request ended with trailers."""


class ResponseHeaders(msgspec.Struct, frozen=True):
    """The response began; `served` is the destination that Envoy says it came from, empty if it does not say."""

    headers: Headers
    end_of_stream: bool
    served: str = ""


class ResponseBodyChunk(msgspec.Struct, frozen=True):
    """A piece of the response body."""

    data: Data
    end_of_stream: bool


class ResponseTrailers(msgspec.Struct, frozen=True):
    """The response ended with trailers, which say how a gRPC call went."""

    trailers: Headers = {}


class Decided(msgspec.Struct, frozen=True):
    """Routing found an endpoint."""

    decision: Decision


class Held(msgspec.Struct, frozen=True):
    """Routing holds the request; it will be answered within `wait_s` seconds."""

    wait_s: float


class Refused(msgspec.Struct, frozen=True):
    """Routing refused the request."""

    refusal: Refusal


class StreamEnded(msgspec.Struct, frozen=True):
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
