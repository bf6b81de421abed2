"""An inference request as the scheduler sees it."""

from collections.abc import Mapping
from enum import Enum

import msgspec

DEFAULT_FLOW = "default-flow"


class PromptKind(Enum):
    """What the raw bytes of a prompt are; it decides how many bytes stand for a token."""

    NONE = "none"
    TEXT = "text"
    """JSON text of a string, or of the list of messages, as the client wrote it"""
    TOKEN_IDS = "token-ids"  # noqa: S105  a kind of prompt, not a secret
    """little-endian uint32 token ids"""


class Prompt(msgspec.Struct, frozen=True):
    """The prompt without a copy of the body: a view of its raw bytes."""

    kind: PromptKind = PromptKind.NONE
    data: memoryview | bytes = b""

    @property
    def token_count(self) -> int:
        """Exact for token ids; for text the usual estimate of 4 bytes a token, rounded up."""
        return (len(self.data) + 3) // 4


NO_PROMPT = Prompt()
NO_HEADERS: Mapping[str, str] = {}


class InferenceRequest(msgspec.Struct, frozen=True):
    """Everything that scheduling may look at; built once, when the request has been read."""

    request_id: str
    path: str = "/"
    method: str = "POST"
    headers: Mapping[str, str] = NO_HEADERS
    model: str = ""
    """as the client wrote it; empty where the path or the body mode gives none"""
    target_model: str = ""
    """what the model server is asked for: `model` unless rewritten"""
    prompt: Prompt = NO_PROMPT
    streaming: bool = False
    max_tokens: int | None = None
    cache_salt: str = ""
    claimed_priority: int | None = None
    """integer `priority` of the body; what it is worth is for routing to say"""
    priority: int = 0
    fairness_id: str = DEFAULT_FLOW
    body_bytes: int = 0
    subset: tuple[str, ...] | None = None
    """subset hint of Envoy: `ip` or `ip:port` entries; None when there is no hint, empty when it names nobody"""
