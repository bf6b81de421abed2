"""An ext_proc client that speaks as Envoy does: whole HTTP requests in each body mode, or bare streams.

async with ExtProcClient(port) as envoy:
    request = envoy.request(BodyMode.BUFFERED)
    forwarded = await request.send(b'{"model":"m","prompt":"x"}')
    await request.answered(served=forwarded.destination)
    request.reset()                                                 # Envoy's usual end of a stream
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc.aio
import msgspec

from epp._pb.core_pb2 import HeaderMap, HeaderValue
from epp._pb.ext_proc_pb2 import (
    CommonResponse,
    HeaderMutation,
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProcessingResponse,
)
from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_stream import ExtProcStream

METHOD = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
DESTINATION = "x-gateway-destination-endpoint"
T = TypeVar("T")
UNSEEN = frozenset({BodyMode.NONE})
DUPLEX = frozenset({BodyMode.FULL_DUPLEX_STREAMED, BodyMode.GRPC})


class Refused(Exception):
    """The picker answered with an immediate response."""

    def __init__(self, message: ProcessingResponse) -> None:
        immediate = message.immediate_response
        self.status = int(immediate.status.code)
        self.headers = _set_headers(immediate.headers)
        self.body = bytes(immediate.body)
        super().__init__(self.status, self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The `error` member of the JSON body."""
        decoded: dict[str, dict[str, Any]] = msgspec.json.decode(self.body)
        return decoded["error"]


class Forwarded(msgspec.Struct, frozen=True):
    """What Envoy sends upstream after the picker answered."""

    destination: str
    """of the header; the dynamic metadata was found to be the same"""
    headers: dict[str, str]
    """set by the picker"""
    removed: tuple[str, ...]
    body: bytes
    clears_route_cache: bool


class ExtProcClient:
    """One HTTP/2 connection to the picker."""

    def __init__(self, port: int) -> None:
        unlimited = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*unlimited, *own])
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    def stream(self) -> ExtProcStream:
        """A new stream."""
        return ExtProcStream(self._channel.stream_stream(METHOD)())

    def in_background(self, doing: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Runs beside the test, at most until the connection is closed."""
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.append(task)
        return task

    def request(self, mode: BodyMode, response_mode: BodyMode = BodyMode.NONE) -> "ProxiedRequest":
        """A new HTTP request, for which Envoy is configured like this."""
        return ProxiedRequest(self.stream(), mode, response_mode)


class ProxiedRequest:
    """Envoy's ext_proc filter around one HTTP request. `extensions` are the timeout overrides it got, in seconds."""

    def __init__(self, stream: ExtProcStream, mode: BodyMode, response_mode: BodyMode) -> None:
        self.stream = stream
        self.extensions: list[float] = []
        self._mode = mode
        self._response_mode = response_mode
        self._is_first = True

    async def send(
        self,
        *body: bytes,
        path: str = "/v1/completions",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        trailers: bool = False,
        subset: Sequence[str] | None = None,
    ) -> Forwarded:
        """The whole request in pieces (none: no body); returns what goes upstream, raises Refused or StreamOver."""
        await self.begin(path=path, method=method, headers=headers, end_of_stream=not body, subset=subset)
        if not body:
            return self._forwarded(await self.answer("request_headers"), b"")
        if self._mode in DUPLEX:
            return await self._send_duplex(body, trailers)
        if self._mode in {BodyMode.BUFFERED, BodyMode.BUFFERED_PARTIAL}:
            return await self._send_buffered(b"".join(body), trailers)
        return await self._send_streamed(body, trailers)

    async def begin(
        self,
        *,
        path: str = "/v1/completions",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        end_of_stream: bool = False,
        subset: Sequence[str] | None = None,
    ) -> None:
        """The request headers."""
        fields = {":method": method, ":path": path, **(headers or {})}
        message = ProcessingRequest(
            request_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end_of_stream)
        )
        if subset is not None:
            hint = {"x-gateway-destination-endpoint-subset": list(subset)}
            message.metadata_context.filter_metadata["envoy.lb.subset_hint"].update(hint)
        await self.tell(message)

    async def chunk(self, data: bytes, *, end_of_stream: bool) -> None:
        """A piece of the request body, or all of it."""
        await self.tell(ProcessingRequest(request_body=HttpBody(body=data, end_of_stream=end_of_stream)))

    async def answered(
        self,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        served: str = "",
        end_of_stream: bool = False,
    ) -> ProcessingResponse:
        """The response headers come from `served`; returns the picker's answer to them."""
        fields = {":status": str(status), "content-type": "application/json", **(headers or {})}
        message = ProcessingRequest(
            response_headers=HttpHeaders(headers=header_map(fields), end_of_stream=end_of_stream)
        )
        if served:
            message.metadata_context.filter_metadata["envoy.lb"].update({f"{DESTINATION}-served": served})
        await self.tell(message)
        return await self.answer("response_headers")

    async def response_body(self, *chunks: bytes, end_of_stream: bool = True) -> bytes:
        """The response body in pieces; returns what goes to the client."""
        passed = bytearray()
        for number, data in enumerate(chunks, 1):
            last = end_of_stream and number == len(chunks)
            await self.tell(ProcessingRequest(response_body=HttpBody(body=data, end_of_stream=last)))
            if self._response_mode not in DUPLEX:
                changed = (await self.answer("response_body")).response_body.response.body_mutation
                passed += changed.body if changed.WhichOneof("mutation") == "body" else data
                continue
            missing = len(data)
            while True:
                piece = (await self.answer("response_body")).response_body.response.body_mutation.streamed_response
                passed += piece.body
                missing -= len(piece.body)
                if missing <= 0:
                    assert piece.end_of_stream is last
                    break
        return bytes(passed)

    async def response_trailers(self) -> None:
        """The response ends with trailers."""
        await self.tell(ProcessingRequest(response_trailers=HttpTrailers()))
        await self.answer("response_trailers")

    def reset(self) -> None:
        """The client is gone, or the response is complete: Envoy ends both alike."""
        self.stream.reset()

    async def tell(self, message: ProcessingRequest) -> None:
        """One message; the first one says how Envoy is configured."""
        if self._is_first:
            self._is_first = False
            message.protocol_config.request_body_mode = self._mode.value  # type: ignore[assignment]  # same numbers
            message.protocol_config.response_body_mode = self._response_mode.value  # type: ignore[assignment]
        await self.stream.send(message)

    async def answer(self, kind: str) -> ProcessingResponse:
        """The next answer, which must be of this kind; notes and skips timeout overrides."""
        while True:
            message = await self.stream.receive()
            if message.HasField("override_message_timeout"):
                self.extensions.append(message.override_message_timeout.ToMilliseconds() / 1000)
                continue
            found = message.WhichOneof("response")
            if found == "immediate_response":
                raise Refused(message)
            assert found == kind, f"expected {kind}, got {message}"
            return message

    async def _send_duplex(self, chunks: tuple[bytes, ...], trailers: bool) -> Forwarded:
        for number, data in enumerate(chunks, 1):
            await self.chunk(data, end_of_stream=number == len(chunks) and not trailers)
        if trailers:
            await self.tell(ProcessingRequest(request_trailers=HttpTrailers()))
        first = await self.answer("request_headers")
        declared = int(_set_headers(first.request_headers.response.header_mutation)["content-length"])
        body = bytearray()
        while True:
            piece = (await self.answer("request_body")).request_body.response.body_mutation.streamed_response
            body += piece.body
            if piece.end_of_stream or (trailers and len(body) >= declared):
                break
        assert len(body) == declared
        if trailers:
            await self.answer("request_trailers")
        return self._forwarded(first, bytes(body))

    async def _send_buffered(self, body: bytes, trailers: bool) -> Forwarded:
        await self.answer("request_headers")
        await self.chunk(body, end_of_stream=not trailers)
        answer = await self.answer("request_body")
        if trailers:
            await self.tell(ProcessingRequest(request_trailers=HttpTrailers()))
            await self.answer("request_trailers")
        return self._forwarded(answer, body)

    async def _send_streamed(self, chunks: tuple[bytes, ...], trailers: bool) -> Forwarded:
        if self._mode in UNSEEN:
            return self._forwarded(await self.answer("request_headers"), b"".join(chunks))
        for number, data in enumerate(chunks, 1):
            await self.chunk(data, end_of_stream=number == len(chunks) and not trailers)
        if trailers:
            await self.tell(ProcessingRequest(request_trailers=HttpTrailers()))
        first = await self.answer("request_headers")
        for _ in chunks:
            await self.answer("request_body")
        if trailers:
            await self.answer("request_trailers")
        return self._forwarded(first, b"".join(chunks))

    def _forwarded(self, message: ProcessingResponse, body: bytes) -> Forwarded:
        kind = message.WhichOneof("response")
        common: CommonResponse = getattr(message, str(kind)).response
        if common.body_mutation.WhichOneof("mutation") == "body":
            body = common.body_mutation.body
        headers = _set_headers(common.header_mutation)
        destination = headers[DESTINATION]
        assert message.dynamic_metadata == {"envoy.lb": {DESTINATION: destination}}
        removed = tuple(common.header_mutation.remove_headers)
        return Forwarded(destination, headers, removed, body, common.clear_route_cache)


def header_map(headers: Mapping[str, str]) -> HeaderMap:
    """Headers as Envoy sends them: in raw_value."""
    return HeaderMap(
        headers=[HeaderValue(key=name, raw_value=value.encode("latin-1")) for name, value in headers.items()]
    )


def _set_headers(mutation: HeaderMutation) -> dict[str, str]:
    return {option.header.key: option.header.raw_value.decode("latin-1") for option in mutation.set_headers}
