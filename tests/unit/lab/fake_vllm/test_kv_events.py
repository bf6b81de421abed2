"""KV-cache events of a pod over ZeroMQ, read with a plain socket."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
import zmq.asyncio

from epp.lab.fake_vllm.faults import Faults
from epp.lab.fake_vllm.kv_event_log import KvEventLog
from epp.lab.fake_vllm.kv_publisher import END_OF_REPLAY
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import SettingsError
from epp.lab.fake_vllm.tokens import text_tokens
from tests.unit.lab.fake_vllm.conftest import StartPod
from tests.unit.lab.fake_vllm.scripted_engine import ScriptedEngine

decode = msgspec.msgpack.decode
Connect = Callable[[int, int], zmq.asyncio.Socket]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Sockets that are closed at the end."""
    context = zmq.asyncio.Context()

    def connect(kind: int, port: int) -> zmq.asyncio.Socket:
        socket = context.socket(kind)
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"kv@")
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    yield connect
    context.destroy(linger=0)


async def complete(client: aiohttp.ClientSession, pod: FakePod, **body: Any) -> None:
    async with client.post(pod.url + "/v1/completions", json={"max_tokens": 1, **body}) as response:
        assert response.status == 200


async def replay(connect: Connect, port: int, first: int) -> list[list[bytes]]:
    """Frames of every answer up to the end."""
    socket = connect(zmq.DEALER, port)
    await socket.send_multipart((b"", first.to_bytes(8, "big")))
    answers = [await socket.recv_multipart()]
    while answers[-1][-2] != END_OF_REPLAY:
        answers.append(await socket.recv_multipart())
    return answers[:-1]


async def test_blocks_are_told_with_tokens_adapter_and_salt(
    start_pod: StartPod, client: aiohttp.ClientSession, connect: Connect
) -> None:
    pod = await start_pod(kv_events_port=0, kv_events_replay_port=0)
    assert pod.kv_events_replay_port
    await complete(client, pod, prompt="x" * 40 * 4, cache_salt="tenant", model="food")
    [[_, topic, number, payload]] = await replay(connect, pod.kv_events_replay_port, 0)
    assert topic.decode() == f"kv@{pod.address}@meta/base"
    assert number == bytes(8)
    ts, [event], rank = decode(payload)
    kind, hashes, parent, tokens, size, lora_id, medium, lora_name, extra_keys = event
    assert (kind, parent, size, lora_id, medium, lora_name, rank) == ("BlockStored", None, 16, 1, "GPU", "food", 0)
    assert tokens == memoryview(text_tokens("x" * 32 * 4)).cast("I").tolist()
    assert len(hashes) == 2
    assert extra_keys == [["food", "tenant"], ["food"]]
    assert ts > 0


async def test_the_newer_encoding_has_names(
    start_pod: StartPod, client: aiohttp.ClientSession, connect: Connect
) -> None:
    pod = await start_pod(kv_events_port=0, kv_events_replay_port=0, kv_events_as_maps=True)
    assert pod.kv_events_replay_port
    await complete(client, pod, prompt="x" * 40 * 4)
    [[*_, payload]] = await replay(connect, pod.kv_events_replay_port, 0)
    batch = decode(payload)
    assert sorted(batch) == ["data_parallel_rank", "events", "ts"]
    assert batch["events"][0]["type"] == "BlockStored"
    assert batch["events"][0]["extra_keys"] == [None, None]


async def test_batches_are_published_and_numbered_and_lost_ones_can_be_replayed(
    start_pod: StartPod, client: aiohttp.ClientSession, connect: Connect
) -> None:
    pod = await start_pod(kv_events_port=0, kv_events_replay_port=0)
    assert pod.kv_events_port
    assert pod.kv_events_replay_port
    socket = connect(zmq.SUB, pod.kv_events_port)
    while not await socket.poll(20):  # it hears what is published once it is connected
        await client.post(pod.url + "/reset_prefix_cache")
    *_, number, payload = await socket.recv_multipart()
    assert decode(payload)[1] == [["AllBlocksCleared"]]
    last = int.from_bytes(number, "big")
    while await socket.poll(20):
        last = int.from_bytes((await socket.recv_multipart())[1], "big")

    pod.inject(Faults(kv_events="lost"))
    await complete(client, pod, prompt="b" * 64)
    pod.inject(Faults())
    await complete(client, pod, prompt="c" * 64)
    *_, number, payload = await socket.recv_multipart()
    assert decode(payload)[1][0][0] == "BlockStored"
    assert int.from_bytes(number, "big") == last + 2
    again = await replay(connect, pod.kv_events_replay_port, last + 1)
    assert [int.from_bytes(frames[-2], "big") for frames in again] == [last + 1, last + 2]


async def test_a_port_that_is_taken_is_an_error_and_nothing_is_left_open(start_pod: StartPod) -> None:
    pod = await start_pod(kv_events_port=0)
    with pytest.raises(OSError, match="in use"):
        await start_pod(kv_events_port=pod.kv_events_port)


@pytest.mark.parametrize("changes", [{"kv_events_port": -1}, {"kv_events_port": 1, "kv_events_replay_port": 1 << 16}])
async def test_ports_are_checked(start_pod: StartPod, changes: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="is not a TCP port"):
        await start_pod(**changes)
    with pytest.raises(SettingsError, match="nothing to replay"):
        await start_pod(kv_events_replay_port=0)


def test_evicted_blocks_are_told() -> None:
    log = KvEventLog(4)
    run = ScriptedEngine(kv_events=log, num_gpu_blocks=6)
    run.submit(1, 16)
    run.run()
    [stored] = log.take()
    assert (stored["type"], len(stored["block_hashes"]), stored["parent_block_hash"]) == ("BlockStored", 4, None)

    run.submit(2, 16)
    run.run()
    removed = [event for event in log.take() if event["type"] == "BlockRemoved"]
    assert [event["block_hashes"][0] for event in removed] == stored["block_hashes"][:1:-1], "tails first"


def test_blocks_that_come_later_name_the_one_before() -> None:
    log = KvEventLog(4)
    run = ScriptedEngine(kv_events=log)
    run.submit(1, 6, output_tokens=7)
    run.run()
    first, *later = log.take()
    names = [name for event in (first, *later) for name in event["block_hashes"]]
    assert [event["parent_block_hash"] for event in later] == names[: len(later)]
    assert len(names) == 3, "12 of the 13 tokens have entries in the cache"


def test_a_cache_in_use_cannot_be_reset() -> None:
    log = KvEventLog(4)
    run = ScriptedEngine(kv_events=log)
    run.submit(1, 16)
    assert not run.engine.reset_prefix_cache()
    run.run()
    log.take()
    assert run.engine.reset_prefix_cache()
    assert log.take() == [{"type": "AllBlocksCleared"}]
    run.submit(2, 16, text=1001)
    run.run()
    assert run.cached(2) == 0, "nothing was left of the first one"
