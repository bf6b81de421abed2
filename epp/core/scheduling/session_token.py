"""Session tokens: what a client sends back to return to the endpoint that served it.

token = hex(blake2b(namespace/name NUL incarnation, key, 128 bits)). It tells nothing about the pool and cannot be made
without the key; it is void as soon as the pod is another one or was restarted, because the cache is gone with it.

The key is the operator's, else it is made from the uid of the pool, which every replica knows and no client; a pool
without uid (files by hand) has a key of this process, and its tokens end with it.
Source: the reference sends base64 of `namespace/name`; RFC 7693 for the keyed hash.
"""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.snapshot import PoolSnapshot

TOKEN_BYTES = 16
LONGEST_KEY_BYTES = blake2b.MAX_KEY_SIZE
_PURPOSE = b"session-token"
_KEY_PURPOSE = b"session-key"


class SessionKey(msgspec.Struct, frozen=True):
    """Where the key comes from; raises ValueError for one of more than 64 bytes."""

    given: bytes = b""
    """by the operator; empty: made from the pool's uid"""
    own: bytes = b""
    """for a pool without uid"""

    def __post_init__(self) -> None:
        for key in (self.given, self.own):
            if len(key) > LONGEST_KEY_BYTES:
                raise ValueError(f"the session key has {len(key)} bytes; at most {LONGEST_KEY_BYTES} are possible")

    def of(self, pool: InferencePool | None) -> bytes:
        """The key for the endpoints of `pool`."""
        if self.given:
            return self.given
        if pool is None or not pool.uid:
            return self.own
        return blake2b(pool.uid.encode("utf-8", "surrogatepass"), person=_KEY_PURPOSE).digest()


NO_KEY = SessionKey()
"""tokens that everybody can make who knows names and uids of pods"""


class SessionTokens:
    """Tokens of all endpoints, made once per snapshot."""

    def __init__(self, key: SessionKey) -> None:
        self._key = key
        self._key_in_force = key.of(None)
        self._slots: PerSnapshot[Mapping[str, int]] = PerSnapshot(self._read_snapshot)

    def follow(self, snapshot: PoolSnapshot) -> None:
        """From now on tokens are made for the endpoints of `snapshot`."""
        self._slots.of(snapshot)

    def token_of(self, endpoint: Endpoint) -> str:
        """32 hexadecimal digits, for an endpoint of the last snapshot."""
        who = f"{endpoint.key}\0{endpoint.incarnation}".encode()
        return blake2b(who, digest_size=TOKEN_BYTES, key=self._key_in_force, person=_PURPOSE).hexdigest()

    def slot_of(self, token: str, snapshot: PoolSnapshot) -> int | None:
        """The slot of the endpoint that the token stands for; None for a token of nobody who is there now."""
        return self._slots.of(snapshot).get(token)

    def _read_snapshot(self, snapshot: PoolSnapshot) -> Mapping[str, int]:
        self._key_in_force = self._key.of(snapshot.pool)
        slots = snapshot.slots.tolist()
        return {self.token_of(endpoint): slot for endpoint, slot in zip(snapshot.endpoints, slots, strict=True)}
