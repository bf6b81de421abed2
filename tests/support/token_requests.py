"""Requests with a body, as the token sources see them."""

from typing import Any

import msgspec

from epp.core.domain.request import InferenceRequest
from epp.core.protocol.apis.parsers import ParserTable
from epp.core.protocol.events import RequestHeaders
from epp.core.protocol.request_assembly import RequestAssembly

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


def read_request(path: str, **body: Any) -> InferenceRequest:
    """Read as the picker reads it."""
    headers = RequestHeaders({":path": path, ":method": "POST"}, end_of_stream=False)
    encoded = msgspec.json.encode({"model": "meta/base", **body})
    return RequestAssembly(ParserTable(), lambda: "r", lambda _: False).whole(headers, encoded, None)


def completion(prompt: Any = "hello world", **body: Any) -> InferenceRequest:
    """POST /v1/completions."""
    return read_request(COMPLETIONS, prompt=prompt, **body)


def chat(content: Any = "hello world", **body: Any) -> InferenceRequest:
    """POST /v1/chat/completions with one message."""
    return read_request(CHAT, messages=[{"role": "user", "content": content}], **body)
