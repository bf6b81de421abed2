"""`epp serve --config-file`: a changed file counts at once for new requests, and no stream notices."""

from pathlib import Path

import pytest

from epp.core.protocol.events import BodyMode
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient, Refused
from tests.support.metric_pods import metric_pods
from tests.support.served_picker import ServedPicker, served_picker

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
BODY = b'{"model":"m","prompt":"x"}'
ONE_EACH = f"""{HEAD}\
featureGates: [flowControl]
plugins:
- type: active-request-scorer
- {{type: concurrency-detector, parameters: {{maxConcurrency: 1}}}}
flowControl:
  saturationDetector: {{pluginRef: concurrency-detector}}
"""


async def until_config(picker: ServedPicker, words: str) -> None:
    async def says() -> bool:
        return words in (await picker.get("/debug/config"))[1]

    await picker.until(says, f"/debug/config says {words!r}")


async def test_a_good_change_counts_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "epp.yaml"
    config.write_text(f"{HEAD}plugins: [{{type: queue-scorer}}]\n")
    async with metric_pods(2) as pods, served_picker(tmp_path, f"--config-file={config}") as picker:
        picker.write("pods.yaml", pods.pods_yaml())
        picker.write("pool.yaml", pods.pool_yaml())
        await picker.until_ready()
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            open_stream = envoy.request(BodyMode.BUFFERED)
            forwarded = await open_stream.send(BODY)
            config.write_text(f"{HEAD}plugins: [{{type: header-based-testing-filter}}, {{type: queue-scorer}}]\n")
            await until_config(picker, "filter header-based-testing-filter")
            refused = envoy.request(BodyMode.BUFFERED)
            with pytest.raises(Refused):
                await refused.send(BODY)

            config.write_text(f"{HEAD}plugins: [{{type: queue-scorre}}]\n")

            async def is_reported() -> bool:
                return await picker.pages.metric("epp_object_problems") == 1

            await picker.until(is_reported, "the mistake is counted")
            assert "filter header-based-testing-filter" in (await picker.get("/debug/config"))[1]
            assert "epp.yaml:3: plugins[0].type" in picker.process.log_tail()

            await open_stream.answered(served=forwarded.destination)
            open_stream.reset()
            refused.reset()


async def test_who_waits_goes_on_waiting_and_goes_by_the_new_rules(tmp_path: Path) -> None:
    config = tmp_path / "epp.yaml"
    config.write_text(ONE_EACH)
    async with metric_pods(1) as pods, served_picker(tmp_path, f"--config-file={config}") as picker:
        picker.write("pods.yaml", pods.pods_yaml())
        picker.write("pool.yaml", pods.pool_yaml())
        await picker.until_endpoints(*pods.destinations)
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            first, second = envoy.request(BodyMode.BUFFERED), envoy.request(BodyMode.BUFFERED)
            await first.send(BODY)
            sending = envoy.in_background(second.send(BODY))
            await eventually(lambda: second.extensions, what="it was told to wait")
            config.write_text(ONE_EACH.replace("maxConcurrency: 1", "maxConcurrency: 2"))
            assert (await sending).destination == pods.destinations[0]
            first.reset()
            second.reset()
