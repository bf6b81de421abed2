"""An inference request as the scheduler sees it."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from epp.core.domain.record import Record
from epp.core.domain.value import Value

DEFAULT_FLOW: Final = "default-flow"
_MEDIA_PART: Final = re.compile(rb'"type"\s*:\s*"(?:(?:image|video|audio)(?:_url)?|input_(?:image|video|audio))"')
"""a part of a message that is no text, in the APIs of OpenAI and Anthropic; inside a JSON text the quotes have
backslashes, so that no text is taken for one"""


class PromptKind(Enum):
    """What the raw bytes of a prompt are; it decides how many bytes stand for a token."""

    NONE = "none"
    TEXT = "text"
    """JSON text of a string, or of the list of messages, as the client wrote it"""
    TOKEN_IDS = "token-ids"  # noqa: S105  a kind of prompt, not a secret
    """little-endian uint32 token ids"""


class ModelField(Enum):
    """What the body's `model` is to the API that was asked."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    """the model server has a default"""
    NONE = "none"
    """the API has none, or nobody reads the body"""
    UNSEEN = "unseen"
    """the proxy does not show the body"""


class Prompt(Record):
    """The prompt without a copy of the body: a view of its raw bytes."""

    def __init__(
        self,
        kind: PromptKind = PromptKind.NONE,
        data: memoryview | bytes = b"",
        body: memoryview | bytes = b"",
    ) -> None:
        self.kind: Final = kind
        self.data: Final = data
        self.body: Final = body
        """of a text: the whole JSON body around it, for who has to render it as the model server does"""

    @property
    def token_count(self) -> int:
        """Exact for token ids; for text the usual estimate of 4 bytes a token, rounded up."""
        return (len(self.data) + 3) // 4

    @property
    def has_media(self) -> bool:
        """Whether messages have images, videos or sound in them; looked for when asked, which takes time."""
        return self.kind is PromptKind.TEXT and _MEDIA_PART.search(self.data) is not None


NO_PROMPT: Final = Prompt()
NO_HEADERS: Final[Mapping[str, str]] = {}


class MultimodalItem(Value):
    """An image or the like in a prompt of token ids."""

    identifier: str
    """the engine's hash of its content"""
    offset: int
    """place of its first placeholder token"""
    length: int
    """number of its placeholder tokens"""


class Placement(Value):
    """Where a request should go because of others that came with it; said by a producer that saw all of them."""

    producer: str
    slot: int
    generation: int
    """of the slot; with another one the endpoint is not there any more"""
    blocks: int
    """whole blocks of the prompt"""


class InferenceRequest(Record):
    """Everything that scheduling may look at; built once, when the request has been read."""

    def __init__(
        self,
        request_id: str,
        *,
        path: str = "/",
        method: str = "POST",
        headers: Mapping[str, str] = NO_HEADERS,
        model: str = "",
        model_field: ModelField = ModelField.NONE,
        target_model: str = "",
        model_rewrite: str = "",
        prompt: Prompt = NO_PROMPT,
        prompt_tokens: bytes | None = None,
        multimodal: tuple[MultimodalItem, ...] = (),
        streaming: bool = False,
        max_tokens: int | None = None,
        cache_salt: str = "",
        claimed_priority: int | None = None,
        priority: int = 0,
        fairness_id: str = DEFAULT_FLOW,
        body_bytes: int = 0,
        subset: tuple[str, ...] | None = None,
        placements: tuple[Placement, ...] = (),
    ) -> None:
        self.request_id: Final = request_id
        self.path: Final = path
        self.method: Final = method
        self.headers: Final = headers
        self.model: Final = model
        """as the client wrote it; empty where the path or the body mode gives none"""
        self.model_field: Final = model_field
        self.target_model: Final = target_model
        """what the model server is asked for: `model` unless rewritten"""
        self.model_rewrite: Final = model_rewrite
        """name of the InferenceModelRewrite that gave the target, empty without one"""
        self.prompt: Final = prompt
        self.prompt_tokens: Final = prompt_tokens
        """token ids of a text prompt as the model server will see them, little-endian uint32; None: nobody was asked,
        or nobody answered in time"""
        self.multimodal: Final = multimodal
        """items among the token ids, wherever these come from"""
        self.streaming: Final = streaming
        self.max_tokens: Final = max_tokens
        self.cache_salt: Final = cache_salt
        self.claimed_priority: Final = claimed_priority
        """integer `priority` of the body; what it is worth is for routing to say"""
        self.priority: Final = priority
        self.fairness_id: Final = fairness_id
        self.body_bytes: Final = body_bytes
        self.subset: Final = subset
        """subset hint of Envoy: `ip` or `ip:port` entries; None when there is no hint, empty when it names nobody"""
        self.placements: Final = placements
        """of the burst that the request came with"""

    @property
    def token_ids(self) -> memoryview | bytes | None:
        """The prompt's token ids, little-endian uint32; None where only text is known."""
        return self.prompt.data if self.prompt.kind is PromptKind.TOKEN_IDS else self.prompt_tokens

    @property
    def token_count(self) -> int:
        """Prompt tokens: counted where they are known, else estimated from the text."""
        return self.prompt.token_count if self.prompt_tokens is None else len(self.prompt_tokens) // 4

    def without_prompt(self) -> "InferenceRequest":
        """The same without what takes memory, prompt and headers: for as long as the response lasts."""
        return InferenceRequest(
            self.request_id,
            path=self.path,
            method=self.method,
            model=self.model,
            model_field=self.model_field,
            target_model=self.target_model,
            model_rewrite=self.model_rewrite,
            streaming=self.streaming,
            max_tokens=self.max_tokens,
            cache_salt=self.cache_salt,
            claimed_priority=self.claimed_priority,
            priority=self.priority,
            fairness_id=self.fairness_id,
            body_bytes=self.body_bytes,
            subset=self.subset,
            placements=self.placements,
        )
