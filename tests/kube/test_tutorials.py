"""Every kubectl and helm line of both GKE tutorials, run by the real programs, with our files and our chart.

Left out are only hosts: a file from a release is the one in manifests/, the chart is a folder. What has no controller
here (GKE writes the status of a Gateway, nodes run pods) is done by the test in its place.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from epp.lab.kube_api.kubeconfig import kubeconfig, write_kubeconfig
from epp.lab.kube_api.server import KubeApi, KubeApiSettings
from tests.support.gke_crds import install_gke
from tests.support.kube_schemas import built_in_schemas
from tests.support.kubectl import CommandLine

ROOT = Path(__file__).resolve().parents[2]
CHART = str(ROOT / "manifests" / "chart" / "inferencepool")
CRDS = ROOT / "manifests" / "crds"
SINGLE = ROOT / "manifests" / "gke" / "single-cluster"
WEST = ROOT / "manifests" / "gke" / "multi-cluster" / "gke-west"
EAST = ROOT / "manifests" / "gke" / "multi-cluster" / "gke-east"
ALTERNATIVES = ROOT / "manifests" / "gke" / "multi-cluster" / "alternatives"
OBJECTIVE_CRD = str(CRDS / "inference.networking.x-k8s.io_inferenceobjectives.yaml")
CLUSTER_1 = "gke_my-project_europe-west3-c_gke-west"
CLUSTER_2 = "gke_my-project_us-east4-a_gke-east"
POOL_CRD = "inference.networking.k8s.io_inferencepools.yaml"
NAME = "vllm-llama3-8b-instruct"
EXPORTED = r"jsonpath={.metadata.annotations.networking\.gke\.io/export}"
BALANCING = "jsonpath={.items[*].spec.default.balancingMode}"
ADDRESS = "jsonpath={.status.addresses[0].value}"


@asynccontextmanager
async def gke_cluster() -> AsyncIterator[KubeApi]:
    """An API server that takes nothing that a real one would not."""
    async with KubeApi(KubeApiSettings(seed=1), schemas=built_in_schemas()) as api:
        install_gke(api)
        yield api


def words(line: str) -> list[str]:
    return line.split()


def programmed(api: KubeApi, name: str, address: str) -> None:
    """What GKE's controller does when the load balancer is there."""
    status = {"addresses": [{"type": "IPAddress", "value": address}]}
    api.objects.set_status("gateway.networking.k8s.io/v1", "Gateway", "default", name, status)


async def test_serve_an_llm_with_gke_inference_gateway(tmp_path: Path) -> None:
    async with gke_cluster() as api:
        line = CommandLine(api.kubeconfig(tmp_path / "kubeconfig"), tmp_path)

        reader = (SINGLE / "01-metrics-reader.yaml").read_text()
        assert "created" in await line.kubectl("apply", "-f", "-", stdin=reader)
        secret = api.objects.get("v1", "Secret", "default", "inference-gateway-sa-metrics-reader-secret")
        assert secret is not None
        assert secret["data"].keys() == {"token", "ca.crt", "namespace"}, "the token controller fills it"

        made = await line.kubectl(
            *words("create secret generic hf-secret"),
            *("--from-literal=hf_api_token=hf_abc", "--dry-run=client", "-o", "yaml"),
        )
        assert "secret/hf-secret created" in await line.kubectl("apply", "-f", "-", stdin=made)

        assert "inferencepools" in await line.kubectl("apply", "-f", str(CRDS / "manifests.yaml"))
        applied = await line.kubectl("apply", "-f", str(SINGLE / "04-vllm-llama3.1-8b-instruct.yaml"))
        assert "deployment.apps/vllm-llama3.1-8b-instruct created" in applied
        assert "healthcheckpolicy.networking.gke.io/health-check-policy created" in applied

        installed = await line.helm(
            *words("install vllm-llama3.1-8b-instruct"),
            *("--set", "inferencePool.modelServers.matchLabels.app=vllm-llama3.1-8b-instruct"),
            *words("--set provider.name=gke --set healthCheckPolicy.create=false --version v1.0.0"),
            CHART,
        )
        assert "STATUS: deployed" in installed
        pools = await line.kubectl("get", "inferencepools", "-o", "jsonpath={.items[*].metadata.name}")
        assert pools == "vllm-llama3.1-8b-instruct"
        policies = await line.kubectl("get", "healthcheckpolicies", "-o", "name")
        assert policies.split() == ["healthcheckpolicy.networking.gke.io/health-check-policy"], "the chart makes none"

        for file in ("06-inferenceobjective.yaml", "07-gateway.yaml", "08-httproute.yaml", "10-podmonitoring.yaml"):
            assert "created" in await line.kubectl("apply", "-f", str(SINGLE / file))
        priorities = "jsonpath={range .items[*]}{.metadata.name}={.spec.priority} {end}"
        assert await line.kubectl("get", "inferenceobjectives", "-o", priorities) == (
            "food-review=10 llama3-base-model=20 "
        )
        programmed(api, "inference-gateway", "10.1.2.3")
        ip = await line.kubectl("get", "gateway/inference-gateway", "-o", ADDRESS)
        assert ip == "10.1.2.3"

        again = await line.kubectl("apply", "-f", str(SINGLE / "06-inferenceobjective.yaml"))
        assert again.count("unchanged") == 2
        assert "uninstalled" in await line.helm("uninstall", "vllm-llama3.1-8b-instruct")
        assert await line.kubectl("get", "inferencepools", "-o", "name") == ""


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[tuple[CommandLine, KubeApi, KubeApi]]:
    """Two clusters, and kubeconfigs with a context for each, as gcloud writes them."""
    async with gke_cluster() as west, gke_cluster() as east:
        files = []
        for api, context in ((west, CLUSTER_1), (east, CLUSTER_2)):
            path = tmp_path / context
            write_kubeconfig(path, kubeconfig(api.url, api.ca_pem, api.admin_token, context=context))
            api.objects.create(yaml.safe_load((CRDS / POOL_CRD).read_text()))  # GKE's own there
            files.append(str(path))
        yield CommandLine(Path(":".join(files)), tmp_path), west, east


async def test_set_up_the_multi_cluster_inference_gateway(fleet: tuple[CommandLine, KubeApi, KubeApi]) -> None:
    line, west, east = fleet
    both = ((CLUSTER_1, WEST), (CLUSTER_2, EAST))
    for context, folder in both:
        where = f"--context={context}"
        secret = await line.kubectl(*words("create secret generic hf-token --from-literal=token=hf_abc"), where)
        assert "secret/hf-token created" in secret
        assert "created" in await line.kubectl("apply", "-f", OBJECTIVE_CRD, where)
        assert "deployment.apps" in await line.kubectl("apply", "-f", str(folder / "03-gpu-deployment.yaml"), where)
        assert "created" in await line.kubectl("apply", "-f", str(folder / "04-inference-objective.yaml"), where)

    pool = f"inferencePool.modelServers.matchLabels.app={NAME}"
    await line.helm(
        *words(f"install {NAME} --kube-context {CLUSTER_1} --set {pool} --set provider.name=gke --version v1.1.0"),
        CHART,
    )
    await line.helm(
        *words(f"install {NAME} --kube-context {CLUSTER_2} --set {pool} --set provider.name=gke"),
        *words("--set inferenceExtension.monitoring.gke.enabled=true --version v1.1.0"),
        CHART,
    )
    for context, _ in both:
        export = ("annotate", "inferencepool", NAME, "networking.gke.io/export=True", f"--context={context}")
        assert "annotated" in await line.kubectl(*export)
        seen = await line.kubectl("get", "inferencepool", NAME, "-o", EXPORTED, f"--context={context}")
        assert seen == "True"
    assert len(east.objects.list("monitoring.googleapis.com/v1", "PodMonitoring", "default")) == 1

    first = f"--context={CLUSTER_1}"
    assert (await line.kubectl("apply", "-f", str(WEST / "07-mcig.yaml"), first)).count("created") == 3
    for context, folder in both:
        assert "created" in await line.kubectl("apply", "-f", str(folder / "08-metrics.yaml"), f"--context={context}")
    modes = []
    for policy in (
        ALTERNATIVES / "09-backend-policy-timeout.yaml",
        WEST / "09-backend-policy.yaml",
        ALTERNATIVES / "09-backend-policy-in-flight.yaml",
    ):
        await line.kubectl("apply", "-f", str(policy), first)
        modes.append(await line.kubectl("get", "gcpbackendpolicies", "-o", BALANCING, first))
    assert modes == ["CUSTOM_METRICS", "CUSTOM_METRICS", "IN_FLIGHT"], "each in the place of the one before"

    programmed(west, "cross-region-gateway", "10.0.0.7")
    address = ("get", "gateway/cross-region-gateway", "-n", "default", "-o", ADDRESS, first)
    assert await line.kubectl(*address) == "10.0.0.7"
    # Nobody runs pods here, so there is no shell to attach to: the pod is made, which is the API server's part.
    shell = ("run", "curly", "--image=curlimages/curl", first, "--", "/bin/sh")
    assert "pod/curly created" in await line.kubectl(*shell)
