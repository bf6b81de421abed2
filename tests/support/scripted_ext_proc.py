"""An ext_proc server whose side of the conversation a test writes down; proves Envoy's configuration, not the EPP.

A script is an async generator: it iterates over a Conversation (what Envoy sends) and yields ProcessingResponses.
Returning ends the gRPC stream with status OK. `picking("127.0.0.2:8000")` is the usual script.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal

import grpc
import grpc.aio

from epp._pb import core_pb2, http_status_pb2, processing_mode_pb2
from epp._pb.ext_proc_pb2 import (
    CommonResponse,
    HeaderMutation,
    ImmediateResponse,
    ProcessingRequest,
    ProcessingResponse,
)

DESTINATION = "x-gateway-destination-endpoint"
SERVED = "x-gateway-destination-endpoint-served"

Kind = Literal[
    "request_headers", "request_body", "request_trailers", "response_headers", "response_body", "response_trailers"
]


class Conversation:
    """One ext_proc stream: iterate over it for what Envoy sends; `received` keeps all of it.

    `end` says how Envoy finished: "open" until then, "closed" (half-close) or "reset".
    """

    def __init__(self, messages: AsyncIterator[ProcessingRequest]) -> None:
        self.received: list[ProcessingRequest] = []
        self.end: Literal["open", "closed", "reset"] = "open"
        self.ended = asyncio.Event()
        self._messages = messages

    def __aiter__(self) -> "Conversation":
        return self

    async def __anext__(self) -> ProcessingRequest:
        try:
            message = await anext(self._messages)
        except StopAsyncIteration:
            self.finish("closed")
            raise
        except (asyncio.CancelledError, grpc.RpcError):
            self.finish("reset")
            raise
        self.received.append(message)
        return message

    def finish(self, end: Literal["closed", "reset"]) -> None:
        """Notes the first reason for the end."""
        if self.end == "open":
            self.end = end
        self.ended.set()

    def kinds(self) -> list[str]:
        """Which messages came, in order: ["request_headers", "request_body", ...]."""
        return [kind_of(message) for message in self.received]

    def first(self, kind: Kind) -> ProcessingRequest:
        """The first message of this kind; raises AssertionError with what came instead."""
        for message in self.received:
            if kind_of(message) == kind:
                return message
        raise AssertionError(f"Envoy sent no {kind}, only {self.kinds()}")


Script = Callable[[Conversation], AsyncIterator[ProcessingResponse]]


class ScriptedExtProc:
    """The server. `script` may be exchanged at any time and counts for the streams that start afterwards."""

    def __init__(self, script: Script, credentials: grpc.ServerCredentials | None = None) -> None:
        self.script = script
        self.conversations: list[Conversation] = []
        self.port = 0
        self._credentials = credentials
        self._server: grpc.aio.Server | None = None
        # Keeps the port ours while the server is dead; bound but not listening, it refuses connections.
        self._port_holder = socket.socket()

    async def start(self) -> None:
        """Listen on 127.0.0.1, always on the same port; does nothing if it listens already."""
        if self._server is not None:
            return
        if not self.port:
            self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._port_holder.bind(("127.0.0.1", 0))
            self.port = self._port_holder.getsockname()[1]
        server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        behaviour = grpc.stream_stream_rpc_method_handler(
            self._process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        service = "envoy.service.ext_proc.v3.ExternalProcessor"
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Process": behaviour})])
        address = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, self._credentials)
        await server.start()
        self._server = server

    async def die(self) -> None:
        """Stop as a crash does: every stream is cut, connections are refused until the next start()."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    async def close(self) -> None:
        """Stop for good."""
        await self.die()
        self._port_holder.close()

    async def _process(
        self,
        messages: AsyncIterator[ProcessingRequest],
        context: Any,
    ) -> AsyncIterator[ProcessingResponse]:
        conversation = Conversation(aiter(messages))
        self.conversations.append(conversation)
        # Also when the reset comes while an answer is being written, which the script does not notice.
        context.add_done_callback(lambda _: conversation.finish("reset"))
        async for response in self.script(conversation):
            yield response


def kind_of(message: ProcessingRequest) -> str:
    """Name of the message's `request` field."""
    return str(message.WhichOneof("request"))


def header(message: ProcessingRequest, name: str) -> str | None:
    """A header of a request_headers or response_headers message."""
    for found in getattr(message, kind_of(message)).headers.headers:
        if found.key == name:
            return str(found.raw_value.decode() or found.value)
    return None


def metadata(message: ProcessingRequest, namespace: str) -> dict[str, Any]:
    """Dynamic metadata that Envoy forwarded in this namespace."""
    return dict(message.metadata_context.filter_metadata[namespace].items())


def mutation(set_headers: Mapping[str, str], remove: tuple[str, ...] = ()) -> HeaderMutation:
    """A HeaderMutation."""
    return HeaderMutation(
        set_headers=[
            core_pb2.HeaderValueOption(
                header=core_pb2.HeaderValue(key=name, raw_value=value.encode()),
                append_action="OVERWRITE_IF_EXISTS_OR_ADD",
            )
            for name, value in set_headers.items()
        ],
        remove_headers=remove,
    )


def go_on(message: ProcessingRequest) -> ProcessingResponse:
    """The answer to `message` that changes nothing."""
    response = ProcessingResponse()
    getattr(response, kind_of(message)).SetInParent()
    return response


def pick(
    kind: Kind, endpoint: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> ProcessingResponse:
    """The answer that routes to `endpoint` (one, or a comma list): header and dynamic metadata, as the EPP sends them.

    `kind` is request_headers or request_body; a `body` replaces the request's.
    """
    common = CommonResponse(
        header_mutation=mutation({DESTINATION: endpoint, **(headers or {})}), clear_route_cache=True
    )
    if body is not None:
        common.body_mutation.body = body
    response = ProcessingResponse()
    getattr(response, kind).response.CopyFrom(common)
    response.dynamic_metadata.update({"envoy.lb": {DESTINATION: endpoint}})
    return response


def refuse(code: str, body: bytes, headers: Mapping[str, str] | None = None) -> ProcessingResponse:
    """The answer that ends the request here."""
    return ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=http_status_pb2.HttpStatus(code=code), body=body, headers=mutation(headers or {})
        )
    )


def mode(**modes: str) -> processing_mode_pb2.ProcessingMode:
    """A ProcessingMode for mode_override: mode(response_body_mode="STREAMED"); the rest as in the canonical file."""
    usual = {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "request_trailer_mode": "SEND",
        "response_header_mode": "SEND",
        "response_body_mode": "NONE",
        "response_trailer_mode": "SEND",
    }
    return processing_mode_pb2.ProcessingMode(**{**usual, **modes})


def picking(endpoint: str, headers: Mapping[str, str] | None = None) -> Script:
    """The usual script for BUFFERED requests: routes once the body is there (or at once without one), then listens."""

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            kind = kind_of(message)
            if kind == "request_body":
                yield pick("request_body", endpoint, headers)
            elif kind == "request_headers" and message.request_headers.end_of_stream:
                yield pick("request_headers", endpoint, headers)
            else:
                yield go_on(message)

    return script
