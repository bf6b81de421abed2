"""What the picker takes from a request body, whatever API it belongs to."""

from typing import Final

from epp.core.domain.record import Record
from epp.core.domain.request import NO_PROMPT, ModelField, MultimodalItem, Prompt


class RequestBody(Record):
    """Read once; the prompt stays a view of the raw bytes."""

    def __init__(
        self,
        model: str = "",
        prompt: Prompt = NO_PROMPT,
        *,
        multimodal: tuple[MultimodalItem, ...] = (),
        streaming: bool = False,
        max_tokens: int | None = None,
        cache_salt: str = "",
        claimed_priority: int | None = None,
        model_field: ModelField = ModelField.NONE,
    ) -> None:
        self.model: Final = model
        """empty where the body names none, or something that is no name"""
        self.prompt: Final = prompt
        self.multimodal: Final = multimodal
        """among token ids"""
        self.streaming: Final = streaming
        self.max_tokens: Final = max_tokens
        self.cache_salt: Final = cache_salt
        self.claimed_priority: Final = claimed_priority
        """integer `priority` of the body"""
        self.model_field: Final = model_field


NO_BODY: Final = RequestBody()
