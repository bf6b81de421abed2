"""The picker reads gRPC calls in both body modes, the pod that was picked answers them, and refusals are gRPC's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest
import pytest_asyncio

from epp.lab.plan import StackPlan
from tests.support.eventually import eventually
from tests.support.grpc_messages import encoded, framed, generate, of_type, raw_predict
from tests.support.grpc_pods import (
    CACHED_TOKENS,
    CHUNKS,
    ENGINE,
    PREDICTION,
    PROMPT_TOKENS,
    Call,
    GrpcPods,
    grpc_pods,
)
from tests.support.h2_client import H2Client
from tests.support.live_stack import LiveStack, live_stack, own_network

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: vllmgrpc-parser
- type: vertexai-parser
- type: openai-parser
requestHandler:
  parsers:
  - pluginRef: vllmgrpc-parser
  - pluginRef: vertexai-parser
  - pluginRef: openai-parser
"""
CHAT = b'{"model":"gemma","messages":[{"role":"user","content":"hi"}],"max_tokens":3,"stream":true}'


class GrpcStack:
    """The stack, the gRPC servers behind it, and a channel to Envoy."""

    def __init__(self, live: LiveStack, pods: GrpcPods, channel: grpc.aio.Channel) -> None:
        self.live = live
        self.pods = pods
        self.channel = channel

    @property
    def is_buffered(self) -> bool:
        """The body mode of requests."""
        return self.live.local.plan.body_mode == "buffered"

    async def call(
        self, method: str, message: bytes, request_id: str, *, service: str = ENGINE, gzipped: bool = False
    ) -> tuple[list[bytes], str]:
        """The messages of the answer, and who gave it. Raises grpc.aio.AioRpcError."""
        method_of: Any = self.channel.unary_stream(f"/{service}/{method}")
        compression = grpc.Compression.Gzip if gzipped else grpc.Compression.NoCompression
        call = method_of(message, metadata=(("x-request-id", request_id),), compression=compression, timeout=10.0)
        answer = [part async for part in call]
        return answer, str(dict(await call.initial_metadata())["x-served-by"])

    async def picked(self, request_id: str) -> str:
        """Where the picker's decision sent the call."""
        picked = (await self.live.decision(request_id)).picked
        assert picked is not None
        return picked.destination

    async def ended(self, request_id: str) -> tuple[str, int]:
        """Outcome and status as the picker saw them, once nothing is under way any more."""
        await self.live.until_idle()
        end = (await self.live.decision(request_id)).end
        assert end is not None
        return end.outcome, end.status

    def last_call(self) -> Call:
        """What reached a server last."""
        return self.pods.calls[-1]


@asynccontextmanager
async def grpc_stack(plan: StackPlan, directory: Path) -> AsyncIterator[GrpcStack]:
    (directory / "config.yaml").write_text(CONFIG)
    plan = msgspec.structs.replace(
        plan,
        pods=3,
        network=own_network(),
        app_protocol="kubernetes.io/h2c",
        config_file=directory / "config.yaml",
        picker_flags=("--sample-responses=1",),
    )
    async with grpc_pods(plan.hosts) as pods, live_stack(msgspec.structs.replace(plan, pool_port=pods.port)) as live:
        address = f"127.0.0.1:{live.local.envoy.listener_port}"
        async with grpc.aio.insecure_channel(address) as channel:
            yield GrpcStack(live, pods, channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["buffered", "full-duplex"])
async def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GrpcStack]:
    async with grpc_stack(StackPlan(body_mode=request.param), tmp_path_factory.mktemp("grpc")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: GrpcStack) -> AsyncIterator[GrpcStack]:
    yield shared
    await shared.live.assert_clean()


@pytest.mark.parametrize("gzipped", [False, True])
async def test_a_streamed_answer_comes_from_the_pod_that_was_picked(stack: GrpcStack, gzipped: bool) -> None:
    request_id = f"streamed-{gzipped}"
    sent = generate(list(range(5000)), max_tokens=7)
    answer, served_by = await stack.call("Generate", sent, request_id, gzipped=gzipped)
    assert len(answer) == CHUNKS + 1
    assert stack.last_call().message == sent
    decision = await stack.live.decision(request_id)
    assert served_by == await stack.picked(request_id)
    assert decision.prompt_tokens == 5000
    assert stack.last_call().metadata["x-gateway-destination-endpoint"] == served_by


async def test_usage_and_outcome_are_read_from_the_answers_messages_and_trailers(stack: GrpcStack) -> None:
    names = [f"inference_objective_{kind}_tokens_sum" for kind in ("input", "output", "prompt_cached")]
    before = [await stack.live.pages.metric(name) for name in names]
    await stack.call("Generate", generate("hello"), "usage")
    assert await stack.ended("usage") == ("complete", 200)
    after = [await stack.live.pages.metric(name) for name in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [PROMPT_TOKENS, CHUNKS, CACHED_TOKENS]


async def test_embeddings_and_vertex_calls_are_read_too(stack: GrpcStack) -> None:
    _, served_by = await stack.call("Embed", encoded("EmbedRequest", tokenized={"input_ids": [1, 2]}), "embed")
    assert served_by == await stack.picked("embed")
    for method in ("ChatCompletions", "RawPredict"):
        _, served_by = await stack.call(method, raw_predict(CHAT), method, service=PREDICTION)
        assert served_by == await stack.picked(method)
        assert (await stack.live.decision(method)).model == "gemma"


async def test_a_method_that_no_parser_knows_passes_unread(stack: GrpcStack) -> None:
    answer, served_by = await stack.call("HealthCheck", b"", "health")
    assert answer == [b"\x08\x01"]
    assert served_by == await stack.picked("health")


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        (b"\x0a\x09hello", grpc.StatusCode.INVALID_ARGUMENT, "BadRequest - unmarshaling GenerateRequest"),
        (generate(""), grpc.StatusCode.INVALID_ARGUMENT, "BadRequest - invalid generate request: must have tokenized"),
        (
            generate("x" * (33 << 20)),
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "PayloadTooLarge - the request body is larger than 33554432 bytes when decompressed",
        ),
    ],
    ids=["malformed", "without prompt", "grows when decompressed"],
)
async def test_a_refusal_is_an_error_of_grpc(
    stack: GrpcStack, message: bytes, code: grpc.StatusCode, says: str
) -> None:
    before = len(stack.pods.calls)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.call("Generate", message, "refused", gzipped=True)
    assert caught.value.code() is code
    details = caught.value.details() or ""
    assert details.startswith(f"inference error: {says}")
    assert details.endswith("request refused)")
    assert len(stack.pods.calls) == before


async def test_an_error_of_the_pod_counts_as_one(stack: GrpcStack) -> None:
    failing = encoded("GenerateRequest", request_id="fail", text="x", stream=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.call("Generate", failing, "failed")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "the engine is dead")
    assert await stack.ended("failed") == ("error", 503)


async def test_a_client_that_cancels_frees_its_place(stack: GrpcStack) -> None:
    hanging = encoded("GenerateRequest", request_id="hang", text="x", stream=True)
    generate_method: Any = stack.channel.unary_stream(f"/{ENGINE}/Generate")
    call = generate_method(hanging)
    await call.initial_metadata()
    assert await stack.live.pages.metric("epp_reservations_open") == 1
    call.cancel()
    await eventually(lambda: stack.pods.hanging == 0)


async def test_trailers_of_a_request_end_its_body(stack: GrpcStack) -> None:
    body = framed(generate([1, 2, 3]))
    headers = {"content-type": "application/grpc", "te": "trailers", "x-request-id": "trailers"}
    async with H2Client("127.0.0.1", stack.live.local.envoy.listener_port) as client:
        response = await client.request(
            "POST", f"/{ENGINE}/Generate", headers=headers.items(), body=body, trailers=[("x-end", "1")]
        )
    assert response.status == 200
    assert (await stack.live.decision("trailers")).prompt_tokens == 3
    if stack.is_buffered:  # full-duplex: Envoy doubles the body, see test_full_duplex.py
        assert response.trailers["grpc-status"] == "0"
        assert response.headers["x-served-by"] == await stack.picked("trailers")


async def test_the_messages_of_an_answer_arrive_whole(stack: GrpcStack) -> None:
    answer, _ = await stack.call("Generate", generate("hello", stream=False), "whole")
    [message] = answer
    found: Any = of_type("GenerateResponse").FromString(message)
    assert found.complete.completion_tokens == CHUNKS
