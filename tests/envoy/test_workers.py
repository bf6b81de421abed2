"""Two picker processes (`--workers 2`) behind a real Envoy: spread, and the death of one of them."""

import asyncio
import os
import signal

import msgspec

from epp.lab.plan import BASE_MODEL, StackPlan
from tests.support.live_stack import LiveStack, Reply, live_stack
from tests.support.steady_load import steady_load

TWO = ("--workers=2", "--worker-ports", "--transport=native")
SLOW = ("--step-base-ms", "100")
TOKENS = 30
"""of an answer: some 3 s of slow steps"""
NOTHING = {"failure_mode_allowed": 0, "message_timeouts": 0, "spurious_msgs_received": 0, "streams_failed": 0}


def pids(stack: LiveStack) -> dict[int, int]:
    """Of the picker processes by number, the newest of each."""
    process = stack.local.picker.process
    assert process is not None
    lines = [msgspec.json.decode(line) for line in process.log_path.read_text().splitlines()]
    return {line["picker"]: line["pid"] for line in lines if line["event"] == "picker process serves"}


async def streams_of(stack: LiveStack, picker: int) -> int:
    return int(await stack.pages.metric(f'epp_picker_process_streams_open{{picker="{picker}"}}'))


async def deciding(stack: LiveStack) -> set[int]:
    """Who took the last 16 decisions."""
    async with stack.session.get(f"{stack.local.picker.url}/debug/decisions?limit=16") as response:
        return {row["picker"] for row in await response.json()}


def streamed(stack: LiveStack, number: int) -> asyncio.Task[Reply]:
    asking = stack.complete(f"{number} " * 40, model=BASE_MODEL, max_tokens=TOKENS, stream=True, ignore_eos=True)
    return asyncio.create_task(asking)


def is_whole(reply: Reply) -> bool:
    return reply.status == 200 and reply.body.endswith(b"data: [DONE]\n\n") and reply.body.count(b"data: ") > TOKENS


async def test_no_answer_is_cut_when_a_picker_is_killed_and_new_requests_go_by_the_other() -> None:
    async with live_stack(StackPlan(pods=3, picker_flags=TWO, pod_flags=SLOW)) as stack:
        answers = [streamed(stack, number) for number in range(24)]

        async def both_busy() -> bool:
            return await streams_of(stack, 0) + await streams_of(stack, 1) == 24

        await stack.until(both_busy, "24 answers are streaming")
        lost = await streams_of(stack, 1)
        assert 6 <= lost <= 18, "least request spreads them"
        assert await stack.faults() == NOTHING

        before = pids(stack)
        os.kill(before[1], signal.SIGKILL)

        async def is_gone() -> bool:
            return await stack.pages.metric("epp_picker_process_restarts_total") == 1

        await stack.until(is_gone, "the death was noticed")
        during = await asyncio.gather(*(stack.complete(f"new {number}", model=BASE_MODEL) for number in range(10)))
        assert [reply.status for reply in during] == [200] * 10
        for reply in during:
            assert (await stack.decision(reply.request_id)).picked is not None, "not one of them went unpicked"
        assert all(map(is_whole, await asyncio.gather(*answers)))
        assert await stack.faults() == NOTHING | {"failure_mode_allowed": lost, "streams_failed": lost}

        async def is_back() -> bool:
            await stack.complete("again", model=BASE_MODEL, max_tokens=1)
            return await deciding(stack) == {0, 1}

        await stack.until(is_back, "the new process decides too")
        assert pids(stack)[0] == before[0]
        await stack.assert_clean()


async def test_steady_traffic_survives_one_death_after_the_other() -> None:
    async with live_stack(StackPlan(pods=3, picker_flags=TWO, speed=10.0)) as stack:
        async with steady_load(stack) as load:
            await load.until_answered(20)
            for picker in (0, 1, 0):
                await die_and_come_back(stack, picker)
                await load.until_answered(20)
        assert (await load.verdict()).problems == ()
        await stack.assert_nothing_held(stack.pages)


async def die_and_come_back(stack: LiveStack, picker: int) -> None:
    restarts = await stack.pages.metric("epp_picker_process_restarts_total")
    os.kill(pids(stack)[picker], signal.SIGKILL)

    async def is_back() -> bool:
        serving = await stack.pages.metric("epp_picker_processes_serving")
        return serving == 2 and await stack.pages.metric("epp_picker_process_restarts_total") > restarts

    await stack.until(is_back, "it is back", within_s=20.0)


async def test_behind_one_port_with_tls_both_serve() -> None:
    flags = ("--workers=2", "--transport=native")
    async with live_stack(StackPlan(pods=3, secure=True, picker_flags=flags, pod_flags=SLOW)) as stack:
        first = [streamed(stack, number) for number in range(6)]

        async def one_busy() -> bool:
            return await streams_of(stack, 0) + await streams_of(stack, 1) == 6

        await stack.until(one_busy, "6 answers are streaming")

        async def both_decide() -> bool:
            # Enough of them at once that some of their connections are with another thread of Envoy's.
            more = (stack.complete(f"more {number}", model=BASE_MODEL, max_tokens=1) for number in range(16))
            await asyncio.gather(*more)
            return await deciding(stack) == {0, 1}

        await stack.until(both_decide, "each has a connection of Envoy's worker threads")
        assert all(map(is_whole, await asyncio.gather(*first)))
        await stack.assert_clean()
