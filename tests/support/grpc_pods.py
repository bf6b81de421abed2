"""Model servers that speak gRPC in cleartext: vLLM's engine service and Vertex AI's PredictionService, in this process.

    async with grpc_pods(hosts) as pods:
        ... calls through Envoy ...
        assert pods.calls[-1].served_by == picked

What a call does depends on its request id: `hang` waits until it is cancelled, `fail` is refused as UNAVAILABLE.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec

from epp.lab.plan import free_port
from tests.support.grpc_messages import encoded, of_type

ENGINE = "vllm.grpc.engine.VllmEngine"
PREDICTION = "google.cloud.aiplatform.v1beta1.PredictionService"
WANTED_PORT = 50051
CHUNKS = 3
PROMPT_TOKENS, CACHED_TOKENS = 11, 4
USAGE = b'"usage":{"prompt_tokens":11,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}'


class Call(msgspec.Struct, frozen=True):
    """A call as it reached a server."""

    served_by: str
    method: str
    message: bytes
    metadata: dict[str, str]


class GrpcPods:
    """The servers' common port and what reached them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls: list[Call] = []
        self.hanging = 0
        """calls that wait to be cancelled"""


class _Pod:
    """The services of one server."""

    def __init__(self, pods: GrpcPods, host: str) -> None:
        self._pods = pods
        self._served_by = f"{host}:{pods.port}"

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """For a gRPC server; messages stay bytes."""
        stream, whole = grpc.unary_stream_rpc_method_handler, grpc.unary_unary_rpc_method_handler
        engine: dict[str, Any] = {
            "Generate": stream(self._generate),
            "Embed": whole(self._embed),
            "HealthCheck": whole(self._health),
        }
        prediction: dict[str, Any] = {
            "ChatCompletions": stream(self._chat),
            "RawPredict": whole(self._predict),
        }
        return (
            grpc.method_handlers_generic_handler(ENGINE, engine),
            grpc.method_handlers_generic_handler(PREDICTION, prediction),
        )

    async def _generate(self, message: bytes, context: Any) -> AsyncIterator[bytes]:
        await self._note("Generate", message, context)
        request: Any = of_type("GenerateRequest").FromString(message)
        if request.request_id == "hang":
            self._pods.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self._pods.hanging -= 1
        if request.request_id == "fail":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the engine is dead")
        counts = {"prompt_tokens": PROMPT_TOKENS, "cached_tokens": CACHED_TOKENS}
        for token in range(CHUNKS if request.stream else 0):
            yield encoded("GenerateResponse", chunk={"token_ids": [token], "completion_tokens": 1, **counts})
        last = {"finish_reason": "stop", "completion_tokens": 1 if request.stream else CHUNKS, **counts}
        yield encoded("GenerateResponse", complete=last)

    async def _embed(self, message: bytes, context: Any) -> bytes:
        await self._note("Embed", message, context)
        return encoded("EmbedResponse", embedding=[0.5] * 8, prompt_tokens=PROMPT_TOKENS, embedding_dim=8)

    async def _health(self, message: bytes, context: Any) -> bytes:
        await self._note("HealthCheck", message, context)
        return b"\x08\x01"

    async def _chat(self, message: bytes, context: Any) -> AsyncIterator[bytes]:
        await self._note("ChatCompletions", message, context)
        for text in (b'{"choices":[{"delta":{"content":"hi"}}],"usage":null}', b'{"choices":[],' + USAGE + b"}"):
            yield encoded("HttpBody", content_type="application/json", data=text)

    async def _predict(self, message: bytes, context: Any) -> bytes:
        await self._note("RawPredict", message, context)
        return encoded("HttpBody", content_type="application/json", data=b'{"id":"1",' + USAGE + b"}")

    async def _note(self, method: str, message: bytes, context: Any) -> None:
        metadata = {name: str(value) for name, value in context.invocation_metadata()}
        self._pods.calls.append(Call(self._served_by, method, message, metadata))
        await context.send_initial_metadata((("x-served-by", self._served_by),))


@asynccontextmanager
async def grpc_pods(hosts: Sequence[str]) -> AsyncIterator[GrpcPods]:
    """One server per host, all on one port, until the end."""
    pods = GrpcPods(free_port(tuple(hosts), WANTED_PORT))
    async with AsyncExitStack() as running:
        for host in hosts:
            server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
            server.add_generic_rpc_handlers(_Pod(pods, host).handlers())
            server.add_insecure_port(f"{host}:{pods.port}")
            await server.start()
            running.push_async_callback(server.stop, None)
        yield pods
