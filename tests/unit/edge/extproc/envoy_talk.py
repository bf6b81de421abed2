"""One ext_proc stream, step by step, from Envoy's side; and a router that holds, or lets itself be broken off."""

from epp._pb.ext_proc_pb2 import HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest, ProcessingResponse
from epp.core.domain.decision import Decision
from epp.core.domain.request import InferenceRequest
from epp.core.flow.ticket import BreakOff, Ticket
from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import DESTINATION, header_map
from tests.support.ext_proc_stream import ExtProcStream
from tests.support.picker import HoldingRouter, Picker


class Router(HoldingRouter):
    """Decides at once unless it is told to hold; keeps how to break off what was dispatched."""

    def __init__(self, picker: Picker) -> None:
        super().__init__(picker.router, wait_s=30.0)
        self.holds = False
        self.running: list[BreakOff] = []

    def decide(self, request: InferenceRequest) -> Decision | Ticket:
        return super().decide(request) if self.holds else self._router.decide(request)

    def dispatched(self, decision: Decision, break_off: BreakOff) -> None:
        self.running.append(break_off)


class Talk:
    """One stream from Envoy's side; keeps what it hears."""

    def __init__(self, stream: ExtProcStream, picker: Picker, router: Router) -> None:
        self.picker = picker
        self.router = router
        self.heard: list[bytes] = []
        self.end = ""
        self._stream = stream

    async def headers(
        self, mode: BodyMode, response: BodyMode = BodyMode.NONE, *, method: str = "POST", end: bool = False
    ) -> None:
        """The request begins."""
        fields = {":method": method, ":path": "/v1/completions", "x-request-id": "r-1"}
        message = ProcessingRequest(request_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end))
        message.protocol_config.request_body_mode = mode.value  # type: ignore[assignment]  # same numbers
        message.protocol_config.response_body_mode = response.value  # type: ignore[assignment]
        await self._stream.send(message)

    async def body(self, data: bytes, *, end: bool = True) -> None:
        """A piece of the request's body."""
        await self._stream.send(ProcessingRequest(request_body=HttpBody(body=data, end_of_stream=end)))

    async def trailers(self) -> None:
        """The request ends with trailers."""
        await self._stream.send(ProcessingRequest(request_trailers=HttpTrailers()))

    async def response(self, status: int = 200, kind: str = "application/json", *, end: bool = False) -> None:
        """The model server answers; from where the picker said."""
        fields = {":status": str(status), "content-type": kind}
        message = ProcessingRequest(response_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end))
        message.metadata_context.filter_metadata["envoy.lb"].update({f"{DESTINATION}-served": "10.0.0.2:8000"})
        await self._stream.send(message)

    async def response_body(self, data: bytes, *, end: bool = False) -> None:
        """A piece of the answer's body."""
        await self._stream.send(ProcessingRequest(response_body=HttpBody(body=data, end_of_stream=end)))

    async def response_trailers(self) -> None:
        """The answer ends with trailers."""
        await self._stream.send(ProcessingRequest(response_trailers=HttpTrailers()))

    async def raw(self, message: bytes) -> None:
        """Whatever it is."""
        await self._stream.send_bytes(message)

    async def hear(self, *kinds: str) -> None:
        """The next answers, of these kinds."""
        for kind in kinds:
            self.heard.append(await self._stream.receive_bytes())
            answer = ProcessingResponse.FromString(self.heard[-1])
            extends = answer.HasField("override_message_timeout")
            found = "override_message_timeout" if extends else answer.WhichOneof("response")
            assert kind == found, f"expected {kind}, got {answer}"

    async def hear_body(self, length: int) -> None:
        """Pieces of a request's body until it is whole."""
        while length > 0:
            await self.hear("request_body")
            answer = ProcessingResponse.FromString(self.heard[-1])
            length -= len(answer.request_body.response.body_mutation.streamed_response.body)

    async def half_close(self) -> None:
        """The proxy wants nothing more."""
        await self._stream.half_close()
        await self.ended()

    async def ended(self, *, with_details: bool = True) -> None:
        """The stream is ended by the picker, and nothing else is said."""
        code = await self._stream.status()
        self.end = f"{code.name}: {await self._stream.details()}" if with_details else code.name

    def reset(self) -> None:
        """The proxy's usual end."""
        self._stream.reset()
