"""Bursts behind a real Envoy: requests with one new prompt go to one pod, and nothing is lost or bypassed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest

from epp.lab.plan import BASE_MODEL, StackPlan
from tests.support.live_stack import LiveStack, Reply, live_stack

PODS, PROMPTS, REQUESTS = 4, 4, 40
LONGEST_WINDOW_MS = 10_000
POLICY = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
GATES
plugins:
- type: burst-prefix-cache-producer
  parameters: {windowDurationMs: MS, maxBatchSize: SIZE}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: burst-prefix-cache-producer}
- type: active-request-scorer
- type: max-score-picker
- type: concurrency-detector
  parameters: {maxConcurrency: 2}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: active-request-scorer}
  - {pluginRef: max-score-picker}
"""
QUEUES = "featureGates: [flowControl]\nflowControl: {saturationDetector: {pluginRef: concurrency-detector}}"
Mode = Literal["buffered", "full-duplex"]


@asynccontextmanager
async def stack_of(
    directory: Path, *, mode: Mode = "buffered", gates: str = "", window_ms: int = LONGEST_WINDOW_MS
) -> AsyncIterator[LiveStack]:
    """A window of as many requests as a burst has."""
    config = directory / "bursts.yaml"
    text = POLICY.replace("GATES", gates).replace("MS", str(window_ms)).replace("SIZE", str(REQUESTS))
    config.write_text(text)
    async with live_stack(StackPlan(pods=PODS, body_mode=mode, config_file=config, speed=20.0)) as stack:
        yield stack
        await stack.assert_clean()


def asking(stack: LiveStack, number: int) -> asyncio.Task[Reply]:
    """One of four prompts of 1000 letters, each time with another question at its end."""
    prompt = "abcd"[number % PROMPTS] * 1000 + f" question {number}"
    return asyncio.ensure_future(stack.complete(prompt, model=BASE_MODEL, max_tokens=1))


async def until_open(stack: LiveStack, streams: int) -> None:
    async def are_open() -> bool:
        return await stack.pages.metric("epp_streams_open") == streams

    await stack.until(are_open, f"{streams} streams are open")


@pytest.mark.parametrize("mode", ["buffered", "full-duplex"])
async def test_each_prompt_of_a_burst_goes_to_one_pod(tmp_path: Path, mode: Mode) -> None:
    async with stack_of(tmp_path, mode=mode) as stack:
        replies = await asyncio.gather(*(asking(stack, number) for number in range(REQUESTS)))
        assert {reply.status for reply in replies} == {200}
        pods = [{reply.served_by for reply in replies[prompt::PROMPTS]} for prompt in range(PROMPTS)]
        assert [len(of_prompt) for of_prompt in pods] == [1] * PROMPTS
        assert len(set.union(*pods)) == PODS, "and no two prompts to the same one"


async def test_with_flow_control_the_burst_goes_through_the_queue(tmp_path: Path) -> None:
    async with stack_of(tmp_path, gates=QUEUES) as stack:
        replies = await asyncio.gather(*(asking(stack, number) for number in range(REQUESTS)))
        assert {reply.status for reply in replies} == {200}
        assert await stack.pages.metric("inference_extension_flow_control_requests_total") == REQUESTS


async def test_a_window_closes_when_its_time_is_over(tmp_path: Path) -> None:
    async with stack_of(tmp_path, window_ms=50) as stack:
        assert (await asking(stack, 1)).status == 200


async def test_a_client_that_leaves_the_window_is_never_dispatched(tmp_path: Path) -> None:
    async with stack_of(tmp_path) as stack:
        leaving = asking(stack, 1)
        await until_open(stack, 1)
        leaving.cancel()
        await until_open(stack, 0)
        assert await stack.pages.decisions() == []
