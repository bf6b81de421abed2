"""The real picker behind a real Envoy, in both body modes: routing, bodies, headers, refusals."""

import hashlib
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan
from tests.support.h2_client import H2Client
from tests.support.live_stack import LiveStack, live_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
MIB = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["buffered", "full-duplex"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[LiveStack]:
    async with live_stack(StackPlan(pods=4, body_mode=request.param, speed=20.0)) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: LiveStack) -> AsyncIterator[LiveStack]:
    yield shared
    await shared.assert_clean()


async def test_the_pod_that_serves_is_the_one_that_was_picked(stack: LiveStack) -> None:
    for model in (BASE_MODEL, *ADAPTERS):
        reply = await stack.complete("Is this soup any good?", model=model)
        assert reply.status == 200
        decision = await stack.decision(reply.request_id)
        assert decision.model == model
        assert decision.picked is not None
        assert reply.served_by == decision.picked.destination


async def test_a_chat_and_its_stream_arrive_whole(stack: LiveStack) -> None:
    body = {"model": ADAPTERS[1], "messages": [{"role": "user", "content": [{"type": "text", "text": "draw a gear"}]}]}
    whole = await stack.post("/v1/chat/completions", {**body, "max_tokens": 30, "temperature": "0"})
    assert json.loads(whole.body)["usage"]["completion_tokens"] == 30
    streamed = await stack.post("/v1/chat/completions", {**body, "max_tokens": 30, "stream": True})
    events = [line for line in streamed.body.split(b"\n\n") if line]
    assert events[-1] == b"data: [DONE]"
    text = "".join(
        choice["delta"].get("content") or ""
        for event in events[:-1]
        for choice in json.loads(event.removeprefix(b"data: "))["choices"]
    )
    assert text == json.loads(whole.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("size_bytes", [0, 100, 61_999, 62_000, 62_001, 200_000, 20 * MIB])
async def test_a_body_reaches_the_pod_byte_for_byte(stack: LiveStack, size_bytes: int) -> None:
    body = b'{"model" : "food-review",  "prompt":"' + b"x" * size_bytes + b'y", "temperature": "0"}'
    reply = await stack.echo(body)
    assert reply.status == 200
    assert reply.echo.body_sha256 == hashlib.sha256(body).hexdigest()
    framing = [value for name, value in reply.echo.headers if name.lower() in {"content-length", "transfer-encoding"}]
    # Envoy takes the length off a body that it streams through the picker, whatever the picker says.
    assert framing == (["chunked"] if stack.local.plan.body_mode == "full-duplex" else [str(len(body))])


async def test_an_integer_priority_is_cut_out_of_the_body(stack: LiveStack) -> None:
    reply = await stack.echo(b'{"model":"food-review","priority":3,"prompt":"x"}')
    assert reply.echo.body_sha256 == hashlib.sha256(b'{"model":"food-review","prompt":"x"}').hexdigest()
    assert (await stack.complete("x", model=BASE_MODEL, priority=7)).status == 200
    assert (await stack.pages.decisions(1))[0].priority == 7


async def test_an_objective_of_the_operator_beats_what_a_client_claims(stack: LiveStack) -> None:
    reply = await stack.complete("x", priority=77)
    assert (await stack.decision(reply.request_id)).priority == 10, "an objective is named as the model"
    reply = await stack.complete("x", headers={"x-gateway-inference-objective": "llama3-base-model"})
    assert (await stack.decision(reply.request_id)).priority == 20
    reply = await stack.complete("x", headers={"x-gateway-inference-objective": "nobody"})
    assert (await stack.decision(reply.request_id)).priority == 0


async def test_control_headers_of_a_client_never_reach_the_pod(stack: LiveStack) -> None:
    claimed = {
        "x-gateway-destination-endpoint": "127.0.0.99:1",
        "x-gateway-inference-objective": "food-review",
        "x-gateway-inference-fairness-id": "tenant",
        "x-gateway-destination-endpoint-subset": "127.0.0.99",
        "x-kept": "as it is",
    }
    reply = await stack.echo({"model": "m", "prompt": "x"}, headers=claimed)
    arrived = {name.lower(): value for name, value in reply.echo.headers}
    assert arrived["x-gateway-destination-endpoint"] == reply.served_by != "127.0.0.99:1"
    assert arrived["x-kept"] == "as it is"
    assert not arrived.keys() & (claimed.keys() - {"x-gateway-destination-endpoint", "x-kept"})


async def test_a_request_without_a_body_is_routed_too(stack: LiveStack) -> None:
    async with stack.session.get(stack.local.url + "/v1/models", headers={"x-request-id": "models"}) as response:
        assert {model["id"] for model in (await response.json())["data"]} == {BASE_MODEL, *ADAPTERS}
        served_by = response.headers["x-served-by"]
    picked = (await stack.decision("models")).picked
    assert picked is not None
    assert picked.destination == served_by


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/completions", b"not json", 400, "error unmarshaling request bodyMap"),
        ("/v1/completions", b"", 400, "the body is empty"),
        ("/v1/completions", b"[1]", 400, "error unmarshaling request bodyMap"),
        ("/v1/completions", b'{"prompt":"x"}', 400, "model not found in request body"),
        ("/v1/completions", b'{"model":5,"prompt":"x"}', 400, "model not found in request body"),
        ("/v1/completions", b'{"model":"m"}', 400, "must have prompt field"),
        ("/v1/completions", b'{"model":"m","prompt":{}}', 400, "must have prompt field"),
        ("/v1/chat/completions", b'{"model":"m","messages":[]}', 400, "must have valid messages field"),
        ("/v1/completions", b'{"model":"m","prompt":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "nested too deeply"),
    ],
)
async def test_bad_input_gets_a_clear_error(stack: LiveStack, path: str, body: bytes, status: int, says: str) -> None:
    reply = await stack.post(path, body)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["code"] == status
    assert reply.error["message"].startswith("inference error: BadRequest - ")
    assert says in reply.error["message"]
    assert reply.request_id in reply.error["message"]


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/foocompletions"])
async def test_a_path_that_no_parser_claims_passes_to_a_pod(stack: LiveStack, path: str) -> None:
    reply = await stack.post(path, b"not json")
    assert reply.status == 404
    assert (await stack.decision(reply.request_id)).model == ""


async def test_an_unknown_model_is_for_the_pod_to_refuse(stack: LiveStack) -> None:
    reply = await stack.complete("x", model="nobody")
    assert reply.status == 404
    assert "does not exist" in reply.error["message"]


async def test_a_body_over_the_limit_is_413(stack: LiveStack) -> None:
    reply = await stack.echo(b'{"model":"m","prompt":"' + b"x" * (33 * MIB) + b'"}')
    assert reply.status == 413


async def test_a_client_that_goes_away_frees_its_place(stack: LiveStack) -> None:
    body = {"model": BASE_MODEL, "prompt": "tell me everything", "max_tokens": 4000, "stream": True, "ignore_eos": True}
    async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
        await response.content.readany()
        assert await stack.pages.metric("epp_reservations_open") == 1
    await stack.until_idle()


async def test_trailers_of_a_request_are_answered(stack: LiveStack) -> None:
    body = b'{"model":"food-review","prompt":"with trailers"}'
    async with H2Client("127.0.0.1", stack.local.envoy.listener_port) as client:
        headers = {"content-type": "application/json", "x-request-id": "trailers"}
        path = "/debug/echo/v1/completions"
        response = await client.request("POST", path, headers=headers.items(), body=body, trailers=[("x-end", "1")])
    assert response.status == 200
    if stack.local.plan.body_mode == "buffered":  # full-duplex: Envoy doubles it, see test_full_duplex.py
        assert json.loads(response.body)["body_sha256"] == hashlib.sha256(body).hexdigest()
    picked = (await stack.decision("trailers")).picked
    assert picked is not None
    assert picked.destination == response.headers["x-served-by"]
