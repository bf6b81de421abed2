"""/tokenize and the render endpoints: the ids are those that the pod caches by."""

import asyncio
from typing import Any

import aiohttp
import pytest

from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.pod import FakePod
from tests.unit.lab.fake_vllm.conftest import StartPod

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello world"}]


async def post(client: aiohttp.ClientSession, pod: FakePod, path: str, **body: Any) -> Any:
    async with client.post(pod.url + path, json=body) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_a_prompt(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    answer = await post(client, pod, "/tokenize", model="meta/base", prompt="abcdefgh")
    ids = [int.from_bytes(b"abcd", "little"), int.from_bytes(b"efgh", "little")]
    assert answer == {"count": 2, "max_model_len": 2000 * 16, "tokens": ids, "token_strs": None}


async def test_messages_go_through_the_chat_template(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    answer = await post(client, pod, "/tokenize", messages=MESSAGES, tools=[{"type": "function"}])
    text = b"".join(token.to_bytes(4, "little") for token in answer["tokens"]).decode()
    assert text.replace("\0", "") == (
        '[{"type":"function"}]<|system|>be brief<|end|><|user|>hello world<|end|><|assistant|>'
    )


async def test_a_prompt_of_these_ids_is_cached(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    long = [{"role": "user", "content": "hello world " * 40}]
    tokens = (await post(client, pod, "/tokenize", messages=long))["tokens"]
    await post(client, pod, "/v1/chat/completions", messages=long, max_tokens=1)
    answer = await post(client, pod, "/v1/completions", prompt=tokens, max_tokens=1)
    cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached == (len(tokens) - 1) // 16 * 16


async def test_rendering_says_the_same(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    one = (await post(client, pod, "/tokenize", prompt="hello"))["tokens"]
    chat = (await post(client, pod, "/tokenize", messages=MESSAGES))["tokens"]
    rendered = await post(client, pod, "/v1/completions/render", prompt=["hello", "world"], model="food")
    assert rendered[0]["token_ids"] == one
    assert len(rendered) == 2
    assert rendered[0]["model"] == "food"
    assert (await post(client, pod, "/v1/chat/completions/render", messages=MESSAGES))["token_ids"] == chat


@pytest.mark.parametrize(
    ("body", "status"),
    [({"prompt": ""}, 400), ({}, 400), ({"messages": []}, 400), ({"prompt": "x", "model": "unknown"}, 404)],
)
async def test_what_cannot_be_tokenised(
    start_pod: StartPod, client: aiohttp.ClientSession, body: dict[str, Any], status: int
) -> None:
    pod = await start_pod()
    async with client.post(pod.url + "/tokenize", json=body) as response:
        assert response.status == status


async def test_faults(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    pod.inject(Faults(tokenize=500))
    async with client.post(pod.url + "/tokenize", json={"prompt": "x"}) as response:
        assert response.status == 500
    pod.inject(Faults(tokenize="silent"))
    with pytest.raises(asyncio.TimeoutError):
        await client.post(pod.url + "/tokenize", json={"prompt": "x"}, timeout=aiohttp.ClientTimeout(total=0.05))
