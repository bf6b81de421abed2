"""envoy.yaml sets no limit that a pool of model servers would meet: streams, time, idle connections."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.envoy_stack import EnvoyStack, checked, running_stack
from tests.support.h2_client import H2Client
from tests.support.scripted_ext_proc import picking

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    async with running_stack(tmp_path_factory.mktemp("limits")) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


async def test_1100_answers_run_at_once_and_each_was_picked(stack: EnvoyStack) -> None:
    port = stack.envoy.listener_port
    async with H2Client("127.0.0.1", port) as first, H2Client("127.0.0.1", port) as second:
        answers = []
        # In steps, because this picker needs a millisecond a request and has to answer each within 2 s.
        for started in range(100, 1101, 100):
            answers += [await client.begin("POST", "/hang", body=b"{}") for client in [first, second] * 50]
            await stack.backends[0].until_waiting(started)
        assert await stack.stat("cluster.ext_proc.upstream_rq_active") == 1100
        stack.backends[0].release.set()
        await asyncio.gather(*(answer.done.wait() for answer in answers))
    assert {answer.status for answer in answers} == {200}
    assert len(stack.picker.conversations) == 1100
    for cluster in ("pool", "ext_proc"):
        assert await stack.stat(f"cluster.{cluster}.upstream_rq_pending_overflow") == 0


async def test_no_time_limit_is_set_on_an_answer(stack: EnvoyStack) -> None:
    """Envoy would announce one, such as its default of 15 s, to the model server."""
    assert "x-envoy-expected-rq-timeout-ms" not in (await stack.post()).headers


async def test_envoy_closes_an_idle_connection_before_the_model_server_does(stack: EnvoyStack) -> None:
    """The server here waits 5 s, as vLLM's does. A request in the moment of its closing would be lost."""
    stack.picker.script = picking(stack.address_of(1))
    closed_by_servers = await stack.stat("cluster.pool.upstream_cx_destroy_remote")
    await stack.post()
    began = asyncio.get_running_loop().time()
    await until_no_connection(stack, stack.backends[1].ip)
    assert asyncio.get_running_loop().time() - began > 3, "it is kept for the next request for a while"
    assert await stack.stat("cluster.pool.upstream_cx_destroy_remote") == closed_by_servers


async def until_no_connection(stack: EnvoyStack, ip: str) -> None:
    while True:
        [pool] = [cluster for cluster in await stack.envoy.clusters() if cluster.name == "pool"]
        if not [host for host in pool.hosts if host.address == ip and host.stats["cx_active"]]:
            return
        await asyncio.sleep(0.05)
