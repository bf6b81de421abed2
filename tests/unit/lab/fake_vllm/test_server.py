"""The pod over HTTP: answers, models, adapters, errors, debug endpoints."""

import hashlib

import aiohttp
import pytest

from epp.lab.fake_vllm.pod import FakePod
from tests.unit.lab.fake_vllm.conftest import StartPod

COMPLETION = "/v1/completions"
CHAT = "/v1/chat/completions"


async def test_a_completion_has_vllms_shape(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    body = {"model": "meta/base", "prompt": "hello world", "max_tokens": 5, "temperature": "0"}
    async with client.post(pod.url + COMPLETION, json=body, headers={"x-request-id": "r-1"}) as response:
        answer = await response.json()

    assert response.status == 200
    assert response.headers["x-fake-pod"] == "pod-a"
    assert response.headers["x-served-by"] == f"127.0.0.1:{pod.port}" == pod.address
    assert response.headers["x-request-id"] == "r-1"
    assert answer["id"] == "cmpl-r-1"
    assert answer["object"] == "text_completion"
    assert answer["model"] == "meta/base"
    (choice,) = answer["choices"]
    assert (choice["index"], choice["finish_reason"], choice["stop_reason"]) == (0, "length", None)
    assert len(choice["text"]) == 20
    assert answer["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "total_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


async def test_a_chat_answer_stops_by_itself(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod(answer_tokens=(7, 7))
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    async with client.post(pod.url + CHAT, json=body) as response:
        answer = await response.json()

    assert answer["object"] == "chat.completion"
    assert answer["model"] == "meta/base"
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert len(choice["message"]["content"]) == 28
    assert choice["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 7


async def test_answers_are_the_same_on_every_pod_with_the_same_seed(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pods = [await start_pod(name="a"), await start_pod(name="b"), await start_pod(name="c", seed=1)]
    texts = []
    for pod in pods:
        async with client.post(pod.url + COMPLETION, json={"prompt": "hello", "max_tokens": 40}) as response:
            texts.append((await response.json())["choices"][0]["text"])
    assert texts[0] == texts[1] != texts[2]


async def test_prompts_times_n_choices(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    body = {"prompt": [[1, 2, 3], [4]], "n": 2, "max_tokens": 3}
    async with client.post(pod.url + COMPLETION, json=body) as response:
        answer = await response.json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert answer["usage"]["prompt_tokens"] == 4
    assert answer["usage"]["completion_tokens"] == 12


async def test_a_repeated_prompt_is_cached_and_counted(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    body = {"prompt": list(range(100)), "max_tokens": 1}
    cached = []
    for salt in ({}, {}, {"cache_salt": "other"}):
        async with client.post(pod.url + COMPLETION, json=body | salt) as response:
            cached.append((await response.json())["usage"]["prompt_tokens_details"]["cached_tokens"])
    assert cached == [0, 96, 0]
    assert (pod.stats.prefix_queries, pod.stats.prefix_hits) == (300, 96)


async def test_models_list_the_base_under_its_names_and_the_adapters(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod(served_names=("llama", "llama-2"))
    async with client.get(pod.url + "/v1/models") as response:
        listed = await response.json()
    assert listed["object"] == "list"
    assert [(card["id"], card["root"], card["parent"]) for card in listed["data"]] == [
        ("llama", "meta/base", None),
        ("llama-2", "meta/base", None),
        ("food", "repo/food", "llama"),
    ]
    assert listed["data"][0]["max_model_len"] == 32_000
    assert all(card["object"] == "model" and card["permission"] for card in listed["data"])


async def test_adapters_come_and_go(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()

    async def call(path: str, **body: object) -> tuple[int, str]:
        async with client.post(pod.url + path, json=body) as response:
            return response.status, await response.text()

    load, unload = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
    assert (await call(COMPLETION, model="cad", prompt="x"))[0] == 404
    assert await call(load, lora_name="cad", lora_path="repo/cad", base_model_name="meta/base") == (
        200,
        "Success: LoRA adapter 'cad' added successfully.",
    )
    assert (await call(COMPLETION, model="cad", prompt="x"))[0] == 200
    status, text = await call(load, lora_name="cad", lora_path="repo/cad")
    assert status == 400
    assert "has already been loaded" in text
    assert (await call(load, lora_name="cad", lora_path="repo/cad2", load_inplace=True))[0] == 200
    assert (await call(load, lora_name="x"))[0] == 400
    assert await call(unload, lora_name="cad") == (200, "Success: LoRA adapter 'cad' removed successfully.")
    assert (await call(COMPLETION, model="cad", prompt="x"))[0] == 404
    status, text = await call(unload, lora_name="cad")
    assert status == 404
    assert "The lora adapter 'cad' cannot be found." in text
    assert (await call(unload))[0] == 400


async def test_an_adapter_that_is_loaded_later_belongs_to_the_first_served_name(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod(served_names=("llama", "llama-2"))
    body = {"lora_name": "cad", "lora_path": "repo/cad", "base_model_name": "llama-2"}
    async with client.post(pod.url + "/v1/load_lora_adapter", json=body) as response:
        assert response.status == 200
    async with client.get(pod.url + "/v1/models") as response:
        card = (await response.json())["data"][-1]
    assert (card["id"], card["root"], card["parent"]) == ("cad", "repo/cad", "llama")


async def test_without_runtime_updating_the_lora_endpoints_do_not_exist(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod = await start_pod(runtime_lora_updating=False)
    async with client.post(pod.url + "/v1/load_lora_adapter", json={"lora_name": "a", "lora_path": "b"}) as response:
        assert response.status == 404


@pytest.mark.parametrize(
    ("path", "body", "status", "error_type", "message"),
    [
        (COMPLETION, {"model": "nope", "prompt": "x"}, 404, "NotFoundError", "The model `nope` does not exist."),
        (COMPLETION, {"prompt": "x", "temperature": "hot"}, 400, "Bad Request", "temperature"),
        (COMPLETION, {"prompt": "x", "priority": 1}, 400, "BadRequestError", "Priority scheduling is not enabled"),
        (COMPLETION, {"prompt": [1] * 40_000}, 400, "BadRequestError", "maximum context length is 32000 tokens"),
        (COMPLETION, {"prompt": [1] * 31_999, "max_tokens": 2}, 400, "BadRequestError", "(2 > 32000 - 31999)"),
        (CHAT, {"model": "meta/base"}, 400, "Bad Request", "messages"),
        ("/v1/nothing", {}, 404, "Not Found", "Not Found"),
        ("/v1/models", {}, 405, "Method Not Allowed", "Method Not Allowed"),
    ],
)
async def test_errors_have_vllms_shape(
    start_pod: StartPod,
    client: aiohttp.ClientSession,
    *,
    path: str,
    body: object,
    status: int,
    error_type: str,
    message: str,
) -> None:
    pod = await start_pod()
    async with client.post(pod.url + path, json=body) as response:
        error = (await response.json())["error"]
    assert response.status == status
    assert response.headers["x-fake-pod"] == "pod-a"
    assert (error["type"], error["code"]) == (error_type, status)
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]


async def test_priority_is_served_under_priority_scheduling(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod(engine={"priority_scheduling": True})
    async with client.post(pod.url + COMPLETION, json={"prompt": "x", "priority": -3}) as response:
        assert response.status == 200
    assert pod.served[0].priority == -3


async def test_the_journal_tells_what_was_served(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    for request_id, body in (
        ("r-1", {"model": "food", "prompt": [1] * 20, "max_tokens": 2}),
        ("r-2", {"model": "nope", "prompt": "x", "priority": 0}),
        ("r-3", {"prompt": "x", "max_tokens": 3, "stream": True}),
    ):
        async with client.post(pod.url + COMPLETION, json=body, headers={"x-request-id": request_id}) as response:
            await response.read()
    async with client.get(pod.url + "/debug/requests") as response:
        served = (await response.json())["requests"]

    facts = [(each["request_id"], each["model"], each["status"], each["outcome"], each["priority"]) for each in served]
    assert facts == [
        ("r-1", "food", 200, "completed", None),
        ("r-2", "nope", 404, "refused", 0),
        ("r-3", None, 200, "completed", None),
    ]
    assert (served[0]["prompt_tokens"], served[0]["completion_tokens"], served[0]["path"]) == (20, 2, COMPLETION)
    assert (served[2]["stream"], served[2]["completion_tokens"]) == (True, 3)


async def test_the_echo_tells_the_request_back(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    body = b"\x00\xff" * 1000
    async with client.post(pod.url + "/debug/echo?a=b%20c", data=body, headers={"X-Odd-Case": "1"}) as response:
        echo = await response.json()
    assert (echo["method"], echo["path"], echo["http_version"]) == ("POST", "/debug/echo?a=b%20c", "1.1")
    assert ["X-Odd-Case", "1"] in echo["headers"]
    assert (echo["body_bytes"], echo["body_sha256"]) == (2000, hashlib.sha256(body).hexdigest())
    async with client.get(pod.url + "/debug/echo") as response:
        assert (await response.json())["body_bytes"] == 0


async def test_health_version_and_metrics_answer(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    async with client.get(pod.url + "/health") as response:
        assert (response.status, await response.read()) == (200, b"")
    async with client.get(pod.url + "/version") as response:
        assert set(await response.json()) == {"version"}
    async with client.get(pod.url + "/metrics") as response:
        assert response.content_type == "text/plain"
        assert 'vllm:num_requests_waiting{engine="0",model_name="meta/base"} 0.0' in await response.text()


async def test_an_expected_continue_is_given(start_pod: StartPod, client: aiohttp.ClientSession) -> None:
    pod = await start_pod()
    async with client.post(pod.url + COMPLETION, json={"prompt": "x", "max_tokens": 1}, expect100=True) as response:
        assert response.status == 200


async def test_a_stopped_pod_refuses_connections_and_comes_back_on_its_port(
    start_pod: StartPod, client: aiohttp.ClientSession
) -> None:
    pod: FakePod = await start_pod()
    port = pod.port
    await pod.stop()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(pod.url + "/health")

    await pod.start()

    assert pod.port == port
    async with client.get(pod.url + "/health") as response:
        assert response.status == 200
    assert pod.served == ()
