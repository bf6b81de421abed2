"""Makes an InferenceRequest of headers and, where it is seen, the body."""

from collections.abc import Callable

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import DEFAULT_FLOW, InferenceRequest
from epp.core.protocol.body import NO_BODY, RequestBody
from epp.core.protocol.events import RequestHeaders
from epp.core.protocol.headers import FAIRNESS_ID, REQUEST_ID
from epp.core.protocol.openai import reader_for

Subset = tuple[str, ...] | None


def path_of(event: RequestHeaders) -> str:
    """`:path` without the query; the forwarded spellings only where a gateway took `:path` away (reference's order)."""
    headers = event.headers
    path = headers.get(":path") or headers.get("x-original-path") or headers.get("x-forwarded-path") or ""
    return path.split("?", 1)[0]


def assemble_without_body(event: RequestHeaders, new_request_id: Callable[[], str]) -> InferenceRequest:
    """A request whose body is empty or not shown; it is routed by load alone."""
    return _assemble(event, NO_BODY, 0, event.subset, new_request_id)


def assemble_bodyless(event: RequestHeaders, new_request_id: Callable[[], str]) -> InferenceRequest:
    """A request that has no body at all; raises BadRequest where the API needs one."""
    if event.headers.get(":method") == "POST" and reader_for(path_of(event)) is not None:
        raise BadRequest(
            "error unmarshaling request bodyMap: the body is empty",
            hint=f"POST {path_of(event)} needs a JSON object with a model",
        )
    return assemble_without_body(event, new_request_id)


def assemble(
    event: RequestHeaders, data: bytes | memoryview, subset: Subset, new_request_id: Callable[[], str]
) -> InferenceRequest:
    """A request with its whole body; raises BadRequest."""
    path = path_of(event)
    reader = reader_for(path)
    subset = event.subset if subset is None else subset
    if reader is None and not data:
        return _assemble(event, NO_BODY, 0, subset, new_request_id)
    if reader is None:
        raise BadRequest(
            f"no parser registered matching path suffix for: {path}",
            hint="bodies are read on /v1/completions and /v1/chat/completions",
        )
    return _assemble(event, reader(data), len(data), subset, new_request_id)


def _assemble(
    event: RequestHeaders, body: RequestBody, body_bytes: int, subset: Subset, new_request_id: Callable[[], str]
) -> InferenceRequest:
    headers = event.headers
    return InferenceRequest(
        request_id=headers.get(REQUEST_ID) or new_request_id(),
        path=path_of(event),
        method=headers.get(":method", ""),
        headers=headers,
        model=body.model,
        target_model=body.model,
        prompt=body.prompt,
        streaming=body.streaming,
        max_tokens=body.max_tokens,
        cache_salt=body.cache_salt,
        claimed_priority=body.claimed_priority,
        fairness_id=headers.get(FAIRNESS_ID[0]) or headers.get(FAIRNESS_ID[1]) or DEFAULT_FLOW,
        body_bytes=body_bytes,
        subset=subset,
    )
