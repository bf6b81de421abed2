"""One ext_proc address per picker process: streams spread over them, and a dead one loses no request."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from epp.lab.envoy_parts import Config, cluster
from tests.support.envoy_stack import Answer, EnvoyStack, checked, running_stack
from tests.support.scripted_ext_proc import picking

pytestmark = pytest.mark.asyncio(loop_scope="module")


def without_ejection(config: Config) -> Config:
    """So that a dead picker stays a choice, and one that comes back is a choice at once."""
    del cluster(config, "ext_proc")["outlier_detection"]
    return config


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EnvoyStack]:
    directory = tmp_path_factory.mktemp("pickers")
    async with running_stack(directory, pickers=2, transform=without_ejection) as stack:
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(shared: EnvoyStack) -> AsyncIterator[EnvoyStack]:
    async with checked(shared):
        yield shared


async def hang(stack: EnvoyStack, requests: int, running: int = 0) -> list[asyncio.Task[Answer]]:
    """Answers that run until `release`, started in steps, so that each step sees what the one before has chosen."""
    answers = []
    for started in range(10, requests + 1, 10):
        answers += [asyncio.create_task(stack.post(path="/hang")) for _ in range(10)]
        await stack.backends[0].until_waiting(running + started)
    return answers


def shares(stack: EnvoyStack) -> list[int]:
    return [len(picker.conversations) for picker in stack.pickers]


async def test_running_streams_are_spread_evenly(stack: EnvoyStack) -> None:
    answers = await hang(stack, 60)
    stack.backends[0].release.set()
    await asyncio.gather(*answers)
    assert sum(shares(stack)) == 60
    assert min(shares(stack)) >= 20, shares(stack)


async def test_a_picker_with_fewer_streams_gets_the_next_ones(stack: EnvoyStack) -> None:
    await stack.pickers[1].die()
    answers = await hang(stack, 100)
    await stack.pickers[1].start()
    answers += await hang(stack, 100, running=100)
    stack.backends[0].release.set()
    await asyncio.gather(*answers)
    assert shares(stack)[1] > 56, "where taking turns would give it 50, and the better of two 75"


async def test_a_dead_picker_is_replaced_by_the_other_without_losing_a_pick(stack: EnvoyStack) -> None:
    for picker in stack.pickers:
        picker.script = picking(stack.address_of(1))
    await stack.pickers[0].die()
    answers = await asyncio.gather(*(stack.post() for _ in range(50)))
    assert {answer.served_by for answer in answers} == {stack.address_of(1)}
    assert shares(stack) == [0, 50]


async def test_a_dead_picker_is_left_alone_for_seconds(tmp_path: Path) -> None:
    async with running_stack(tmp_path, pickers=2) as stack, checked(stack):
        await stack.pickers[0].die()
        await asyncio.gather(*(stack.post() for _ in range(20)))
        await stack.until(lambda ejected: ejected == 1, "cluster.ext_proc.outlier_detection.ejections_active")
        attempts = await stack.stat("cluster.ext_proc.upstream_cx_connect_fail")
        await asyncio.gather(*(stack.post() for _ in range(20)))
        assert await stack.stat("cluster.ext_proc.upstream_cx_connect_fail") == attempts
        await stack.pickers[0].start()
        await stack.until(lambda ejected: ejected == 0, "cluster.ext_proc.outlier_detection.ejections_active")
        await asyncio.gather(*(stack.post() for _ in range(20)))
        assert shares(stack)[0] > 0
