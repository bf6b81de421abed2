"""The helm commands of the two tutorials, word for word: `helm template` for `helm install`, our chart for theirs."""

import shlex

import pytest

from tests.support.helm_chart import CHART, Rendering, run_helm

FIRST = """
helm install vllm-llama3.1-8b-instruct \
  --set inferencePool.modelServers.matchLabels.app=vllm-llama3.1-8b-instruct \
  --set provider.name=gke \
  --set healthCheckPolicy.create=false \
  --version v1.0.0 \
  oci://registry.example/charts/inferencepool
"""
SECOND_WEST = """
helm install vllm-llama3-8b-instruct \
  --kube-context CLUSTER1_CONTEXT \
  --set inferencePool.modelServers.matchLabels.app=vllm-llama3-8b-instruct \
  --set provider.name=gke \
  --version v1.1.0 \
  oci://registry.example/charts/inferencepool
"""
SECOND_EAST = """
helm install vllm-llama3-8b-instruct \
  --kube-context CLUSTER2_CONTEXT \
  --set inferencePool.modelServers.matchLabels.app=vllm-llama3-8b-instruct \
  --set provider.name=gke \
  --set inferenceExtension.monitoring.gke.enabled=true \
  --version v1.1.0 \
  oci://registry.example/charts/inferencepool
"""


def installed(command: str) -> Rendering:
    program, verb, *arguments, chart = shlex.split(command)
    assert (program, verb, chart.split(":")[0]) == ("helm", "install", "oci")
    return Rendering(run_helm("template", *arguments, str(CHART)))


def expected(release: str, service: str, *further: tuple[str, str]) -> set[tuple[str, str]]:
    """Kind and name of what each of the commands makes, and of what only one of them does."""
    epp = f"{release}-epp"
    return {
        ("InferencePool", release),
        ("Service", service),
        *((kind, epp) for kind in ("Deployment", "ConfigMap", "ServiceAccount")),
        *((kind, f"{epp}-{part}") for kind in ("Role", "RoleBinding") for part in ("sa", "non-sa")),
        *((kind, f"{release}-default-epp") for kind in ("ClusterRole", "ClusterRoleBinding")),
        ("GCPBackendPolicy", release),
        *further,
    }


def test_the_first_tutorial() -> None:
    release = "vllm-llama3.1-8b-instruct"
    rendering = installed(FIRST)
    # A Service may have no dot in its name. There is no HealthCheckPolicy: the tutorial has one of its own.
    collection = ("ClusterPodMonitoring", f"default-{release}")
    assert rendering.names == expected(release, "vllm-llama3-1-8b-instruct-epp", collection)

    (endpoint,) = rendering.one("ClusterPodMonitoring")["spec"]["endpoints"]
    # The Secret of the tutorial's step "configure authorization to scrape metrics".
    secret = {"name": "inference-gateway-sa-metrics-reader-secret", "namespace": "default", "key": "token"}
    assert endpoint["authorization"] == {"type": "Bearer", "credentials": {"secret": secret}}


def test_the_second_tutorial_in_its_first_cluster() -> None:
    release = "vllm-llama3-8b-instruct"
    rendering = installed(SECOND_WEST)
    further = {("HealthCheckPolicy", release), ("ClusterPodMonitoring", f"default-{release}")}
    assert rendering.names == expected(release, f"{release}-epp", *further)


def test_the_second_tutorial_in_its_second_cluster_with_monitoring() -> None:
    release = "vllm-llama3-8b-instruct"
    rendering = installed(SECOND_EAST)
    reader, read = f"default-{release}-metrics-reader", f"{release}-metrics-reader-secret-read"
    assert rendering.names == expected(
        release,
        f"{release}-epp",
        ("HealthCheckPolicy", release),
        ("PodMonitoring", release),
        ("ServiceAccount", f"{release}-metrics-reader-sa"),
        ("Secret", f"{release}-metrics-reader-secret"),
        ("ClusterRole", reader),
        ("ClusterRoleBinding", f"{reader}-role-binding"),
        ("Role", read),
        ("RoleBinding", f"gmp-system:collector:default-{read}"),
    )
    (endpoint,) = rendering.one("PodMonitoring")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"]["secret"]["name"] == f"{release}-metrics-reader-secret"
    assert rendering.one("PodMonitoring")["spec"]["selector"]["matchLabels"] == {"inferencepool": f"{release}-epp"}


@pytest.mark.parametrize("command", [FIRST, SECOND_WEST, SECOND_EAST], ids=["first", "second-west", "second-east"])
def test_what_the_tutorials_go_on_with(command: str) -> None:
    rendering = installed(command)
    release = command.split()[2]
    pool = rendering.one("InferencePool")
    assert pool["apiVersion"] == "inference.networking.k8s.io/v1"
    assert pool["spec"]["selector"] == {"matchLabels": {"app": release}}
    assert pool["spec"]["targetPorts"] == [{"number": 8000}]

    picker = pool["spec"]["endpointPickerRef"]
    (service,) = rendering.of_kind("Service")
    assert (picker["kind"], picker["name"]) == ("Service", service["metadata"]["name"])
    ports = {port["name"]: port for port in service["spec"]["ports"]}
    assert ports["grpc-ext-proc"]["port"] == picker["port"]["number"] == 9002
    assert ports["grpc-ext-proc"]["appProtocol"] == "kubernetes.io/h2c"
    assert ports["http-metrics"]["port"] == 9090

    target = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": release}
    policy = rendering.one("GCPBackendPolicy")["spec"]
    assert policy == {"targetRef": target, "default": {"timeoutSec": 300, "logging": {"enabled": True}}}
    for check in rendering.of_kind("HealthCheckPolicy"):
        assert check["spec"]["targetRef"] == target
        assert check["spec"]["default"]["config"] == {
            "type": "HTTP",
            "httpHealthCheck": {"requestPath": "/health", "port": 8000},
        }
