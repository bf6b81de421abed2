"""Commands: what the executor is to do, in the imperative. Those that send become one ext_proc message each."""

from enum import Enum
from typing import Final

from epp.core.domain.decision import MetadataNumber
from epp.core.domain.errors import Refusal
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.domain.record import Record
from epp.core.domain.request import InferenceRequest
from epp.core.protocol.events import BodyMode


class Mutation(Record):
    """Changes of headers."""

    def __init__(
        self,
        set_headers: tuple[tuple[str, str], ...] = (),
        remove_headers: tuple[str, ...] = (),
        clear_route_cache: bool = False,
    ) -> None:
        self.set_headers: Final = set_headers
        self.remove_headers: Final = remove_headers
        self.clear_route_cache: Final = clear_route_cache


class Phase(Enum):
    """Which message of the proxy is answered."""

    REQUEST_HEADERS = "request_headers"
    REQUEST_BODY = "request_body"
    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_HEADERS = "response_headers"
    RESPONSE_BODY = "response_body"
    RESPONSE_TRAILERS = "response_trailers"

    __hash__ = object.__hash__  # of a member, there is only one; Enum's own takes a call for its name


class Continue(Record):
    """Answer one message of the proxy; only those of the response headers and body may change anything."""

    def __init__(
        self,
        phase: Phase,
        set_headers: tuple[tuple[str, str], ...] = (),
        remove_headers: tuple[str, ...] = (),
        body: bytes | None = None,
        metadata: tuple[MetadataNumber, ...] = (),
    ) -> None:
        self.phase: Final = phase
        self.set_headers: Final = set_headers
        self.remove_headers: Final = remove_headers
        self.body: Final = body
        """replaces a response body, or the piece of it that is answered"""
        self.metadata: Final = metadata
        """told with the last message of an answer"""


class SendRouting(Record):
    """Answer with the decision: header mutation and dynamic metadata."""

    def __init__(
        self,
        phase: Phase,
        destinations: str,
        mutation: Mutation,
        body: bytes | memoryview | None = None,
        scores: tuple[tuple[str, float], ...] = (),
    ) -> None:
        self.phase: Final = phase
        self.destinations: Final = destinations
        self.mutation: Final = mutation
        self.body: Final = body
        """replaces the body; only in answer to a buffered one"""
        self.scores: Final = scores
        """destination and score of the candidates, for the metadata"""


class SendBody(Record):
    """Send one piece of a full-duplex body, at most MAX_CHUNK_BYTES."""

    def __init__(
        self,
        phase: Phase,
        data: bytes | memoryview,
        end_of_stream: bool,
        metadata: tuple[MetadataNumber, ...] = (),
    ) -> None:
        self.phase: Final = phase
        self.data: Final = data
        self.end_of_stream: Final = end_of_stream
        self.metadata: Final = metadata
        """told with the last message of an answer"""


class OverrideMode(Record):
    """Answer the response headers and turn the response body on for this request."""

    def __init__(
        self,
        response_body: BodyMode,
        set_headers: tuple[tuple[str, str], ...] = (),
        remove_headers: tuple[str, ...] = (),
    ) -> None:
        self.response_body: Final = response_body
        self.set_headers: Final = set_headers
        self.remove_headers: Final = remove_headers


class ExtendTimeout(Record):
    """Tell the proxy, once, to wait longer for the answer to the current message."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s: Final = wait_s


class Refuse(Record):
    """End the request with an error response."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal: Final = refusal


class Route(Record):
    """Ask routing; it answers with Decided, Held or Refused."""

    def __init__(self, request: InferenceRequest) -> None:
        self.request: Final = request


class CancelRouting(Record):
    """Nobody waits for the decision any more."""


class FollowServed(Record):
    """The proxy names the server of this response; `destination` is empty if it does not say."""

    def __init__(self, destination: str) -> None:
        self.destination: Final = destination


class NoteBypass(Record):
    """A response without a routed request came from `destination`."""

    def __init__(self, destination: str) -> None:
        self.destination: Final = destination


class NoteFirstToken(Record):
    """The first piece of a streamed answer passed."""


class Release(Record):
    """The routed request is over; yielded exactly once after a Decided."""

    def __init__(self, outcome: Outcome, status: int, response_bytes: int | None, usage: TokenUsage | None) -> None:
        self.outcome: Final = outcome
        self.status: Final = status
        self.response_bytes: Final = response_bytes
        self.usage: Final = usage


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
