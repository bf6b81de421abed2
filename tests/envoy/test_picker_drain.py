"""The real picker is told to end while answers stream: every one goes on to its last token, however Envoy is set up."""

import asyncio
import copy
from typing import Literal

import pytest

from epp.lab.envoy_parts import Config
from epp.lab.plan import BASE_MODEL, StackPlan
from tests.support.envoy_edits import with_ext_procs
from tests.support.live_stack import LiveStack, live_stack

ANSWERS = 6
TOKENS = 60
STEPS = ("--step-base-ms", "30")
"""an answer takes about two seconds"""


def closing(config: Config) -> Config:
    """As gateways that know FailClose set it: a picker that breaks off cuts answers."""
    return with_ext_procs(config, failure_mode_allow=False)


async def streamed(stack: LiveStack, number: int, begun: asyncio.Semaphore) -> bytes:
    body = {"model": BASE_MODEL, "prompt": f"story {number}", "max_tokens": TOKENS, "stream": True}
    async with stack.session.post(stack.local.url + "/v1/completions", json=body) as response:
        assert response.status == 200
        first = await response.content.readline()
        begun.release()
        return first + await response.read()


@pytest.mark.parametrize("body_mode", ["buffered", "full-duplex"])
@pytest.mark.parametrize("failure_mode", ["open", "close", "failure_mode_allow false"])
async def test_answers_that_have_begun_are_whole(
    body_mode: Literal["buffered", "full-duplex"], failure_mode: str
) -> None:
    plan = StackPlan(
        pods=2,
        body_mode=body_mode,
        failure_mode="close" if failure_mode == "close" else "open",
        picker_flags=("--drain-timeout=200ms",),
        pod_flags=STEPS,
    )
    edit = closing if failure_mode == "failure_mode_allow false" else copy.deepcopy
    async with live_stack(plan, edit) as stack:
        begun = asyncio.Semaphore(0)
        answers = [asyncio.ensure_future(streamed(stack, number, begun)) for number in range(ANSWERS)]
        for _ in range(ANSWERS):
            await begun.acquire()
        picker = stack.local.picker.process
        assert picker is not None
        await picker.stop(grace_s=10.0)
        assert picker.returncode == 0
        assert not any(answer.done() for answer in answers), "they were still streaming when the picker was gone"
        for text in await asyncio.gather(*answers):
            assert text.endswith(b"data: [DONE]\n\n")
            assert text.count(b"data: ") >= TOKENS
        faults = await stack.faults()
        assert not any(faults.values()), faults
