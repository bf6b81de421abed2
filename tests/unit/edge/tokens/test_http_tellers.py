"""Tokenizers over HTTP against fake vLLM pods."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from epp.core.domain.endpoint import Endpoint
from epp.core.domain.request import InferenceRequest
from epp.edge.tokens.breaker import FAILURES_TO_OPEN, FIRST_PAUSE_S
from epp.edge.tokens.http_tellers import PodTokenizer, RenderService, Teller
from epp.edge.tokens.questions import TokensUnknown, Told
from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import PodSettings
from epp.lab.fake_vllm.tokens import chat_tokens, text_tokens
from tests.support.token_requests import chat, completion
from tests.support.virtual_clock import VirtualClock

Start = Callable[[], Awaitable[FakePod]]
IMAGE = [{"type": "image_url", "image_url": {"url": "http://x/cat.png"}}]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts pods on free ports."""
    pods = []

    async def start() -> FakePod:
        pods.append(FakePod(PodSettings(model="meta/base")))
        await pods[-1].start()
        return pods[-1]

    yield start
    for pod in pods:
        await pod.stop()


def endpoint(pod: FakePod) -> Endpoint:
    return Endpoint.create(namespace="default", pod=f"pod-{pod.port}", rank=0, address=pod.host, port=pod.port)


def pod_tokenizer(*pods: FakePod, model: str = "") -> tuple[PodTokenizer, VirtualClock]:
    clock = VirtualClock()
    teller = PodTokenizer("/tokenize", timeout_s=5.0, model=model, clock=clock, most_connections=4)
    teller.set_endpoints([endpoint(pod) for pod in pods])
    return teller, clock


def render_service(url: str) -> tuple[RenderService, VirtualClock]:
    clock = VirtualClock()
    teller = RenderService(url, timeout_s=5.0, multimodal_timeout_s=30.0, model="", clock=clock, most_connections=4)
    return teller, clock


async def ask(teller: Teller, request: InferenceRequest, timeout_s: float = 5.0) -> Told:
    deadline = asyncio.get_running_loop().time() + timeout_s
    return await teller.tell(request, teller.question(request), deadline)


async def test_a_pod_tells_the_ids_that_it_caches_by(start: Start) -> None:
    teller, _ = pod_tokenizer(await start())
    assert await ask(teller, completion("hello world")) == Told(text_tokens("hello world"))
    assert await ask(teller, chat("hello")) == Told(chat_tokens([("user", "hello")]))
    await teller.close()


async def test_a_render_service_tells_the_same(start: Start) -> None:
    teller, _ = render_service((await start()).url + "/")
    assert await ask(teller, completion(["hello world", "two"])) == Told(text_tokens("hello world"))
    assert await ask(teller, chat("hello")) == Told(chat_tokens([("user", "hello")]))
    assert [teller.timeout_s(each) for each in (completion(), chat(IMAGE))] == [5.0, 30.0]
    assert teller.can_tell(chat(IMAGE))
    await teller.close()


async def test_pods_are_not_asked_about_images(start: Start) -> None:
    teller, _ = pod_tokenizer(await start())
    assert teller.can_tell(chat())
    assert not teller.can_tell(chat(IMAGE))


async def test_another_model_may_be_asked_for(start: Start) -> None:
    teller, _ = pod_tokenizer(await start(), model="meta/base")
    assert await ask(teller, completion("hello", model="an alias")) == Told(text_tokens("hello"))
    await teller.close()


async def test_pods_take_turns_and_a_failing_one_is_passed_over_for_a_while(start: Start) -> None:
    good, bad = await start(), await start()
    bad.inject(Faults(tokenize=500))
    teller, clock = pod_tokenizer(good, bad)

    async def failures(questions: int) -> int:
        failed = 0
        for _ in range(questions):
            try:
                await ask(teller, completion())
            except TokensUnknown:
                failed += 1
        return failed

    assert await failures(2 * FAILURES_TO_OPEN) == FAILURES_TO_OPEN
    assert await failures(10) == 0
    bad.inject(Faults())
    clock.now += FIRST_PAUSE_S
    assert await failures(10) == 0
    await teller.close()


async def test_when_no_pod_can_be_asked_nobody_waits(start: Start) -> None:
    pod = await start()
    teller, _ = pod_tokenizer(pod)
    await pod.stop()
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(TokensUnknown, match=f"http://{pod.address}/tokenize: "):
            await ask(teller, completion())
    assert not teller.can_tell(completion())
    with pytest.raises(TokensUnknown, match="no pod can be asked"):
        await ask(teller, completion())
    teller.set_endpoints([])
    assert not teller.can_tell(completion())
    await teller.close()


async def test_a_silent_tokenizer_is_given_up_at_the_deadline(start: Start) -> None:
    pod = await start()
    pod.inject(Faults(tokenize="silent"))
    for teller in (pod_tokenizer(pod)[0], render_service(pod.url)[0]):
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(TokensUnknown, match="in time"):
                await ask(teller, completion(), timeout_s=0.02)
        assert not teller.can_tell(completion())
        await teller.close()


async def test_a_refused_prompt_is_not_the_tokenizers_fault(start: Start) -> None:
    pod = await start()
    pod.inject(Faults(tokenize=400))
    for teller in (pod_tokenizer(pod)[0], render_service(pod.url)[0]):
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(TokensUnknown, match="HTTP status 400"):
                await ask(teller, completion())
        assert teller.can_tell(completion())
        await teller.close()


async def test_a_question_that_is_given_up_by_its_asker_is_nobodys_fault(start: Start) -> None:
    pod = await start()
    pod.inject(Faults(tokenize="silent"))
    teller, _ = pod_tokenizer(pod)
    for _ in range(FAILURES_TO_OPEN):
        asking = asyncio.create_task(ask(teller, completion()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert teller.can_tell(completion())
    await teller.close()
