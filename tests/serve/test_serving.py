"""What a running picker shows and writes: metrics, health on either port, the policy, Envoy's endpoint file."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient
from tests.support.metrics_page import ParsedPage
from tests.support.object_yaml import documents, pod_yaml, pool_yaml
from tests.support.served_picker import ServedPicker, served_picker

DISCOVERY = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: %s, watchFile: true}}
- {type: queue-scorer}
dataLayer: {discovery: {pluginRef: file-discovery}}
"""


async def send(picker: ServedPicker, model: str = "m") -> str:
    """One request from begin to end; returns where it went."""
    async with ExtProcClient(picker.ports.grpc_port) as envoy:
        request = envoy.request(BodyMode.BUFFERED)
        forwarded = await request.send(b'{"model":"%s","prompt":"hello"}' % model.encode())
        await request.answered(served=forwarded.destination)
        request.reset()
        return forwarded.destination


async def metrics(picker: ServedPicker) -> ParsedPage:
    return ParsedPage((await picker.get("/metrics"))[1].encode())


def endpoints_of(path: Path) -> list[str]:
    """Addresses in Envoy's endpoint file."""
    found = msgspec.json.decode(path.read_bytes())["resources"][0]["endpoints"]
    listed = found[0]["lb_endpoints"] if found else []
    return [each["endpoint"]["address"]["socket_address"]["address"] for each in listed]


@pytest.mark.parametrize("workers", [0, 1])
async def test_what_does_not_speak_http_2_on_the_grpc_port_is_counted_and_logged(tmp_path: Path, workers: int) -> None:
    async with served_picker(tmp_path, f"--workers={workers}", "--transport=native", "--zap-encoder=json") as picker:
        picker.write("all.yaml", documents(pool_yaml(), pod_yaml("a", "127.0.0.2")))
        await picker.until_endpoints("127.0.0.2:8000")
        reader, writer = await asyncio.open_connection("127.0.0.1", picker.ports.grpc_port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: picker\r\n\r\n")
        await reader.read()
        host, port = writer.get_extra_info("sockname")
        writer.close()
        count = (await metrics(picker)).value("epp_connections_ended_total", {"reason": "PROTOCOL_ERROR"})
        assert count == 1
        assert await send(picker) == "127.0.0.2:8000", "others are served"
    (line,) = picker.logged("connection ended")
    assert (line["port"], line["peer"], line["reason"]) == ("grpc-port", f"{host}:{port}", "PROTOCOL_ERROR")


async def test_metrics_and_health_of_a_picker_with_every_port_in_use(tmp_path: Path) -> None:
    async with served_picker(tmp_path, "--health-checking", "--metric-names=both", "--zap-encoder=json") as picker:
        picker.write("all.yaml", documents(pool_yaml(), pod_yaml("a", "127.0.0.2")))
        await picker.until_endpoints("127.0.0.2:8000")
        assert [await send(picker) for _ in range(3)] == ["127.0.0.2:8000"] * 3

        async def all_over() -> bool:
            return (await metrics(picker)).value("epp_reservations_open") == 0

        await picker.until(all_over, "three requests are over")
        page = await metrics(picker)
        labels = {"model_name": "m", "target_model_name": "m", "priority": "0"}
        assert page.value("inference_objective_request_total", labels) == 3
        assert page.value("inference_pool_ready_pods", {"name": "pool"}) == 1
        assert page.value("epp_streams_open") == 0
        assert any(name.startswith("llm_d_epp_") for name in page.types)

        for port in (picker.ports.health_port, picker.ports.grpc_port):
            assert await picker.health("", port) == "SERVING"
            assert await picker.health("liveness", port) == "SERVING"
        assert "expected-cost-scorer" in (await picker.get("/debug/config"))[1]
        notices = [line["notice"] for line in picker.logged("accepted, but")]
        assert notices == ["--zap-encoder has no effect: use --log-format"]


async def test_endpoints_from_a_file_discovery_plugin(tmp_path: Path) -> None:
    listed, config = tmp_path / "endpoints.yaml", tmp_path / "picker.yaml"
    config.write_text(DISCOVERY % listed)
    async with served_picker(tmp_path, f"--config-file={config}", objects=False) as picker:
        status, text = await picker.get("/readyz")
        assert status == 503
        assert f"no endpoints read yet from {listed}" in text

        listed.write_text("endpoints: [{name: a, address: 127.0.0.2, port: '8000'}]\n")
        await picker.until_ready()
        assert await send(picker) == "127.0.0.2:8000"

        listed.write_text("endpoints: [{name: a, address: localhost, port: 8001}]\n")
        await picker.until_endpoints("127.0.0.1:8001")
        assert await send(picker) == "127.0.0.1:8001"

        listed.write_text("endpoints: [{name: a, address: 127.0.0.2}]\n")

        async def is_logged() -> bool:
            return bool(picker.logged("object not taken over"))

        await picker.until(is_logged, "the mistake is in the log")
        assert picker.logged("object not taken over")[0]["problem"].startswith(f"{listed}:1: ")
        assert await picker.destinations() == ["127.0.0.1:8001"]


async def test_the_endpoint_file_of_a_former_run_stays_until_the_pool_is_known_again(tmp_path: Path) -> None:
    """Otherwise requests would fail whenever the picker restarts: Envoy balances over this file without it."""
    path = tmp_path / "eds.json"
    async with served_picker(tmp_path, f"--envoy-eds={path}") as picker:
        assert endpoints_of(path) == [], "Envoy does not start without a file"
        picker.write("all.yaml", documents(pool_yaml(), pod_yaml("a", "127.0.0.2"), pod_yaml("b", "127.0.0.3")))
        await picker.until_endpoints("127.0.0.2:8000", "127.0.0.3:8000")
        assert endpoints_of(path) == ["127.0.0.2", "127.0.0.3"]
        picker.write("all.yaml", "")
        await picker.process.kill()

    async with served_picker(tmp_path, f"--envoy-eds={path}") as picker:
        assert await picker.health() == "NOT_SERVING"
        assert endpoints_of(path) == ["127.0.0.2", "127.0.0.3"]
        picker.write("all.yaml", documents(pool_yaml(), pod_yaml("b", "127.0.0.3")))
        await picker.until_endpoints("127.0.0.3:8000")

        async def is_written() -> bool:
            return endpoints_of(path) == ["127.0.0.3"]

        await picker.until(is_written, "the endpoint that left is out of the file")


async def test_an_endpoint_file_that_cannot_be_written_is_made_up_for(tmp_path: Path) -> None:
    folder = tmp_path / "eds"
    folder.mkdir()
    path = folder / "eds.json"
    async with served_picker(tmp_path, f"--envoy-eds={path}") as picker:
        path.unlink()
        folder.rmdir()
        picker.write("all.yaml", documents(pool_yaml(), pod_yaml("a", "127.0.0.2")))

        async def is_named() -> bool:
            return "cannot write Envoy's endpoint file" in (await picker.get("/readyz"))[1]

        await picker.until(is_named, "/readyz says why")
        assert await picker.destinations() == [], "Envoy does not know it, so nobody picks it"
        assert await picker.pages.metric("epp_object_problems") == 1
        folder.mkdir()
        await picker.until_endpoints("127.0.0.2:8000")
        assert endpoints_of(path) == ["127.0.0.2"]
        assert len(picker.logged("endpoints not written for Envoy; the former ones stay in force")) == 1
