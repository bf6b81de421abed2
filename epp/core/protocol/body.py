"""What the picker takes from a request body, whatever API it belongs to."""

import msgspec

from epp.core.domain.request import NO_PROMPT, ModelField, MultimodalItem, Prompt


class RequestBody(msgspec.Struct, frozen=True):
    """Read once; the prompt stays a view of the raw bytes."""

    model: str = ""
    """empty where the body names none, or something that is no name"""
    prompt: Prompt = NO_PROMPT
    multimodal: tuple[MultimodalItem, ...] = ()
    """among token ids"""
    streaming: bool = False
    max_tokens: int | None = None
    cache_salt: str = ""
    claimed_priority: int | None = None
    """integer `priority` of the body"""
    model_field: ModelField = ModelField.NONE


NO_BODY = RequestBody()
