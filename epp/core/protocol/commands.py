"""Commands: what the executor is to do, in the imperative. Those that send become one ext_proc message each."""

from enum import Enum

import msgspec

from epp.core.domain.decision import MetadataNumber
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.events import BodyMode


class Mutation(msgspec.Struct, frozen=True):
    """Changes of headers."""

    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    clear_route_cache: bool = False


class Phase(Enum):
    """Which message of the proxy is answered."""

    REQUEST_HEADERS = "request_headers"
    REQUEST_BODY = "request_body"
    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_HEADERS = "response_headers"
    RESPONSE_BODY = "response_body"
    RESPONSE_TRAILERS = "response_trailers"

    __hash__ = object.__hash__  # of a member, there is only one; Enum's own takes a call for its name


class Continue(msgspec.Struct, frozen=True):
    """Answer one message of the proxy; only those of the response headers and body may change anything."""

    phase: Phase
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()
    body: bytes | None = None
    """replaces a response body, or the piece of it that is answered"""
    metadata: tuple[MetadataNumber, ...] = ()
    """told with the last message of an answer"""


class SendRouting(msgspec.Struct, frozen=True):
    """Answer with the decision: header mutation and dynamic metadata."""

    phase: Phase
    destinations: str
    mutation: Mutation
    body: bytes | memoryview | None = None
    """replaces the body; only in answer to a buffered one"""
    scores: tuple[tuple[str, float], ...] = ()
    """destination and score of the candidates, for the metadata"""


class SendBody(msgspec.Struct, frozen=True):
    """Send one piece of a full-duplex body, at most MAX_CHUNK_BYTES."""

    phase: Phase
    data: bytes | memoryview
    end_of_stream: bool
    metadata: tuple[MetadataNumber, ...] = ()
    """told with the last message of an answer"""


class OverrideMode(msgspec.Struct, frozen=True):
    """Answer the response headers and turn the response body on for this request."""

    response_body: BodyMode
    set_headers: tuple[tuple[str, str], ...] = ()
    remove_headers: tuple[str, ...] = ()


class ExtendTimeout(msgspec.Struct, frozen=True):
    """Tell the proxy, once, to wait longer for the answer to the current message."""

    wait_s: float


class Refuse(msgspec.Struct, frozen=True):
    """End the request with an error response."""

    refusal: Refusal


class Route(msgspec.Struct, frozen=True):
    """Ask routing; it answers with Decided, Held or Refused."""

    request: InferenceRequest


class CancelRouting(msgspec.Struct, frozen=True):
    """Nobody waits for the decision any more."""


class FollowServed(msgspec.Struct, frozen=True):
    """The proxy names the server of this response; `destination` is empty if it does not say."""

    destination: str


class NoteBypass(msgspec.Struct, frozen=True):
    """A response without a routed request came from `destination`."""

    destination: str


class NoteFirstToken(msgspec.Struct, frozen=True):
    """The first piece of a streamed answer passed."""


class Release(msgspec.Struct, frozen=True):
    """The routed request is over; yielded exactly once after a Decided."""

    outcome: Outcome
    status: int
    response_bytes: int | None
    usage: TokenUsage | None


Command = (
    Continue
    | SendRouting
    | SendBody
    | OverrideMode
    | ExtendTimeout
    | Refuse
    | Route
    | CancelRouting
    | FollowServed
    | NoteBypass
    | NoteFirstToken
    | Release
)
