"""Session affinity: to which endpoint the session of a request is bound. Two strategies, for scorer and filter alike.

encoded_endpoint_header: the response carries a token of the endpoint that served (see session_token), and the client
sends it back. Nothing is remembered here. session_id: the client names its session, and a table remembers the endpoint
of the last pick for evictionTtlSeconds; the least recently used session is forgotten beyond MOST_SESSIONS. The id is
found in a header, or by a session-id-producer.
"""

from collections import OrderedDict
from hashlib import blake2b
from typing import Annotated, Literal, Protocol

import msgspec

from epp.core.config.parameters import Text
from epp.core.config.structure import Section
from epp.core.domain.decision import Reservation
from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.cycle import Cycle
from epp.core.scheduling.session_token import SessionKey, SessionTokens

MOST_SESSIONS = 65536
"""a session takes about 300 bytes, whatever the length of its id"""


class EncodedEndpointHeader(Section, frozen=True):
    """`header`: of the request and of the response."""

    header: Text = "x-session-token"


class SessionIdSource(Section, frozen=True):
    """Where the id of a session is found."""

    header: Text


class SessionIdConfig(Section, frozen=True):
    """`sources` in their order; the first one that is there counts."""

    sources: tuple[SessionIdSource, ...] = (SessionIdSource("x-session-id"),)
    eviction_ttl_seconds: Annotated[float, msgspec.Meta(gt=0.0)] = 300.0
    """since the last request of the session"""
    eviction_sweep_seconds: Annotated[float, msgspec.Meta(gt=0.0)] = 10.0

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sessionIdConfig.sources is empty; name at least one header")


class SessionAffinityParameters(Section, frozen=True):
    """Parameters of session-affinity-scorer and session-affinity-filter."""

    strategy: Literal["encoded_endpoint_header", "session_id"] = "encoded_endpoint_header"
    encoded_endpoint_header_config: EncodedEndpointHeader = EncodedEndpointHeader()
    session_id_config: SessionIdConfig = SessionIdConfig()
    profile_name: str = ""
    """bind the session to the pick of this profile; empty: to the endpoint that answers"""
    session_id_producer_name: str = msgspec.field(default="", name="sessionIDProducerName")
    """takes the id of a session from this session-id-producer, and implies the strategy session_id"""


class SessionBond(Protocol):
    """One strategy."""

    def bound_slot(self, cycle: Cycle) -> int | None:
        """The slot that the session is bound to; None for a new session."""
        ...

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """The request went to the slot of `reservation`."""
        ...

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """What the client is to keep when `endpoint` served it."""
        ...


class TokenBond:
    """encoded_endpoint_header."""

    def __init__(self, config: EncodedEndpointHeader, key: SessionKey) -> None:
        self._header = config.header.lower()
        self._tokens = SessionTokens(key)

    def bound_slot(self, cycle: Cycle) -> int | None:
        """Of the endpoint whose token the request has."""
        token = cycle.request.headers.get(self._header)
        return None if token is None else self._tokens.slot_of(token, cycle.snapshot)

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:  # noqa: ARG002  protocol's shape
        """Nothing is remembered: the client has the token, made with the key of this pool."""
        self._tokens.follow(cycle.snapshot)

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:
        """The token of `endpoint`."""
        return self._header, self._tokens.token_of(endpoint)


class _Binding(msgspec.Struct, frozen=True):
    slot: int
    generation: int
    expires_at: float


class SessionIdBond:
    """session_id. Time is that of the cycles, monotonic seconds."""

    def __init__(
        self, config: SessionIdConfig, producer: str = "", most_sessions: int = MOST_SESSIONS, *, profile: str = ""
    ) -> None:
        self._profile = profile
        self._producer = producer
        self._headers = tuple(source.header.lower() for source in config.sources)
        self._ttl_s = config.eviction_ttl_seconds
        self._most = most_sessions
        self._bindings: OrderedDict[bytes, _Binding] = OrderedDict()
        """by digest of the id, because a client may send long ones; the next to expire first"""

    def __len__(self) -> int:
        return len(self._bindings)

    def bound_slot(self, cycle: Cycle) -> int | None:
        """Of the last pick for this session, unless it has expired or the slot has another owner by now."""
        session = self._session(cycle)
        binding = None if session is None else self._bindings.get(session)
        if binding is None or binding.expires_at <= cycle.now:
            return None
        return binding.slot if cycle.ledger.generation(binding.slot) == binding.generation else None

    def picked(self, cycle: Cycle, reservation: Reservation) -> None:
        """Binds the session, for the full time again."""
        session = self._session(cycle) if cycle.profile == (self._profile or cycle.primary) else None
        if session is None:
            return
        bindings = self._bindings
        bindings[session] = _Binding(reservation.slot, reservation.generation, cycle.now + self._ttl_s)
        bindings.move_to_end(session)
        while len(bindings) > self._most or next(iter(bindings.values())).expires_at <= cycle.now:
            bindings.popitem(last=False)

    def response_header(self, endpoint: Endpoint) -> tuple[str, str] | None:  # noqa: ARG002  protocol's shape
        """None: the client has its id already."""
        return None

    def _session(self, cycle: Cycle) -> bytes | None:
        if self._producer:
            session = cycle.products.get(self._producer, "")
        else:
            headers = cycle.request.headers
            session = next((found for header in self._headers if (found := headers.get(header))), "")
        return blake2b(session.encode("utf-8", "surrogatepass"), digest_size=16).digest() if session else None


def bond_of(parameters: SessionAffinityParameters, key: SessionKey) -> SessionBond:
    """The strategy that `parameters` name."""
    producer = parameters.session_id_producer_name
    if producer or parameters.strategy == "session_id":
        return SessionIdBond(parameters.session_id_config, producer, profile=parameters.profile_name)
    return TokenBond(parameters.encoded_endpoint_header_config, key)
