"""Model rewrites behind a real Envoy, in both body modes: pods get the target, clients their own name back."""

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from epp.core.domain.pool import POOL_GROUP
from epp.lab.plan import ADAPTERS, BASE_MODEL, POOL_NAME, StackPlan
from epp.lab.pool_files import NAMESPACE, Manifest, write_manifests
from tests.support.live_stack import LiveStack, live_stack
from tests.support.writing_pod import Written, writing_pod

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT = {"messages": [{"role": "user", "content": 'say "model":"food-review"'}], "max_tokens": 5, "temperature": "0"}
SSE = "text/event-stream"
MIB = 1 << 20


def rewrite_manifest(name: str, *rules: dict[str, Any]) -> Manifest:
    """An InferenceModelRewrite of the stack's pool."""
    return {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2",
        "kind": "InferenceModelRewrite",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"poolRef": {"group": POOL_GROUP, "name": POOL_NAME}, "rules": list(rules)},
    }


def rule(*models: str, targets: dict[str, int]) -> dict[str, Any]:
    """One rule; without models it is generic."""
    matches = [{"model": {"value": model}} for model in models]
    return {"matches": matches, "targets": [{"modelRewrite": name, "weight": each} for name, each in targets.items()]}


RULES = rewrite_manifest(
    "aliases",
    rule("reviewer", "a much longer name for the very same adapter", targets={ADAPTERS[0]: 1}),
    rule("split", targets={ADAPTERS[0]: 1, BASE_MODEL: 1}),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["buffered", "full-duplex"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[LiveStack]:
    async with live_stack(StackPlan(pods=2, body_mode=request.param, speed=20.0)) as stack:
        write_manifests(stack.local.objects / "rewrites.yaml", [RULES])

        async def counts() -> bool:
            return (await stack.complete("x", model="reviewer")).status == 200

        await stack.until(counts, "the rewrites count")
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: LiveStack) -> AsyncIterator[LiveStack]:
    yield shared
    await shared.assert_clean()


def is_buffered(stack: LiveStack) -> bool:
    return stack.local.plan.body_mode == "buffered"


@pytest.mark.parametrize("alias", ["reviewer", "a much longer name for the very same adapter"])
async def test_an_answer_bears_the_name_that_the_client_used(stack: LiveStack, alias: str) -> None:
    reply = await stack.post("/v1/chat/completions", {"model": alias, **CHAT})
    direct = await stack.post("/v1/chat/completions", {"model": ADAPTERS[0], **CHAT})

    assert reply.status == 200
    answer, unnamed = json.loads(reply.body), json.loads(direct.body)
    assert (answer["model"], unnamed["model"]) == (alias, ADAPTERS[0])
    assert answer["choices"] == unnamed["choices"]
    assert ("content-length" in reply.headers) == is_buffered(stack), "in full duplex Envoy takes it off"
    decision = await stack.decision(reply.request_id)
    assert (decision.model, decision.target_model, decision.model_rewrite) == (alias, ADAPTERS[0], "aliases")
    assert decision.picked is not None
    assert reply.served_by == decision.picked.destination


async def test_every_event_of_a_stream_bears_it(stack: LiveStack) -> None:
    reply = await stack.post("/v1/chat/completions", {"model": "reviewer", "stream": True, **CHAT})

    *events, done = [event for event in reply.body.split(b"\n\n") if event]
    assert done == b"data: [DONE]"
    assert len(events) >= 5
    assert {json.loads(event.removeprefix(b"data: "))["model"] for event in events} == {"reviewer"}
    decision = await stack.decision(reply.request_id)
    assert decision.picked is not None
    assert reply.served_by == decision.picked.destination


async def test_the_pod_gets_the_target_and_every_other_byte(stack: LiveStack) -> None:
    body = b'{ "prompt": "\\"model\\": \\u00e9", "model" : "reviewer", "user": {"model":"reviewer"}, "priority":1 }'
    async with writing_pod(stack) as pod:
        reply = await stack.post("/v1/completions", body)
    expected = body.replace(b' : "reviewer"', b' : "food-review"').replace(b', "priority":1', b"")
    assert pod.received == [expected]
    assert reply.status == 200


async def test_traffic_is_split_by_weight(stack: LiveStack) -> None:
    replies = [await stack.complete(f"{number}", model="split") for number in range(40)]

    assert {json.loads(reply.body)["model"] for reply in replies} == {"split"}
    targets = Counter([(await stack.decision(reply.request_id)).target_model for reply in replies])
    assert set(targets) == {ADAPTERS[0], BASE_MODEL}
    assert min(targets.values()) >= 5
    metric = "inference_extension_model_rewrite_decisions_total"
    assert await stack.pages.metric(metric) >= 40


async def test_a_header_names_the_target_where_no_rule_does(stack: LiveStack) -> None:
    headers = {"x-gateway-model-name-rewrite": ADAPTERS[1]}
    reply = await stack.complete("x", model="anything", headers=headers)
    assert json.loads(reply.body)["model"] == "anything"
    assert (await stack.decision(reply.request_id)).target_model == ADAPTERS[1]
    ruled = await stack.complete("x", model="reviewer", headers=headers)
    assert (await stack.decision(ruled.request_id)).target_model == ADAPTERS[0]


async def test_a_generic_rule_serves_bodies_without_a_model_and_leaves_others_alone(stack: LiveStack) -> None:
    path = stack.local.objects / "generic.yaml"
    assert (await stack.post("/v1/completions", {"prompt": "x", "max_tokens": 2})).status == 400
    write_manifests(path, [rewrite_manifest("generic", rule(targets={BASE_MODEL: 1}))])

    async def counts() -> bool:
        return (await stack.post("/v1/completions", {"prompt": "x", "max_tokens": 2})).status == 200

    await stack.until(counts, "the generic rule counts")
    unknown = await stack.complete("x", model="nobody knows")
    assert (unknown.status, json.loads(unknown.body)["model"]) == (200, "nobody knows")
    assert (await stack.post("/v1/nothing", b"not json")).status == 404, "what nobody reads passes as before"
    async with stack.session.get(stack.local.url + "/v1/models") as response:
        assert response.status == 200
    path.unlink()

    async def is_gone() -> bool:
        return (await stack.post("/v1/completions", {"prompt": "x", "max_tokens": 2})).status == 400

    await stack.until(is_gone, "the generic rule counts no more")


async def test_a_name_that_is_split_over_chunks_is_restored_and_nothing_waits(stack: LiveStack) -> None:
    async with writing_pod(stack) as pod:
        pod.answer = Written(b'data: {"id":"1","model":"food-', b'review","x":1}\n\ndata: [DONE]\n\n', content_type=SSE)
        body = {"model": "reviewer", "prompt": "x", "stream": True}
        async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
            first = b'data: {"id":"1","model":"reviewer"'
            assert await response.content.readexactly(len(first)) == first, "before the pod has written the rest"
            pod.release.set()
            assert await response.content.read() == b',"x":1}\n\ndata: [DONE]\n\n'
        assert pod.last_request["model"] == "food-review"


@pytest.mark.parametrize("declares_length", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("padding_bytes", [0, 3 * MIB], ids=["short", "long"])
async def test_json_of_any_framing_arrives_whole(stack: LiveStack, declares_length: bool, padding_bytes: int) -> None:
    answer = b'{"text":"%s", "model": "food-review"}' % (b"x" * padding_bytes)
    async with writing_pod(stack) as pod:
        pod.answer = Written(answer, declares_length=declares_length)
        reply = await stack.complete("x", model="reviewer")
    assert reply.body == answer.replace(b"food-review", b"reviewer")
    if is_buffered(stack) and declares_length and not padding_bytes:
        assert reply.headers["content-length"] == str(len(reply.body))
    else:
        assert "content-length" not in reply.headers


async def test_a_compressed_answer_is_left_alone(stack: LiveStack) -> None:
    packed = gzip.compress(b'{"model":"food-review"}')
    async with writing_pod(stack) as pod:
        pod.answer = Written(packed, headers={"content-encoding": "gzip"})
        reply = await stack.complete("x", model="reviewer")
    assert (reply.status, json.loads(reply.body)["model"]) == (200, "food-review"), "unpacked by the client"


async def test_an_error_of_a_pod_passes_as_it_is(stack: LiveStack) -> None:
    body = {"model": "reviewer", "prompt": "x", "max_tokens": -1}
    reply = await stack.post("/v1/completions", body)
    direct = await stack.post("/v1/completions", {**body, "model": ADAPTERS[0]})
    assert (reply.status, reply.error) == (400, direct.error)


async def test_a_client_that_goes_away_in_the_middle_frees_its_place(stack: LiveStack) -> None:
    body = {"model": "reviewer", "prompt": "x", "max_tokens": 4000, "stream": True, "ignore_eos": True}
    async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
        await response.content.readany()
        assert await stack.pages.metric("epp_reservations_open") == 1
    await stack.until_idle()
