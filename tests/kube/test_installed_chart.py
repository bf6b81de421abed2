"""The chart as it is installed: a picker with the flags of its Deployment, and with the rights of its account."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from epp.core.domain.pool import POOL_GROUP
from epp.core.protocol.events import BodyMode
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.eventually import eventually
from tests.support.ext_proc_client import ExtProcClient
from tests.support.gke_crds import install_gke
from tests.support.kube_objects import ALPHA_GROUP, NAMESPACE, install_crds, loosen, objective, pod
from tests.support.kube_schemas import built_in_schemas
from tests.support.kubectl import CommandLine
from tests.support.served_picker import HOST, ServedPicker, served_picker

CHART = str(Path(__file__).resolve().parents[2] / "manifests" / "chart" / "inferencepool")
RELEASE = "pool"
BODY = b'{"model":"m","prompt":"hello"}'
POD = "127.0.0.2:8000"
OF_THE_TEST = ("grpc-port", "grpc-health-port", "metrics-port", "drain-timeout", "secure-serving")
"""flags that `served_picker` gives: ports that are free here, a short drain"""


@pytest.fixture
async def cluster() -> AsyncIterator[KubeApi]:
    async with KubeApi(KubeApiSettings(seed=1), schemas=built_in_schemas()) as api:
        install_crds(api)
        install_gke(api)
        yield api


async def install(api: KubeApi, folder: Path, *settings: str) -> dict[str, Any]:
    """Installs the chart; the picker's container."""
    line = CommandLine(api.kubeconfig(folder / "admin"), folder)
    labels = "inferencePool.modelServers.matchLabels.app=vllm"
    await line.helm("install", RELEASE, CHART, *(f"--set={each}" for each in (labels, *settings)))
    api.objects.create(pod("a", "127.0.0.2"))
    deployment = api.objects.get("apps/v1", "Deployment", NAMESPACE, f"{RELEASE}-epp")
    assert deployment is not None
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == f"{RELEASE}-epp"
    container: dict[str, Any] = spec["containers"][0]
    return container


@asynccontextmanager
async def as_installed(api: KubeApi, folder: Path, container: dict[str, Any]) -> AsyncIterator[ServedPicker]:
    """The container as a process: its flags, its ConfigMap as a file, its account's token."""
    plugins = api.objects.get("v1", "ConfigMap", NAMESPACE, f"{RELEASE}-epp")
    assert plugins is not None
    for name, text in plugins["data"].items():
        (folder / name).write_text(text)
    flags = [flag.replace("/config/", f"{folder}/") for flag in container["args"][1:]]
    flags = [flag for flag in flags if flag.removeprefix("--").partition("=")[0] not in OF_THE_TEST]
    token = api.account_token(NAMESPACE, f"{RELEASE}-epp")
    access = f"--kubeconfig={api.kubeconfig(folder / 'of-the-picker', token=token)}"
    async with served_picker(folder, *flags, access, f"--metrics-bind-address={HOST}", objects=False) as picker:
        yield picker


@pytest.mark.parametrize("settings", [(), ("provider.name=gke",), ("inferenceExtension.replicas=2",)])
async def test_its_rights_are_enough(cluster: KubeApi, tmp_path: Path, settings: tuple[str, ...]) -> None:
    container = await install(cluster, tmp_path, *settings)
    cluster.objects.create(objective("food-review", 10))
    async with as_installed(cluster, tmp_path, container) as picker:

        async def is_serving() -> bool:
            return await picker.health() == "SERVING"

        await picker.until(is_serving, "the chart's pool is served", within_s=15.0)
        await picker.until_page("/metrics", cluster.admin_token, "inference_pool_ready_pods")
        async with ExtProcClient(picker.ports.grpc_port) as envoy:
            request = envoy.request(BodyMode.BUFFERED)
            assert (await request.send(BODY)).destination == POD
            request.reset()
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-epp"
    asked = [entry for entry in cluster.audit if entry.user == account]
    assert [entry for entry in asked if entry.status == 403] == []
    assert {entry.resource for entry in asked if entry.verb == "watch"} == {
        "pods",
        f"inferencepools.{POOL_GROUP}",
        f"inferenceobjectives.{ALPHA_GROUP}",
        f"inferencemodelrewrites.{ALPHA_GROUP}",
    }
    assert bool([entry for entry in asked if "leases" in entry.resource]) == (
        len(settings) and "replicas" in settings[0]
    )


async def test_it_may_tell_the_author_of_an_object_with_a_mistake(cluster: KubeApi, tmp_path: Path) -> None:
    container = await install(cluster, tmp_path)
    loosen(cluster, ALPHA_GROUP, "inferenceobjectives")
    broken = objective("broken", 1)
    broken["spec"]["priority"] = "high"
    cluster.objects.create(broken)
    async with as_installed(cluster, tmp_path, container):
        await eventually(lambda: cluster.objects.list("events.k8s.io/v1", "Event", NAMESPACE), within_s=10.0)
    (event,) = cluster.objects.list("events.k8s.io/v1", "Event", NAMESPACE)
    assert event["note"].endswith("default/broken: spec.priority: expected int, got str")
