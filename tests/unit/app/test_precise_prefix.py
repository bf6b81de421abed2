"""Prompt text to precise match: fake pods with events and tokenizer, subscriber, index, scorer and router, joined."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import msgspec
import pytest

from epp.app.precise_prefix import PrecisePrefix
from epp.core.config.load import load_config
from epp.core.domain.decision import Decision
from epp.core.domain.endpoint import Endpoint
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import ObjectState
from epp.core.domain.request import InferenceRequest
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.producers.precise_prefix_cache import PrecisePrefixCacheProducer
from epp.core.scheduling.scheduler import Scheduler
from epp.core.state.ledger import InFlightLedger
from epp.core.state.roster import Roster
from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import AdapterSource, EngineSettings, LatencySettings, PodSettings
from tests.support.eventually import eventually
from tests.support.free_ports import free_port
from tests.support.token_requests import CHAT, COMPLETIONS, read_request

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
PROMPT = "It was the best of times, it was the worst of times. " * 20
CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: precise-prefix-cache-producer
  parameters:
    kvEventsConfig: {podDiscoveryConfig: {socketPort: %d, replaySocketPort: %d}}
- type: token-producer
  parameters: {%s}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}
"""


class Story:
    """Three pods and everything of the picker between a body and a decision."""

    def __init__(self, tokens: str = "pods: {timeout: 5s}", *, as_maps: bool = False, replays: bool = True) -> None:
        event_port, replay_port = free_port(*HOSTS), free_port(*HOSTS)
        self.pods = [
            FakePod(
                PodSettings(
                    host=host,
                    model="meta/base",
                    adapters=(AdapterSource("food", "repo/food"),),
                    kv_events_port=event_port,
                    kv_events_replay_port=replay_port,
                    kv_events_as_maps=as_maps,
                    engine=EngineSettings(latency=LatencySettings(speed=100.0)),
                )
            )
            for host in HOSTS
        ]
        self._configuration = CONFIG % (event_port, replay_port, tokens)
        self.problems: list[str] = []

    async def start(self) -> None:
        for pod in self.pods:
            await pod.start()
        self.client = aiohttp.ClientSession()
        clock = time.monotonic
        config = load_config(self._configuration, "test", CATALOGUE)
        policy = build_policy(config)
        ledger = InFlightLedger()
        scheduler = Scheduler(policy, ledger, Random(1), clock)
        self.roster = Roster(ledger, clock, slot_renewed=scheduler.forget_slot)
        self.router = Router(self.roster, scheduler, RoutingPolicy(), clock)
        [producer] = [each.plugin for each in policy.producers]
        assert isinstance(producer, PrecisePrefixCacheProducer)
        self.producer = producer
        self.precise = PrecisePrefix(
            policy,
            config,
            self.roster,
            on_event_problem=lambda endpoint, problem: self.problems.append(f"{endpoint.pod}: {problem}"),
            on_token_problem=self.problems.append,
            clock=clock,
        )
        self.set_endpoints(*range(len(self.pods)))

    def set_endpoints(self, *numbers: int, incarnation: str = "") -> None:
        """Who is in the pool."""
        endpoints = tuple(
            Endpoint.create(
                namespace="default",
                pod=f"pod-{number}",
                rank=0,
                address=self.pods[number].host,
                port=self.pods[number].port,
                incarnation=incarnation,
            )
            for number in numbers
        )
        self.roster.objects_changed(ObjectState(InferencePool("default", "pool", {}, (8000,)), endpoints))
        self.precise.set_endpoints(endpoints)

    async def stop(self) -> None:
        await self.precise.close()
        await self.client.close()
        for pod in self.pods:
            await pod.stop()

    async def serve(self, number: int, path: str = COMPLETIONS, **body: Any) -> None:
        """A pod answers a request, and so has its prompt cached."""
        body = {"model": "meta/base", "max_tokens": 1, **body}
        async with self.client.post(self.pods[number].url + path, json=body) as response:
            assert response.status == 200, await response.text()

    async def ask(self, path: str = COMPLETIONS, **body: Any) -> InferenceRequest:
        """A request with its tokens."""
        tokens = self.precise.tokens
        assert tokens is not None
        request = read_request(path, **body)
        assert tokens.wants(request)
        return await tokens.with_tokens(request)

    async def scores(self, path: str = COMPLETIONS, **body: Any) -> list[float]:
        """Of every endpoint, rounded; the place is given back."""
        decision = self.router.decide(await self.ask(path, **body))
        assert isinstance(decision, Decision)
        self.router.release(decision)
        [column] = decision.card.columns
        return [round(float(score), 2) for score in column.scores]

    def slot(self, number: int) -> int:
        return int(self.roster.current.slots[number])

    async def until_blocks(self, count: int, complete: tuple[int, ...] = (0, 1, 2)) -> None:
        """Returns once so many (endpoint, block) pairs are known, and these endpoints completely."""
        await eventually(
            lambda: (
                self.producer.index_blocks == count
                and all(self.producer.is_complete(self.slot(number)) for number in complete)
            ),
            what=f"{count} blocks, not {self.producer.index_blocks}; {self.problems}",
        )


@asynccontextmanager
async def running(story: Story) -> AsyncIterator[Story]:
    await story.start()
    task = asyncio.create_task(story.precise.run())
    try:
        await story.until_blocks(0)
        yield story
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await story.stop()


BLOCKS = len(PROMPT) // 4 // 16


@pytest.mark.parametrize("as_maps", [False, True], ids=["arrays", "maps"])
async def test_a_text_is_tokenised_and_found_where_its_blocks_are(as_maps: bool) -> None:
    async with running(Story(as_maps=as_maps)) as story:
        await story.serve(1, prompt=PROMPT)
        await story.until_blocks(BLOCKS)
        assert await story.scores(prompt=PROMPT) == [0.0, 1.0, 0.0]
        assert await story.scores(prompt=PROMPT[: len(PROMPT) // 2] + "now something else " * 28) == [0.0, 0.5, 0.0]
        assert await story.scores(prompt="x" + PROMPT) == [0.0, 0.0, 0.0]
        assert story.problems == []


async def test_chat_goes_through_the_template_of_the_pods() -> None:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": "hello"}]
    async with running(Story()) as story:
        await story.serve(2, CHAT, messages=messages)
        await eventually(lambda: story.producer.index_blocks)
        assert await story.scores(CHAT, messages=messages) == [0.0, 0.0, 1.0]
        assert (await story.scores(CHAT, messages=[messages[0], {"role": "user", "content": "bye"}]))[2] > 0.9


async def test_token_ids_need_no_tokenizer() -> None:
    async with running(Story()) as story:
        ids = list(range(160))
        await story.serve(0, prompt=ids)
        await story.until_blocks(10)
        request = read_request(COMPLETIONS, prompt=ids)
        assert story.precise.tokens is not None
        assert not story.precise.tokens.wants(request)
        decision = story.router.decide(request)
        assert isinstance(decision, Decision)
        assert list(decision.card.columns[0].scores) == [1.0, 0.0, 0.0]


async def test_adapters_and_salts() -> None:
    async with running(Story()) as story:
        await story.serve(0, prompt=PROMPT)
        await story.serve(1, prompt=PROMPT, model="food")
        await story.serve(2, prompt=PROMPT, cache_salt="tenant")
        await story.until_blocks(3 * BLOCKS)
        assert await story.scores(prompt=PROMPT) == [1.0, 0.0, 0.0]
        assert await story.scores(prompt=PROMPT, model="food") == [0.0, 1.0, 0.0]
        assert await story.scores(prompt=PROMPT, cache_salt="tenant") == [0.0, 0.0, 1.0]
        assert await story.scores(prompt=PROMPT, cache_salt="another") == [0.0, 0.0, 0.0]


async def test_lost_events_are_told_again() -> None:
    async with running(Story()) as story:
        await story.serve(1, prompt="first " * 100)
        await eventually(lambda: story.producer.index_blocks)
        story.pods[1].inject(Faults(kv_events="lost"))
        await story.serve(1, prompt=PROMPT)
        story.pods[1].inject(Faults())
        assert await story.scores(prompt=PROMPT) == [0.0, 0.0, 0.0]
        await story.serve(1, prompt="third " * 100)
        await story.until_blocks(BLOCKS + 2 * (600 // 64))
        assert await story.scores(prompt=PROMPT) == [0.0, 1.0, 0.0]


async def test_a_cleared_cache_and_a_restarted_pod_have_nothing() -> None:
    async with running(Story()) as story:
        await story.serve(0, prompt=PROMPT)
        await story.serve(1, prompt=PROMPT)
        await story.until_blocks(2 * BLOCKS)
        async with story.client.post(story.pods[0].url + "/reset_prefix_cache") as response:
            assert response.status == 200
        await story.until_blocks(BLOCKS)
        assert await story.scores(prompt=PROMPT) == [0.0, 1.0, 0.0]
        await story.pods[1].stop()
        await story.pods[1].start()
        await story.until_blocks(0)


async def test_a_replaced_pod_is_asked_anew() -> None:
    async with running(Story()) as story:
        await story.serve(1, prompt=PROMPT)
        await story.until_blocks(BLOCKS)
        story.set_endpoints(0, 2)
        story.set_endpoints(0, 1, 2, incarnation="second")
        await story.until_blocks(BLOCKS)
        assert await story.scores(prompt=PROMPT) == [0.0, 1.0, 0.0]


async def test_evicted_blocks_do_not_count() -> None:
    story = Story()
    small = EngineSettings(num_gpu_blocks=20, latency=LatencySettings(speed=100.0))
    story.pods[0].settings = msgspec.structs.replace(story.pods[0].settings, engine=small)
    async with running(story):
        await story.serve(0, prompt=PROMPT)
        await story.until_blocks(BLOCKS)
        await story.serve(0, prompt="something else " * 40)
        await eventually(lambda: story.producer.index_blocks > BLOCKS)
        score = (await story.scores(prompt=PROMPT))[0]
        async with story.client.post(
            story.pods[0].url + COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 1}
        ) as response:
            usage = (await response.json())["usage"]
        assert 0.0 < score < 1.0
        cached_tokens = usage["prompt_tokens_details"]["cached_tokens"]
        assert score == round(cached_tokens / 16 / BLOCKS, 2), "what the engine itself finds"


async def test_without_tokens_in_time_the_approximate_index_decides() -> None:
    async with running(Story("pods: {timeout: 20ms}")) as story:
        await story.serve(1, prompt=PROMPT)
        await story.until_blocks(BLOCKS)
        for pod in story.pods:
            pod.inject(Faults(tokenize="silent"))
        request = await story.ask(prompt=PROMPT)
        assert request.prompt_tokens is None
        assert story.problems == ["no token ids in time"]
        decision = story.router.decide(request)
        assert isinstance(decision, Decision)
        assert list(decision.card.columns[0].scores) == [0.0, 0.0, 0.0], "it was never sent anywhere by us"


async def test_a_render_service_may_tell_the_tokens() -> None:
    renderer = FakePod(PodSettings(model="meta/base"))
    await renderer.start()
    try:
        async with running(Story(f"vllm: {{url: '{renderer.url}'}}")) as story:
            await story.serve(1, CHAT, messages=[{"role": "user", "content": PROMPT}])
            await eventually(lambda: story.producer.index_blocks)
            assert await story.scores(CHAT, messages=[{"role": "user", "content": PROMPT}]) == [0.0, 1.0, 0.0]
    finally:
        await renderer.stop()


async def test_nobody_is_asked_before_any_event_has_come() -> None:
    async with running(Story()) as story:
        assert story.precise.tokens is not None
        assert not story.precise.tokens.wants(read_request(COMPLETIONS, prompt=PROMPT))
