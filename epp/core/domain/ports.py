"""Ports: the protocols through which the edges and the core meet. Edges implement them, `epp.app` joins them."""

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

import msgspec

from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.errors import Refusal
from epp.core.domain.model_rewrite import InferenceModelRewrite
from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import InferencePool
from epp.core.domain.request import InferenceRequest


class Clock(Protocol):
    """Monotonic seconds."""

    def __call__(self) -> float: ...


class Outcome(Enum):
    """How a routed request ended, as far as the picker can see."""

    COMPLETE = "complete"
    """end of stream or trailers were seen"""
    ERROR = "error"
    """the response status was 5xx"""
    UNKNOWN = "unknown"
    """the stream ended without them: client gone, upstream reset, or a body that is never shown to the picker"""


class TokenUsage(msgspec.Struct, frozen=True):
    """`usage` of an OpenAI response, in tokens; None where the server did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None


class RequestReport(msgspec.Struct, frozen=True):
    """What is known when a routed request is over; times in seconds since the request headers arrived."""

    outcome: Outcome
    status: int
    """HTTP status of the response, 0 if none was seen"""
    duration_s: float
    request_bytes: int
    response_bytes: int | None
    """None where the response body is not shown to the picker"""
    first_token_s: float | None
    usage: TokenUsage | None
    served: str
    """destination that really served, empty if Envoy did not say"""


class MetricSink(Protocol):
    """Counts what happens to requests. Calls are cheap: no formatting, no labels looked up anew."""

    def request_started(self, request: InferenceRequest) -> None:
        """A request was read and is about to be routed."""

    def request_routed(self, decision: Decision) -> None:
        """A request got its endpoint."""

    def request_refused(self, request: InferenceRequest | None, refusal: Refusal) -> None:
        """A request was answered with an error; `request` is None when it could not even be read."""

    def request_finished(self, decision: Decision, report: RequestReport) -> None:
        """A routed request is over; called exactly once per routed request."""

    def picker_bypassed(self, destination: str) -> None:
        """A response came from `destination`, for which no request was routed there."""


class ObjectState(msgspec.Struct, frozen=True):
    """The objects in force: what the pool is, who is in it, which objectives and rewrites it has."""

    pool: InferencePool | None
    endpoints: tuple[Endpoint, ...]
    """ready endpoints only"""
    objectives: tuple[InferenceObjective, ...] = ()
    rewrites: tuple[InferenceModelRewrite, ...] = ()


class ObjectSink(Protocol):
    """Takes every new state of the objects."""

    def objects_changed(self, state: ObjectState) -> None:
        """`state` replaces the former one."""


class LoadSink(Protocol):
    """Takes what a scrape of one endpoint found."""

    def load_reported(self, endpoint: Endpoint, report: "LoadReport") -> None:
        """The metrics page of `endpoint` was read."""

    def scrape_failed(self, endpoint: Endpoint, *, local_origin: bool) -> None:
        """The page could not be read; `local_origin` when no HTTP answer came at all."""


class EngineTotals(msgspec.Struct, frozen=True):
    """Sums and counts that an engine keeps since its start; None where it has no such metric."""

    first_token_s: float | None = None
    """seconds from arrival to the first token, of `first_tokens` requests together"""
    first_tokens: float | None = None
    prefill_s: float | None = None
    """seconds from schedule to the first token, of `prefills` requests together"""
    prefills: float | None = None
    token_gap_s: float | None = None
    """seconds between output tokens, of `token_gaps` of them together"""
    token_gaps: float | None = None
    prompt_tokens: float | None = None
    cached_tokens: float | None = None
    """prompt tokens found in the prefix cache"""
    output_tokens: float | None = None


NO_TOTALS = EngineTotals()


class LoadReport(msgspec.Struct, frozen=True):
    """The numbers of one metrics page; None where the page does not have the metric."""

    waiting: float | None = None
    """requests in the engine's queue"""
    running: float | None = None
    """requests in the engine's batch"""
    kv_usage: float | None = None
    """used fraction of the KV cache, 0..1"""
    kv_block_tokens: int | None = None
    """tokens per KV block"""
    kv_blocks: int | None = None
    """KV blocks of the device"""
    max_adapters: int | None = None
    """LoRA adapters that fit on the device at once; None without LoRA"""
    running_adapters: Sequence[str] = ()
    waiting_adapters: Sequence[str] = ()
    totals: EngineTotals = NO_TOTALS
    attributes: tuple[tuple[str, float], ...] = ()
    """key and value of each custom metric that the page has"""


class TokenSource(Protocol):
    """Tells the token ids of text prompts."""

    def wants(self, request: InferenceRequest) -> bool:
        """Whether the request should wait for its token ids: somebody has a use for them and may know them."""
        ...

    async def with_tokens(self, request: InferenceRequest) -> InferenceRequest:
        """The request with its token ids, or as it is when nobody could tell them in time. Raises nothing."""
        ...


class AccessDenied(msgspec.Struct, frozen=True):
    """Why somebody may not read a page."""

    message: str
    is_unknown: bool = False
    """nobody knows who asks"""
    is_unavailable: bool = False
    """nobody could be asked"""


class AccessReviewer(Protocol):
    """Knows who may read which page."""

    async def denied(self, token: str, path: str) -> AccessDenied | None:
        """Why the holder of a bearer token may not read `path`, None when it may. Raises nothing."""
        ...


Pem = tuple[bytes, bytes]
"""private key and certificate chain that belong together"""


class CertificatePair(Protocol):
    """What a TLS server shows. Both may be called from any thread."""

    @property
    def may_change(self) -> bool:
        """Whether `current` may be another one later."""
        ...

    def current(self) -> Pem:
        """The pair in force."""
        ...
