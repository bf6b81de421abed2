"""envoy.yaml lets large bodies through whole, in HTTP/1.1 and HTTP/2, and shows the picker what it asks for."""

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp._pb.ext_proc_pb2 import ProcessingResponse
from tests.support.envoy_stack import EnvoyStack, checked, dead_address, running_stack
from tests.support.h2_client import H2Client
from tests.support.scripted_ext_proc import Conversation, Script, go_on, kind_of, mode, pick, picking, refuse

pytestmark = pytest.mark.asyncio(loop_scope="module")
MIB = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    async with running_stack(tmp_path_factory.mktemp("bodies")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


def body_of(size: int) -> bytes:
    """Bytes in which no two places look alike, so that a lost or doubled piece shows."""
    return random.Random(size).randbytes(size)


async def test_20_mb_pass_in_http1_and_the_picker_gets_them_in_one_message(stack: EnvoyStack) -> None:
    sent = body_of(20_000_000)
    answer = await stack.post(sent, "/echo")
    assert answer.status == 200
    assert answer.content == sent
    [conversation] = stack.picker.conversations
    assert conversation.kinds() == ["request_headers", "request_body", "response_headers"]
    assert conversation.first("request_body").request_body.body == sent


async def test_20_mb_pass_in_http2(stack: EnvoyStack) -> None:
    sent = body_of(20_000_000)
    async with H2Client("127.0.0.1", stack.envoy.listener_port) as client:
        response = await client.request("POST", "/echo", body=sent)
    assert response.status == 200
    assert response.body == sent
    assert stack.picker.conversations[0].first("request_body").request_body.body == sent


@pytest.mark.parametrize("protocol", ["http1", "http2"])
async def test_exactly_the_limit_passes_and_more_is_413(stack: EnvoyStack, protocol: str) -> None:
    limit = 32 * MIB
    if protocol == "http1":
        assert (await stack.post(bytes(limit), "/v1/completions")).body_bytes == limit
        assert (await stack.post(bytes(limit + MIB), "/fail")).status == 413
    else:
        async with H2Client("127.0.0.1", stack.envoy.listener_port) as client:
            assert (await client.request("POST", "/echo", body=bytes(limit))).status == 200
            assert (await client.request("POST", "/echo", body=bytes(limit + MIB))).status == 413


async def test_a_large_body_is_sent_again_to_the_next_endpoint(stack: EnvoyStack) -> None:
    sent = body_of(20_000_000)
    async with dead_address() as dead:
        await stack.set_endpoints(dead, stack.address_of(1))
        stack.picker.script = picking(f"{dead},{stack.address_of(1)}")
        answer = await stack.post(sent, "/echo")
    assert answer.content == sent


@pytest.mark.parametrize("replacement", [b'{"model":"x"}', b"y" * 3_000_000], ids=["shorter", "longer"])
async def test_the_picker_may_replace_the_body(stack: EnvoyStack, replacement: bytes) -> None:
    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) == "request_body":
                length = {"content-length": str(len(replacement))}
                yield pick("request_body", stack.address_of(1), length, body=replacement)
            else:
                yield go_on(message)

    stack.picker.script = script
    answer = await stack.post(b"z" * 1000, "/echo")
    assert answer.status == 200
    assert answer.content == replacement


async def test_refusals_of_the_picker_reach_the_client_as_they_are(stack: EnvoyStack) -> None:
    refusal = b'{"error":{"message":"inference error: ResourceExhausted - full","type":"rate_limit","code":429}}'

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) == "request_body":
                yield refuse("TooManyRequests", refusal, {"content-type": "application/json", "retry-after": "1"})
            else:
                yield go_on(message)

    stack.picker.script = script
    answer = await stack.post(path="/fail")
    assert (answer.status, answer.content) == (429, refusal)
    assert answer.response_headers["content-type"] == "application/json"
    assert answer.response_headers["retry-after"] == "1"
    assert stack.backends[0].requests == []


async def test_the_answers_body_is_not_shown_to_the_picker(stack: EnvoyStack) -> None:
    stack.backends[0].release.set()
    assert (await stack.post(path="/stream")).content == b"data: first\n\ndata: last\n\n"
    assert stack.picker.conversations[0].kinds() == ["request_headers", "request_body", "response_headers"]


def asking_for(response_body_mode: str, address: str) -> Script:
    """Turns the response body on in the reply to the response headers."""

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            kind = kind_of(message)
            answer = pick("request_body", address) if kind == "request_body" else go_on(message)
            if kind == "response_headers":
                answer.mode_override.CopyFrom(mode(response_body_mode=response_body_mode))
            yield answer

    return script


async def test_the_picker_can_ask_for_one_streamed_answer_chunk_by_chunk(stack: EnvoyStack) -> None:
    stack.picker.script = asking_for("STREAMED", stack.address_of(0))
    async with stack.session.post(stack.url + "/stream", data=b"{}") as response:
        assert await response.content.readline() == b"data: first\n"
        [conversation] = stack.picker.conversations
        assert conversation.first("response_body").response_body.body == b"data: first\n\n", "before the answer's end"
        stack.backends[0].release.set()
        await response.read()
    await conversation.ended.wait()
    chunks = [message.response_body for message in conversation.received if kind_of(message) == "response_body"]
    assert b"".join(chunk.body for chunk in chunks) == b"data: first\n\ndata: last\n\n"
    assert chunks[-1].end_of_stream


async def test_the_picker_can_ask_for_one_answer_as_a_whole(stack: EnvoyStack) -> None:
    stack.picker.script = asking_for("BUFFERED", stack.address_of(0))
    sent = body_of(5_000_000)
    answer = await stack.post(sent, "/echo")
    assert answer.content == sent
    [shown] = [message for message in stack.picker.conversations[0].received if kind_of(message) == "response_body"]
    assert shown.response_body.body == sent
    assert shown.response_body.end_of_stream


async def test_asking_for_one_answer_does_not_change_the_next(stack: EnvoyStack) -> None:
    stack.picker.script = asking_for("STREAMED", stack.address_of(0))
    await stack.post()
    stack.picker.script = picking(stack.address_of(0))
    await stack.post()
    kinds = [conversation.kinds() for conversation in stack.picker.conversations]
    assert "response_body" in kinds[0]
    assert "response_body" not in kinds[1]


async def test_trailers_of_a_request_reach_the_picker(stack: EnvoyStack) -> None:
    async with H2Client("127.0.0.1", stack.envoy.listener_port) as client:
        response = await client.request("POST", "/echo", body=b"hello", trailers=[("x-checksum", "1")])
    assert response.body == b"hello"
    [conversation] = stack.picker.conversations
    assert conversation.kinds() == ["request_headers", "request_body", "request_trailers", "response_headers"]
    assert not conversation.first("request_body").request_body.end_of_stream
