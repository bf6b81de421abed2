"""`epp up --once`: sends sample traffic through the stack without a terminal and judges where it went."""

import asyncio
import itertools
from collections.abc import Callable
from random import Random

import aiohttp
import msgspec

from epp.edge.observe.explained import ExplainedDecision
from epp.lab.fake_vllm.journal import ServedRequest
from epp.lab.picker_pages import MOST_DECISIONS
from epp.lab.stack import LocalStack
from epp.lab.traffic import Answer, sample_requests, send_all
from epp.lab.verdict import Evidence, Verdict, ext_proc_counters, judge


class OncePlan(msgspec.Struct, frozen=True):
    """How much traffic; at most 1,000 requests, because so many decisions are remembered."""

    requests: int = 120
    concurrency: int = 12
    kill_picker: bool = False
    """SIGKILL the picker, of several the one that leads, when half of the requests are answered, others under way"""
    seed: int = 1


class _Served(msgspec.Struct, frozen=True):
    requests: list[ServedRequest]


async def run_once(stack: LocalStack, plan: OncePlan, on_answer: Callable[[Answer], None]) -> Verdict:
    """Sends the traffic, asks picker, pods and Envoy what they saw, compares."""
    count = min(plan.requests, MOST_DECISIONS)
    requests = list(itertools.islice(sample_requests(Random(plan.seed)), count))
    answers: list[Answer] = []
    half = asyncio.Event()

    def collect(answer: Answer) -> None:
        answers.append(answer)
        if 2 * len(answers) >= count:
            half.set()
        on_answer(answer)

    async with aiohttp.ClientSession() as session:
        sending = asyncio.ensure_future(send_all(stack.url, requests, plan.concurrency, collect))
        decisions: list[ExplainedDecision] = []
        if plan.kill_picker:
            await half.wait()
            await stack.picker.kill()
        await sending
        if not plan.kill_picker:
            for picker in stack.pickers:
                decisions += await picker.pages(session).decisions()
        served = await journals(session, stack)
    return judge(
        Evidence(
            answers=answers,
            decisions={decision.request_id: decision for decision in decisions},
            served={request.request_id: request for request in served},
            counters=ext_proc_counters(await stack.envoy.stats("ext_proc")),
            picker_died=plan.kill_picker,
        )
    )


async def journals(session: aiohttp.ClientSession, stack: LocalStack) -> list[ServedRequest]:
    """What all pods served, in no order."""
    served: list[ServedRequest] = []
    for pod in stack.pods:
        async with session.get(f"http://{pod.host}:{pod.port}/debug/requests") as response:
            response.raise_for_status()
            served += msgspec.json.decode(await response.read(), type=_Served).requests
    return served
