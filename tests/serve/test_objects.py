"""`epp serve --objects`: not ready without a pool, ready with one, and what a change or a mistake in a file does."""

import time
from pathlib import Path

import pytest

from epp.core.protocol.events import BodyMode
from tests.support.ext_proc_client import ExtProcClient, Forwarded, Refused
from tests.support.metric_pods import metric_pods
from tests.support.object_yaml import documents, objective_yaml, pod_yaml, pool_yaml
from tests.support.served_picker import ServedPicker, served_picker

COUNTS_WITHIN_S = 2.0
"""the promise for a changed object"""
METRIC_COUNTS_WITHIN_S = 2.0
"""the promise is 1 s; the rest is for a busy machine"""
READINESS_NAMES = ("readiness", "", "envoy.service.ext_proc.v3.ExternalProcessor", "inference-extension")


async def pick(picker: ServedPicker, headers: dict[str, str] | None = None) -> Forwarded:
    """Where one request goes that nobody has seen before."""
    async with ExtProcClient(picker.ports.grpc_port) as envoy:
        request = envoy.request(BodyMode.BUFFERED)
        forwarded = await request.send(b'{"model":"m","prompt":"%d"}' % time.monotonic_ns(), headers=headers)
        request.reset()
        return forwarded


async def test_without_a_pool_it_is_not_ready_and_says_what_is_missing(tmp_path: Path) -> None:
    async with served_picker(tmp_path) as picker:
        assert await picker.health("liveness") == "SERVING"
        assert [await picker.health(name) for name in READINESS_NAMES] == ["NOT_SERVING"] * len(READINESS_NAMES)
        assert await picker.health("somebody-else") == "SERVICE_UNKNOWN"
        status, text = await picker.get("/readyz")
        assert status == 503
        assert f"not ready: no InferencePool (the only one) found yet in {picker.objects}" in text
        assert (await picker.get("/healthz"))[0] == 200
        assert (await picker.findings())["no-pool"]["severity"] == "error"
        with pytest.raises(Refused) as refused:
            await pick(picker)
        assert refused.value.status == 503

        picker.write("pools.yaml", documents(pool_yaml("one"), pool_yaml("two")))

        async def names_the_problem() -> bool:
            return "2 InferencePools: default/one" in (await picker.get("/readyz"))[1]

        await picker.until(names_the_problem, "/readyz says why no pool was taken")


GRPC_PARSER = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{type: vllmgrpc-parser}]
requestHandler: {parsers: [{pluginRef: vllmgrpc-parser}]}
"""


async def test_a_pool_that_the_parsers_cannot_serve_is_not_ready_and_says_why(tmp_path: Path) -> None:
    async with served_picker(tmp_path, f"--config-text={GRPC_PARSER}") as picker:
        picker.write("pool.yaml", pool_yaml(app_protocol="http"))

        async def says_why() -> bool:
            return (
                "appProtocol is http, but vllmgrpc-parser needs kubernetes.io/h2c" in (await picker.get("/readyz"))[1]
            )

        await picker.until(says_why, "/readyz names the parser")
        assert await picker.health() == "NOT_SERVING"
        assert picker.logged("not ready")

        picker.write("pool.yaml", pool_yaml(app_protocol="kubernetes.io/h2c"))
        await picker.until_ready()
        assert await picker.health() == "SERVING"


async def test_pool_and_pods_appear_and_requests_follow_the_load(tmp_path: Path) -> None:
    async with metric_pods(2) as pods, served_picker(tmp_path) as picker:
        pods.waiting[pods.hosts[0]] = 9
        picker.write("pods.yaml", pods.pods_yaml())
        picker.write("pool.yaml", pods.pool_yaml())
        await picker.until_ready()
        await picker.until_endpoints(*pods.destinations)
        assert await picker.health() == "SERVING"

        async def goes_to(number: int) -> bool:
            return (await pick(picker)).destination == pods.destination(number)

        await picker.until(lambda: goes_to(1), "the idle pod is picked")
        pods.waiting.update({pods.hosts[0]: 0, pods.hosts[1]: 9})
        await picker.until(
            lambda: goes_to(0), "the load has moved and picks have followed", within_s=METRIC_COUNTS_WITHIN_S
        )


async def test_a_changed_object_counts_within_two_seconds(tmp_path: Path) -> None:
    async with served_picker(tmp_path) as picker:
        first, second = pod_yaml("a", "127.0.0.2"), pod_yaml("b", "127.0.0.3")
        picker.write("pool.yaml", pool_yaml())
        picker.write("pods.yaml", documents(first, second))
        await picker.until_endpoints("127.0.0.2:8000", "127.0.0.3:8000")

        picker.write("pods.yaml", documents(first, pod_yaml("b", "127.0.0.3", ready="False")))
        await picker.until_endpoints("127.0.0.2:8000", within_s=COUNTS_WITHIN_S)
        picker.write("pods.yaml", "")
        await picker.until_endpoints(within_s=COUNTS_WITHIN_S)
        picker.write("pods.yaml", first)
        await picker.until_endpoints("127.0.0.2:8000", within_s=COUNTS_WITHIN_S)

        picker.write("objectives.yaml", objective_yaml("premium", priority=7))

        async def has_priority() -> bool:
            await pick(picker, {"x-gateway-inference-objective": "premium"})
            return (await picker.pages.decisions(1))[0].priority == 7

        await picker.until(has_priority, "the objective counts", within_s=COUNTS_WITHIN_S)

        picker.write("pool.yaml", "")

        async def is_unready() -> bool:
            return await picker.health() == "NOT_SERVING"

        await picker.until(is_unready, "not ready without its pool", within_s=COUNTS_WITHIN_S)


async def test_a_mistake_keeps_the_last_good_state_and_is_named_everywhere(tmp_path: Path) -> None:
    async with served_picker(tmp_path) as picker:
        picker.write("pool.yaml", pool_yaml())
        picker.write("pods.yaml", pod_yaml("a", "127.0.0.2"))
        await picker.until_endpoints("127.0.0.2:8000")

        picker.write("pods.yaml", pod_yaml("a", "127.0.0.300"))

        async def is_logged() -> bool:
            return bool(picker.logged("object not taken over"))

        await picker.until(is_logged, "the mistake is in the log", within_s=COUNTS_WITHIN_S)
        (line,) = picker.logged("object not taken over")
        assert line["level"] == "warning"
        assert line["problem"].startswith(f"{picker.objects}/pods.yaml:7: status.podIP: '127.0.0.300' is not")
        assert await picker.pages.metric("epp_object_problems") == 1
        assert await picker.destinations() == ["127.0.0.2:8000"]
        assert (await pick(picker)).destination == "127.0.0.2:8000"

        async def is_found() -> bool:
            return "object-problems" in await picker.findings()

        await picker.until(is_found, "the self-check names it", within_s=7.0)
        assert "the last good state stays in force" in (await picker.findings())["object-problems"]["what"]

        picker.write("pods.yaml", pod_yaml("a", "127.0.0.3"))
        await picker.until_endpoints("127.0.0.3:8000", within_s=COUNTS_WITHIN_S)
        assert await picker.pages.metric("epp_object_problems") == 0
        assert len(picker.logged("object not taken over")) == 1
