"""Streamed answers, disconnects, and what the engine knows about them."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from epp.lab.fake_vllm.faults import Faults
from tests.unit.lab.fake_vllm.conftest import StartPod

COMPLETION = "/v1/completions"
CHAT = "/v1/chat/completions"


def events(raw: bytes) -> list[Any]:
    """The JSON of every event but the last one, which must be the end marker."""
    *parts, done, nothing = raw.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    assert all(part.startswith(b"data: ") for part in parts)
    return [msgspec.json.decode(part[6:]) for part in parts]


async def test_a_streamed_completion_says_what_the_whole_one_says(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod()
    body = {"prompt": "tell me", "max_tokens": 12}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        whole = (await response.json())["choices"][0]
    async with client.post(pod.url + COMPLETION, json={**body, "stream": True}) as response:
        chunks = events(await response.read())
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-fake-pod"] == "pod-a"

    choices = [chunk["choices"][0] for chunk in chunks]
    assert len(choices) == 12
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert [choice["finish_reason"] for choice in choices] == [None] * 11 + ["length"]
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("text_completion", "meta/base")}
    assert not any("usage" in chunk for chunk in chunks)


async def test_a_streamed_chat_opens_with_its_role_and_ends_with_usage(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod()
    body = {
        "model": "food",
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with client.post(pod.url + CHAT, json=body) as response:
        opening, *tokens, closing = events(await response.read())

    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [len(chunk["choices"][0]["delta"]["content"]) for chunk in tokens] == [4, 4, 4]
    assert tokens[-1]["choices"][0]["finish_reason"] == "length"
    assert closing["choices"] == []
    assert closing["usage"]["completion_tokens"] == 3
    assert {chunk["object"] for chunk in (opening, *tokens, closing)} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in (opening, *tokens, closing)} == {"food"}


async def test_several_streamed_choices_are_told_apart(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    body = {"prompt": ["a", "b"], "n": 2, "max_tokens": 4}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        whole = (await response.json())["choices"]
    async with client.post(pod.url + COMPLETION, json={**body, "stream": True}) as response:
        chunks = events(await response.read())
    texts = ["", "", "", ""]
    for chunk in chunks:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts == [choice["text"] for choice in whole]


async def test_names_that_need_escaping_do_not_break_a_stream(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    name = 'evil","text":"\\x\n'
    pod = await start_pod(served_names=(name,))
    body = {"model": name, "prompt": "a", "max_tokens": 2, "stream": True}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        chunks = events(await response.read())
    assert [(chunk["model"], len(chunk["choices"][0]["text"])) for chunk in chunks] == [(name, 4), (name, 4)]


async def test_tokens_arrive_as_they_are_made_and_metrics_show_the_request(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod(speed=4)
    body = {"model": "food", "prompt": "a", "max_tokens": 20_000, "ignore_eos": True, "stream": True}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        first = await response.content.readuntil(b"\n\n")
        async with client.get(pod.url + "/metrics") as page:
            text = await page.text()
        response.close()

    assert first.startswith(b'data: {"id":"cmpl-')
    assert 'vllm:num_requests_running{engine="0",model_name="meta/base"} 1.0' in text
    assert 'running_lora_adapters="food"' in text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_its_request(
    start_pod: StartPod, client: aiohttp.ClientSession, stream: bool
) -> None:
    pod = await start_pod(speed=10)
    body = {"prompt": [1] * 64, "max_tokens": 20_000, "ignore_eos": True, "stream": stream}
    request = asyncio.ensure_future(client.post(pod.url + COMPLETION, json=body))
    stats = await pod.until(lambda stats: stats.running == 1)
    assert stats.kv_usage > 0

    if stream:
        (await request).close()
    else:
        request.cancel()
    stats = await pod.until(lambda stats: stats.running == 0)

    assert (stats.kv_usage, stats.finished_abort) == (0, 1)
    (served,) = pod.served
    assert (served.outcome, served.status) == ("aborted", 200 if stream else 499)
    assert 0 < served.completion_tokens < 20_000


async def test_a_stream_can_be_cut_by_a_fault(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    pod.inject(Faults(drop_after_tokens=3))
    received = b""
    with pytest.raises(aiohttp.ClientError):
        body = {"prompt": "a", "max_tokens": 20_000, "ignore_eos": True, "stream": True}
        async with client.post(pod.url + COMPLETION, json=body) as response:
            async for line in response.content:
                received += line
    assert received.count(b"data: {") == 3
    await pod.until(lambda stats: stats.finished_abort == 1)
    assert pod.served[0].outcome == "aborted"
