"""SIGTERM: not ready at once, serving until the drain time-out or a second signal, then a quiet end."""

import asyncio
import signal
from pathlib import Path

import grpc
import pytest
from hyperframe.frame import Frame, GoAwayFrame, SettingsFrame

from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.object_yaml import pod_yaml, pool_yaml
from tests.support.served_picker import HOST, ServedPicker, served_picker

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


async def test_connections_are_told_to_go_when_the_drain_is_over(tmp_path: Path) -> None:
    async with served_picker(tmp_path, "--drain-timeout=300ms") as picker:
        await until_serving(picker)
        reader, writer = await asyncio.open_connection(HOST, picker.ports.grpc_port)
        writer.write(PREFACE + SettingsFrame().serialize())
        assert isinstance(await next_frame(reader), SettingsFrame)
        told = asyncio.ensure_future(told_to_go(reader))
        picker.signal()

        async def is_unready() -> bool:
            return await picker.health() == "NOT_SERVING"

        await picker.until(is_unready, "health turns at once", within_s=0.3)
        assert not told.done(), "streams are still taken"
        await told
        writer.close()
        assert await picker.ended() == 0


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def next_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame of a connection (RFC 9113); the h2 library takes none any more after GOAWAY."""
    async with asyncio.timeout(5.0):
        frame, length = Frame.parse_frame_header(memoryview(await reader.readexactly(9)))
        frame.parse_body(memoryview(await reader.readexactly(length)))
        return frame


async def told_to_go(reader: asyncio.StreamReader) -> None:
    while not isinstance(await next_frame(reader), GoAwayFrame):
        pass


QUEUE = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
featureGates: [flowControl]
plugins:
- type: max-score-picker
- type: concurrency-detector
  parameters: {maxConcurrency: 1}
flowControl:
  saturationDetector: {pluginRef: concurrency-detector}
"""


async def test_who_still_waits_is_refused_in_words(tmp_path: Path) -> None:
    config = tmp_path / "queue.yaml"
    config.write_text(QUEUE)
    async with served_picker(tmp_path, "--drain-timeout=300ms", f"--config-file={config}") as picker:
        await until_serving(picker)
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            first = envoy.request(BodyMode.BUFFERED)
            assert (await first.send(BODY)).destination == POD
            second = envoy.in_background(envoy.request(BodyMode.BUFFERED).send(BODY))

            async def waits() -> bool:
                return await picker.pages.metric("inference_extension_flow_control_queue_size") == 1

            await picker.until(waits, "the second one waits")
            picker.signal()
            with pytest.raises(Refused) as refused:
                await second
            assert refused.value.status == 503
            assert refused.value.headers["x-llm-d-request-dropped-reason"] == "rejected-shutting-down"
            assert "retry-after" in refused.value.headers
        assert await picker.ended() == 0
