"""The driver between engine time and the event loop."""

import asyncio

import pytest

from epp.lab.fake_vllm.driver import EngineDriver
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.sequence import EngineRequest
from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings
from tests.unit.lab.fake_vllm.scripted_engine import prompt

FAST = EngineSettings(num_gpu_blocks=2000, latency=LatencySettings(speed=1000.0))


def request(request_id: int, output_tokens: int) -> EngineRequest:
    return EngineRequest(request_id=request_id, prompt=prompt(4), output=prompt(output_tokens))


@pytest.fixture
async def driver() -> EngineDriver:
    return EngineDriver(Engine(FAST), asyncio.get_running_loop())


async def test_a_whole_answer_wakes_its_reader_once(driver: EngineDriver) -> None:
    generation = driver.submit([request(1, 5), request(2, 9)], stream=False)
    assert await generation.events() == []
    assert (generation.unfinished, generation.tokens) == (0, 14)


async def test_a_streamed_answer_hands_over_every_token_in_order(driver: EngineDriver) -> None:
    generation = driver.submit([request(1, 50), request(2, 30)], stream=True)
    seen: dict[int, list[int]] = {0: [], 1: []}
    while generation.unfinished or sum(map(len, seen.values())) < 80:
        for index, output in await generation.events():
            seen[index].append(output.position)
    assert seen == {0: list(range(50)), 1: list(range(30))}


async def test_an_aborted_generation_gets_nothing_more(driver: EngineDriver) -> None:
    requests = [request(1, 500)]
    generation = driver.submit(requests, stream=True)
    await generation.events()
    produced = generation.tokens
    driver.abort(requests)
    await driver.next_publication()
    assert generation.tokens == produced
    assert driver.engine.next_event_at is None


async def test_a_process_that_cannot_keep_up_holds_the_engine_clock_back() -> None:
    impossible = LatencySettings(speed=1e9)
    driver = EngineDriver(Engine(EngineSettings(num_gpu_blocks=2000, latency=impossible)), asyncio.get_running_loop())
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    generation = driver.submit([request(1, 200)], stream=False)
    loop.call_soon(_block, loop, 0.15)
    await generation.events()

    assert generation.tokens == 200
    assert driver._held_back_s > 0
    assert driver._held_back_s <= loop.time() - asked_at


async def test_request_ids_are_never_used_twice(driver: EngineDriver) -> None:
    assert [*driver.next_ids(3), *driver.next_ids(2)] == [1, 2, 3, 4, 5]


async def test_close_stops_the_clock(driver: EngineDriver) -> None:
    generation = driver.submit([request(1, 5)], stream=False)
    driver.close()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(generation.events(), 0.02)


def _block(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    begin = loop.time()
    while loop.time() - begin < seconds:
        pass
