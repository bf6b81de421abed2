"""envoy.yaml keeps serving when a picker is dead, silent or dies in the middle, and lets a living one take its time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from epp._pb.ext_proc_pb2 import ProcessingResponse
from tests.support.envoy_stack import EnvoyStack, checked, dead_address, running_stack
from tests.support.scripted_ext_proc import Conversation, go_on, header, kind_of, pick, picking

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    async with running_stack(tmp_path_factory.mktemp("failures"), backends=3) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


async def test_requests_go_on_while_the_picker_is_dead(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    await stack.picker.die()
    answers = await asyncio.gather(*(stack.post() for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert len({answer.served_by for answer in answers}) > 1, "spread over the pool"


async def test_a_picker_that_comes_back_is_asked_again(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    await stack.picker.die()
    await stack.post()
    await stack.picker.start()
    stack.picker.script = picking(stack.address_of(2))
    answer = await stack.post()
    assert answer.served_by == stack.address_of(2)
    assert len(stack.picker.conversations) == 1


async def test_without_picker_a_dead_endpoint_costs_no_request(stack: EnvoyStack) -> None:
    """Least requests alone would prefer the dead one, which has none."""
    stack.expect("failure_mode_allowed", "streams_failed")
    await stack.picker.die()
    for last_octet in (97, 98, 99):
        async with dead_address(f"127.0.0.{last_octet}") as dead:
            await stack.set_endpoints(dead, stack.address_of(0))
            answers = await asyncio.gather(*(stack.post() for _ in range(60)))
            assert [answer.status for answer in answers] == [200] * 60
            await stack.until(lambda ejected: ejected == 1, "cluster.pool.outlier_detection.ejections_active")


async def test_a_model_server_that_answers_5xx_is_not_ejected(stack: EnvoyStack) -> None:
    answers = [await stack.post(path="/fail") for _ in range(20)]
    assert [answer.status for answer in answers] == [503] * 20
    assert sum(len(backend.requests) for backend in stack.backends) == 20, "a 5xx of a model server is not retried"
    [pool] = [cluster for cluster in await stack.envoy.clusters() if cluster.name == "pool"]
    assert [host.address for host in pool.hosts if host.ejected] == []


async def test_an_answer_is_not_cut_when_the_picker_dies(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    async with stack.session.post(stack.url + "/stream") as response:
        assert await response.content.readline() == b"data: first\n"
        await stack.picker.die()
        await stack.until(lambda active: active == 0, "cluster.ext_proc.upstream_rq_active")
        stack.backends[0].release.set()
        assert (await response.read()).endswith(b"data: last\n\n")


async def test_a_request_that_waits_in_a_dying_picker_goes_on(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "streams_failed")
    asked = asyncio.Event()

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) == "request_body":
                asked.set()
                await conversation.ended.wait()
            yield go_on(message)

    stack.picker.script = script
    waiting = asyncio.create_task(stack.post())
    await asked.wait()
    await stack.picker.die()
    assert (await waiting).status == 200


async def test_a_picker_may_leave_a_conversation_at_any_point(stack: EnvoyStack) -> None:
    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) == "request_body":
                yield pick("request_body", stack.address_of(2))
                return
            yield go_on(message)

    stack.picker.script = script
    assert (await stack.post()).served_by == stack.address_of(2)


async def test_a_silent_picker_is_given_up_after_2_s_and_one_that_asks_for_time_gets_it(stack: EnvoyStack) -> None:
    stack.expect("failure_mode_allowed", "message_timeouts")
    may_answer = asyncio.Event()

    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            if kind_of(message) != "request_body":
                yield go_on(message)
                continue
            if header(conversation.first("request_headers"), "x-hold"):
                more_time = ProcessingResponse()
                more_time.override_message_timeout.FromSeconds(60)
                yield more_time
            await may_answer.wait()
            yield pick("request_body", stack.address_of(2))

    stack.picker.script = script
    held = asyncio.create_task(stack.post(x_hold="yes"))
    await stack.until(lambda count: count == 1, "http.models.ext_proc.override_message_timeout_received")
    began = asyncio.get_running_loop().time()
    abandoned = await stack.post()
    took = asyncio.get_running_loop().time() - began
    assert abandoned.status == 200
    assert 1.9 < took < 4
    assert not held.done(), "it asked for 60 s"
    may_answer.set()
    assert (await held).served_by == stack.address_of(2)


async def test_time_is_granted_once_per_message_and_up_to_120_s(stack: EnvoyStack) -> None:
    async def script(conversation: Conversation) -> AsyncIterator[ProcessingResponse]:
        async for message in conversation:
            asked_for = {"request_headers": (120, 60), "request_body": (121, 60)}.get(kind_of(message), ())
            for seconds in asked_for:
                more_time = ProcessingResponse()
                more_time.override_message_timeout.FromSeconds(seconds)
                yield more_time
            yield go_on(message)

    before = await stack.envoy.stats(r"ext_proc\.override_message_timeout")
    stack.picker.script = script
    assert (await stack.post()).status == 200
    after = await stack.envoy.stats(r"ext_proc\.override_message_timeout")
    counted = {name.rpartition("_")[2]: after[name] - before[name] for name in after}
    assert counted == {"received": 2, "ignored": 2}, "granted: 120 for the headers, 60 for the body"
