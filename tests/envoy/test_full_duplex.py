"""full-duplex.yaml: both bodies stream through the picker, which holds, sends and changes them as it likes."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp._pb.ext_proc_pb2 import ProcessingResponse
from epp._pb.processing_mode_pb2 import ProcessingMode
from epp.lab.envoy_config import EnvoyOptions
from tests.support.envoy_stack import EnvoyStack, checked, dead_address, running_stack
from tests.support.h2_client import H2Client
from tests.support.scripted_ext_proc import Conversation, Script, go_on, kind_of, pick

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHUNK_BYTES = 62_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    options = EnvoyOptions(body_mode="full-duplex")
    async with running_stack(tmp_path_factory.mktemp("duplex"), options=options) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        shared.picker.script = holding(shared.address_of(1))
        yield shared


def streamed(kind: str, body: bytes, end_of_stream: bool) -> ProcessingResponse:
    """One piece of a body."""
    response = ProcessingResponse()
    piece = getattr(response, kind).response.body_mutation.streamed_response
    piece.body, piece.end_of_stream = body, end_of_stream
    return response


def holding(endpoint: str) -> Script:
    """What an EPP does: keeps the request until it is complete, answers its headers, gives the body back in pieces;
    passes the answer on as it comes."""

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        body = b""
        async for message in conversation:
            kind = kind_of(message)
            if kind == "request_body":
                body += message.request_body.body
            if kind == "request_body" and message.request_body.end_of_stream:
                yield pick("request_headers", endpoint)
                for start in range(0, max(len(body), 1), CHUNK_BYTES):
                    piece = body[start : start + CHUNK_BYTES]
                    yield streamed("request_body", piece, end_of_stream=start + CHUNK_BYTES >= len(body))
            elif kind == "request_trailers":
                yield pick("request_headers", endpoint)
                yield streamed("request_body", body, end_of_stream=False)
                yield go_on(message)
            elif kind == "response_body":
                yield streamed("response_body", message.response_body.body, message.response_body.end_of_stream)
            elif kind == "request_headers" and message.request_headers.end_of_stream:
                yield pick("request_headers", endpoint)
            elif kind.startswith("response"):
                yield go_on(message)

    return script


async def test_envoy_tells_the_picker_which_body_modes_it_uses(stack: EnvoyStack) -> None:
    assert (await stack.post()).served_by == stack.address_of(1)
    told = stack.picker.conversations[0].received[0].protocol_config
    assert told.request_body_mode == ProcessingMode.FULL_DUPLEX_STREAMED
    assert told.response_body_mode == ProcessingMode.FULL_DUPLEX_STREAMED


@pytest.mark.parametrize("protocol", ["http1", "http2"])
async def test_large_bodies_stream_both_ways(stack: EnvoyStack, protocol: str) -> None:
    sent = random.Random(0).randbytes(10_000_000)
    if protocol == "http1":
        content = (await stack.post(sent, "/echo")).content
    else:
        async with H2Client("127.0.0.1", stack.envoy.listener_port) as client:
            content = bytes((await client.request("POST", "/echo", body=sent)).body)
    assert content == sent
    kinds = stack.picker.conversations[0].kinds()
    assert kinds.count("request_body") > 1
    assert kinds.count("response_body") > 1


async def test_an_answer_arrives_chunk_by_chunk(stack: EnvoyStack) -> None:
    async with stack.session.post(stack.url + "/stream", data=b"{}") as response:
        assert await response.content.readline() == b"data: first\n"
        stack.backends[1].release.set()
        assert (await response.read()).endswith(b"data: last\n\n")


async def test_a_request_without_body_is_picked_from_its_headers(stack: EnvoyStack) -> None:
    async with stack.session.get(stack.url + "/v1/models") as response:
        assert (await response.json())["served_by"] == stack.address_of(1)


async def test_known_bug_trailers_of_a_request_double_its_body_because_retries_are_on(stack: EnvoyStack) -> None:
    """envoy#45470. When this fails, Envoy has been repaired: take the warning out of envoy/README.md."""
    async with H2Client("127.0.0.1", stack.envoy.listener_port) as client:
        response = await client.request("POST", "/echo", body=b"hello", trailers=[("x-checksum", "1")])
    assert response.body == b"hellohello"
    [conversation] = stack.picker.conversations
    assert conversation.kinds()[:3] == ["request_headers", "request_body", "request_trailers"]


async def test_a_list_of_endpoints_is_followed_here_too(stack: EnvoyStack) -> None:
    async with dead_address() as dead:
        await stack.set_endpoints(dead, *(backend.address for backend in stack.backends))
        stack.picker.script = holding(f"{dead},{stack.address_of(0)}")
        assert (await stack.post(b"x" * 100_000)).served_by == stack.address_of(0)


async def test_without_picker_a_request_with_a_body_gets_503(stack: EnvoyStack) -> None:
    stack.expect("streams_failed")
    await stack.picker.die()
    answers = await asyncio.gather(*(stack.post(path="/fail") for _ in range(5)))
    assert [answer.status for answer in answers] == [503] * 5
    assert not any(backend.requests for backend in stack.backends)
