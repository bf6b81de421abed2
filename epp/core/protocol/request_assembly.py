"""Makes an InferenceRequest of headers and, where it is seen, the body."""

from collections.abc import Callable
from typing import Final

from epp.core.domain.errors import BadRequest, InternalError
from epp.core.domain.request import DEFAULT_FLOW, NO_PROMPT, InferenceRequest, ModelField, Prompt, PromptKind
from epp.core.domain.short_id import short_id
from epp.core.protocol.apis.parsers import ParserTable
from epp.core.protocol.body import NO_BODY, RequestBody
from epp.core.protocol.events import RequestHeaders
from epp.core.protocol.headers import FAIRNESS_ID, REQUEST_ID

Subset = tuple[str, ...] | None
LONGEST_MODEL_NAME: Final = 1_000
"""names are kept by records and books"""
MayRewrite = Callable[[InferenceRequest], bool]
"""whether routing may give the request another model than its body names"""
UNSEEN_BODY: Final = RequestBody(model_field=ModelField.UNSEEN)


def path_of(event: RequestHeaders) -> str:
    """`:path` without the query; the forwarded spellings only where a gateway took `:path` away (reference's order)."""
    headers = event.headers
    path = headers.get(":path") or headers.get("x-original-path") or headers.get("x-forwarded-path") or ""
    return path.split("?", 1)[0]


class RequestAssembly:
    """`new_request_id` is asked only where client and proxy gave none."""

    def __init__(self, parsers: ParserTable, new_request_id: Callable[[], str], may_rewrite: MayRewrite) -> None:
        self._parsers = parsers
        self._new_request_id = new_request_id
        self._may_rewrite = may_rewrite

    def unseen(self, event: RequestHeaders) -> InferenceRequest:
        """A request whose body is not shown; it is routed by load alone. Raises InternalError."""
        has_model = self._parsers.reads(path_of(event))
        request = self._assemble(event, UNSEEN_BODY if has_model else NO_BODY, 0, event.subset)
        if has_model and self._may_rewrite(request):
            raise InternalError(
                "the model of the request has to be rewritten, but the proxy does not show the request body",
                hint="set request_body_mode of its ext_proc filter to BUFFERED or FULL_DUPLEX_STREAMED",
            )
        return request

    def bodyless(self, event: RequestHeaders) -> InferenceRequest:
        """A request that has no body at all; raises BadRequest where the API needs one."""
        path = path_of(event)
        if event.headers.get(":method") == "POST" and self._parsers.reads(path):
            raise BadRequest(
                "error unmarshaling request bodyMap: the body is empty",
                hint=f"POST {path} needs a body",
            )
        return self._assemble(event, NO_BODY, 0, event.subset)

    def whole(self, event: RequestHeaders, data: bytes | memoryview, subset: Subset) -> InferenceRequest:
        """A request with its whole body; raises BadRequest."""
        path = path_of(event)
        reader = self._parsers.reader(path)
        subset = event.subset if subset is None else subset
        if reader is None and not data:
            return self._assemble(event, NO_BODY, 0, subset)
        if reader is None:
            raise BadRequest(
                f"no parser registered matching path suffix for: {path}",
                hint=f"bodies are read by {', '.join(self._parsers.names)}; passthrough-parser would let others pass",
            )
        body = reader(data)
        prompt = body.prompt
        if prompt.kind is PromptKind.TEXT:
            prompt = Prompt(PromptKind.TEXT, prompt.data, data)
        request = self._assemble(event, body, len(data), subset, prompt)
        if not request.model and request.model_field is ModelField.REQUIRED and not self._may_rewrite(request):
            raise BadRequest(
                "model not found in request body",
                hint='"model" must be a non-empty string: the name of the base model or of a LoRA adapter',
                param="model",
            )
        return request

    def _assemble(
        self,
        event: RequestHeaders,
        body: RequestBody,
        body_bytes: int,
        subset: Subset,
        prompt: Prompt = NO_PROMPT,
    ) -> InferenceRequest:
        headers = event.headers
        if len(body.model) > LONGEST_MODEL_NAME:
            raise BadRequest(
                f"the name of the model has {len(body.model)} characters",
                hint=f"at most {LONGEST_MODEL_NAME} are possible",
                param="model",
            )
        return InferenceRequest(
            request_id=headers.get(REQUEST_ID) or self._new_request_id(),
            path=path_of(event),
            method=headers.get(":method", ""),
            headers=headers,
            model=body.model,
            model_field=body.model_field,
            target_model=body.model,
            prompt=prompt,
            multimodal=body.multimodal,
            streaming=body.streaming,
            max_tokens=body.max_tokens,
            cache_salt=body.cache_salt,
            claimed_priority=body.claimed_priority,
            fairness_id=short_id(headers.get(FAIRNESS_ID[0]) or headers.get(FAIRNESS_ID[1]) or DEFAULT_FLOW),
            body_bytes=body_bytes,
            subset=subset,
        )
