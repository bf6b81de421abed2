"""One ext_proc address per picker process: streams spread over them, and a dead one loses no request."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.envoy_stack import EnvoyStack, checked, running_stack
from tests.support.scripted_ext_proc import picking

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    async with running_stack(tmp_path_factory.mktemp("pickers"), pickers=2) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


async def test_running_streams_are_spread_evenly(stack: EnvoyStack) -> None:
    answers = [asyncio.create_task(stack.post(path="/hang")) for _ in range(100)]
    await stack.backends[0].until_waiting(100)
    shares = [len(picker.conversations) for picker in stack.pickers]
    stack.backends[0].release.set()
    await asyncio.gather(*answers)
    assert sum(shares) == 100
    assert min(shares) >= 30, shares


async def test_a_dead_picker_is_replaced_by_the_other_without_losing_a_pick(stack: EnvoyStack) -> None:
    for picker in stack.pickers:
        picker.script = picking(stack.address_of(1))
    await stack.pickers[0].die()
    answers = await asyncio.gather(*(stack.post() for _ in range(50)))
    assert {answer.served_by for answer in answers} == {stack.address_of(1)}
    assert len(stack.pickers[1].conversations) == 50


async def test_a_picker_that_comes_back_gets_its_share_again(stack: EnvoyStack) -> None:
    await stack.pickers[0].die()
    await asyncio.gather(*(stack.post() for _ in range(20)))
    await stack.pickers[0].start()
    await stack.until(lambda ejected: ejected == 0, "cluster.ext_proc.outlier_detection.ejections_active")
    await asyncio.gather(*(stack.post() for _ in range(50)))
    assert len(stack.pickers[0].conversations) > 5
