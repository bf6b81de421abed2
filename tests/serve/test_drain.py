"""SIGTERM: not ready at once, serving until the drain time-out or a second signal, then a quiet end."""

import asyncio
import signal
from pathlib import Path

import grpc

from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient
from tests.support.object_yaml import pod_yaml, pool_yaml
from tests.support.served_picker import ServedPicker, served_picker

BODY = b'{"model":"m","prompt":"hello"}'
POD = "127.0.0.2:8000"


async def until_serving(picker: ServedPicker) -> None:
    picker.write("pool.yaml", pool_yaml())
    picker.write("pods.yaml", pod_yaml("a", "127.0.0.2"))
    await picker.until_endpoints(POD)


async def test_it_serves_on_while_draining_until_a_second_signal(tmp_path: Path) -> None:
    async with served_picker(tmp_path, "--drain-timeout=60s") as picker:
        await until_serving(picker)
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            before = envoy.request(BodyMode.BUFFERED)
            await before.send(BODY)

            picker.signal(signal.SIGTERM)

            async def is_unready() -> bool:
                return await picker.health() == "NOT_SERVING"

            await picker.until(is_unready, "health turns at once", within_s=1.0)
            assert await picker.health("liveness") == "SERVING"
            assert (await picker.get("/readyz"))[1].count("not ready: shutting down") == 1

            during = envoy.request(BodyMode.BUFFERED)
            assert (await during.send(BODY)).destination == POD
            during.reset()
            await before.answered(served=POD)
            assert picker.process.returncode is None

            picker.signal(signal.SIGTERM)
            assert await picker.ended() == 0
            assert await before.stream.status() is grpc.StatusCode.OK, "Envoy takes anything else for a failure"
    events = [line["event"] for line in picker.log]
    assert events.index("serving") < events.index("draining") < events.index("stopped")


async def test_the_drain_ends_by_itself_and_ctrl_c_drains_too(tmp_path: Path) -> None:
    async with served_picker(tmp_path, "--drain-timeout=400ms") as picker:
        await until_serving(picker)
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        picker.signal(signal.SIGINT)
        assert await picker.ended() == 0
        assert clock() - asked_at >= 0.4
    assert picker.logged("stopped")


async def test_a_signal_right_after_the_start_ends_it_quietly(tmp_path: Path) -> None:
    async with served_picker(tmp_path) as picker:
        picker.signal(signal.SIGTERM)
        assert await picker.ended() == 0
