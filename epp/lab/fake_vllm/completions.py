"""POST /v1/completions and /v1/chat/completions."""

import asyncio
import time
import uuid

from aiohttp import web

from epp.lab.fake_vllm.answer_json import AnswerHead, EventWriter, whole_answer
from epp.lab.fake_vllm.asks import Ask, plan
from epp.lab.fake_vllm.bodies import ChatFields, CompletionFields, read_fields
from epp.lab.fake_vllm.driver import Generation
from epp.lab.fake_vllm.errors import ApiError, unavailable
from epp.lab.fake_vllm.journal import Outcome, ServedRequest
from epp.lab.fake_vllm.pod_state import PodState
from epp.lab.fake_vllm.replies import Replies, read_body, reset_connection, until_disconnected
from epp.lab.fake_vllm.sequence import EngineRequest, TokenOutput
from epp.lab.fake_vllm.tokens import token_count

CLIENT_GONE = 499  # nginx's number, for a request that got no status


class InferenceCall:
    """One inference request from body to last token; `run` raises ApiError for a refusal. Used once."""

    def __init__(
        self,
        state: PodState,
        replies: Replies,
        request: web.BaseRequest,
        fields_type: type[CompletionFields] | type[ChatFields],
    ) -> None:
        self._state = state
        self._replies = replies
        self._request = request
        self._fields_type = fields_type
        self._began_unix_s = time.time()
        self._fields: CompletionFields | ChatFields | None = None
        self._ask: Ask | None = None
        self._generation: Generation | None = None
        self._status = CLIENT_GONE
        self._noted = False

    async def run(self) -> web.StreamResponse:
        """Serves the request; the journal has its line before the client can see the end of the answer."""
        self._state.begin_request()
        try:
            return await self._answer(await self._read())
        except ApiError as error:
            self._note("refused", error.status)
            raise
        except (asyncio.CancelledError, ConnectionError):
            self._note("aborted", self._status)
            raise
        finally:
            self._state.end_request()

    async def _read(self) -> Ask:
        state = self._state
        if state.draining:
            raise unavailable("the pod is shutting down")
        faults = state.faults.faults
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        fault = state.faults.refuse()
        raw = await read_body(self._request)
        if fault is not None:
            raise fault
        self._fields = read_fields(raw, self._request.headers.get("Content-Type", ""), self._fields_type)
        self._ask = plan(self._fields, state.models, state.settings)
        return self._ask

    async def _answer(self, ask: Ask) -> web.StreamResponse:
        driver = self._state.driver
        requests = [
            EngineRequest(
                request_id=request_id,
                prompt=choice.prompt,
                output=choice.answer.tokens,
                finish_reason=choice.answer.finish_reason,
                adapter=ask.adapter,
                cache_salt=ask.cache_salt,
                priority=ask.priority,
            )
            for request_id, choice in zip(driver.next_ids(len(ask.choices)), ask.choices, strict=True)
        ]
        generation = self._generation = driver.submit(requests, stream=ask.stream)
        prefix = "cmpl" if ask.endpoint == "completion" else "chatcmpl"
        name = self._request.headers.get("x-request-id") or uuid.uuid4().hex
        head = AnswerHead(id=f"{prefix}-{name}", created=int(self._began_unix_s))
        try:
            if ask.stream:
                return await self._stream(ask, generation, EventWriter(head, ask))
            await generation.events()
        finally:
            if generation.unfinished:
                driver.abort(requests)
        self._note("completed", 200)
        return self._replies.json(self._request, whole_answer(head, ask, generation.cached_tokens))

    async def _stream(self, ask: Ask, generation: Generation, writer: EventWriter) -> web.StreamResponse:
        response = web.StreamResponse(
            headers=self._replies.headers(self._request, "text/event-stream; charset=utf-8"),
        )
        await response.prepare(self._request)
        self._status = 200
        pending = writer.opening()
        cut_at = self._state.faults.faults.drop_after_tokens
        left = sum(token_count(choice.answer.tokens) for choice in ask.choices)
        while left:
            events = await generation.events()
            if cut_at is not None and len(events) >= cut_at:
                await response.write(pending + _encode(writer, events[:cut_at]))
                reset_connection(self._request)
                await until_disconnected()
            cut_at = None if cut_at is None else cut_at - len(events)
            left -= len(events)
            pending += _encode(writer, events)
            if not left:
                self._note("completed", 200)
                pending += writer.closing(generation.cached_tokens)
            await response.write(pending)
            pending = b""
        await response.write_eof()
        return response

    def _note(self, outcome: Outcome, status: int) -> None:
        if self._noted:
            return
        self._noted = True
        fields, ask, generation = self._fields, self._ask, self._generation
        self._state.journal.add(
            ServedRequest(
                request_id=self._request.headers.get("x-request-id", ""),
                path=self._request.path,
                unix_s=self._began_unix_s,
                status=status,
                outcome=outcome,
                model=fields.model if fields else None,
                priority=fields.priority if fields and isinstance(fields.priority, int) else None,
                stream=ask.stream if ask else False,
                prompt_tokens=ask.prompt_tokens if ask else 0,
                cached_tokens=generation.cached_tokens if generation else 0,
                completion_tokens=generation.tokens if generation else 0,
                destination=self._request.headers.get("x-gateway-destination-endpoint", ""),
            )
        )


def _encode(writer: EventWriter, events: list[tuple[int, TokenOutput]]) -> bytes:
    return b"".join([writer.token(index, output.position, output.finish_reason) for index, output in events])
