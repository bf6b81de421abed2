"""What the picker takes from a request body, whatever API it belongs to."""

import msgspec

from epp.core.domain.request import NO_PROMPT, MultimodalItem, Prompt


class RequestBody(msgspec.Struct, frozen=True):
    """Read once; the prompt stays a view of the raw bytes."""

    model: str = ""
    prompt: Prompt = NO_PROMPT
    multimodal: tuple[MultimodalItem, ...] = ()
    """among token ids"""
    streaming: bool = False
    max_tokens: int | None = None
    cache_salt: str = ""
    claimed_priority: int | None = None
    """integer `priority` of the body"""


NO_BODY = RequestBody()
