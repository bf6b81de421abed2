"""A request to the engine and its progress."""

from enum import Enum
from typing import Literal, NamedTuple

import msgspec

from epp.lab.fake_vllm.adapters import Adapter
from epp.lab.fake_vllm.tokens import TOKEN_BYTES, block_hashes, root_hash, token_count

FinishReason = Literal["stop", "length"]


class EngineRequest(msgspec.Struct, frozen=True):
    """One sequence to generate. `prompt` and `output` are token sequences (`tokens.py`): the answer is known before.

    `priority` counts only under priority scheduling; lower runs earlier, as in vLLM.
    """

    request_id: int
    prompt: bytes
    output: bytes
    finish_reason: FinishReason = "length"
    adapter: Adapter | None = None
    cache_salt: str = ""
    priority: int = 0


class TokenOutput(NamedTuple):
    """Output token number `position` (from 0) of a request; `finish_reason` is set on its last one."""

    request_id: int
    position: int
    finish_reason: FinishReason | None
    cached_tokens: int


class Phase(Enum):
    """Where a sequence is: queued before the engine, waiting in it, running, or gone."""

    ARRIVED = "arrived"
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


class Sequence:
    """Progress of one request: `computed` of its tokens have KV entries in `blocks`; `hashes` name the full blocks."""

    __slots__ = (
        "arrived_at",
        "blocks",
        "cached_tokens",
        "computed",
        "hashes",
        "key",
        "last_token_at",
        "output_tokens",
        "phase",
        "produced",
        "prompt_tokens",
        "request",
        "root",
        "scheduled_at",
        "tokens",
        "total",
    )

    def __init__(
        self, request: EngineRequest, *, arrived_at: float, order: int, priority: int, block_size: int
    ) -> None:
        self.request = request
        self.arrived_at = arrived_at
        self.scheduled_at: float | None = None
        self.last_token_at = 0.0
        self.key = (priority, arrived_at, order)
        self.phase = Phase.ARRIVED
        self.prompt_tokens = token_count(request.prompt)
        self.output_tokens = token_count(request.output)
        self.tokens = bytearray(request.prompt)
        self.total = self.prompt_tokens
        self.computed = 0
        self.produced = 0
        self.blocks: list[int] = []
        self.cached_tokens: int | None = None
        self.root = root_hash(request.adapter.id if request.adapter else 0, request.cache_salt)
        self.hashes = block_hashes(request.prompt, block_size, self.root)

    @property
    def uncomputed_tokens(self) -> int:
        """Tokens that have no KV entry yet."""
        return self.total - self.computed

    def grow(self, block_size: int) -> None:
        """Appends the next output token to the sequence, and the hash of the block that it may complete."""
        start = self.produced * TOKEN_BYTES
        self.tokens += self.request.output[start : start + TOKEN_BYTES]
        self.produced += 1
        self.total += 1
        if self.total % block_size == 0:
            parent = self.hashes[-1] if self.hashes else self.root
            self.hashes += block_hashes(self.tokens[-block_size * TOKEN_BYTES :], block_size, parent)
