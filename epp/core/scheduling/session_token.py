"""Session tokens: what a client sends back to return to the endpoint that served it.

token = hex(blake2b(namespace/name NUL incarnation, key, 128 bits)). It tells nothing about the pool and cannot be made
without the key; it is void as soon as the pod is another one or was restarted, because the cache is gone with it. All
pickers of a pool need the same key. Without a key everybody who knows pod names and uids can make a token.
Source: the reference sends base64 of `namespace/name`; RFC 7693 for the keyed hash.
"""

from collections.abc import Mapping
from hashlib import blake2b

from epp.core.domain.endpoint import Endpoint
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.snapshot import PoolSnapshot

TOKEN_BYTES = 16
LONGEST_KEY_BYTES = blake2b.MAX_KEY_SIZE
_PURPOSE = b"session-token"


class SessionTokens:
    """Tokens of all endpoints, made once per snapshot; raises ValueError for a key of more than 64 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) > LONGEST_KEY_BYTES:
            raise ValueError(f"the session key has {len(key)} bytes; at most {LONGEST_KEY_BYTES} are possible")
        self._key = key
        self._slots: PerSnapshot[Mapping[str, int]] = PerSnapshot(self._read_snapshot)

    def token_of(self, endpoint: Endpoint) -> str:
        """32 hexadecimal digits."""
        who = f"{endpoint.key}\0{endpoint.incarnation}".encode()
        return blake2b(who, digest_size=TOKEN_BYTES, key=self._key, person=_PURPOSE).hexdigest()

    def slot_of(self, token: str, snapshot: PoolSnapshot) -> int | None:
        """The slot of the endpoint that the token stands for; None for a token of nobody who is there now."""
        return self._slots.of(snapshot).get(token)

    def _read_snapshot(self, snapshot: PoolSnapshot) -> Mapping[str, int]:
        slots = snapshot.slots.tolist()
        return {self.token_of(endpoint): slot for endpoint, slot in zip(snapshot.endpoints, slots, strict=True)}
