"""The objects of the two tutorials: all of them, with the fields that matter, and joined to each other by name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.core.domain.pool import POOL_GROUP
from tests.support.crd_schema import defaulted, schemas
from tests.support.manifest_files import ALTERNATIVES, CLUSTERS, GKE, MULTI, SINGLE, Found, objects_in, only

WEST, EAST = MULTI / "gke-west", MULTI / "gke-east"
POOL_OF = {SINGLE: "vllm-llama3.1-8b-instruct", WEST: "vllm-llama3-8b-instruct", EAST: "vllm-llama3-8b-instruct"}
BOTH_CLUSTERS = {
    ("Deployment", "vllm-llama3-8b-instruct"),
    ("ConfigMap", "vllm-llama3-8b-instruct-adapters"),
    ("InferenceObjective", "food-review"),
    ("InferenceObjective", "food-review-1"),
    ("InferencePool", "vllm-llama3-8b-instruct"),
    ("AutoscalingMetric", "gpu-cache"),
    ("ConfigMap", "cluster"),
}
EXPECTED = {
    SINGLE: {
        ("ClusterRole", "inference-gateway-metrics-reader"),
        ("ServiceAccount", "inference-gateway-sa-metrics-reader"),
        ("ClusterRoleBinding", "inference-gateway-sa-metrics-reader-role-binding"),
        ("Secret", "inference-gateway-sa-metrics-reader-secret"),
        ("ClusterRole", "inference-gateway-sa-metrics-reader-secret-read"),
        ("ClusterRoleBinding", "gmp-system:collector:inference-gateway-sa-metrics-reader-secret-read"),
        ("Deployment", "vllm-llama3.1-8b-instruct"),
        ("ConfigMap", "vllm-llama3.1-8b-adapters"),
        ("HealthCheckPolicy", "health-check-policy"),
        ("InferencePool", "vllm-llama3.1-8b-instruct"),
        ("InferenceObjective", "food-review"),
        ("InferenceObjective", "llama3-base-model"),
        ("Gateway", "inference-gateway"),
        ("HTTPRoute", "my-route"),
        ("PodMonitoring", "vllm-llama3.1-8b-instruct-epp"),
    },
    WEST: BOTH_CLUSTERS
    | {
        ("Gateway", "cross-region-gateway"),
        ("HTTPRoute", "vllm-llama3-8b-instruct-default"),
        ("HealthCheckPolicy", "health-check-policy"),
        ("GCPBackendPolicy", "my-backend-policy"),
    },
    EAST: BOTH_CLUSTERS,
}
PRIORITIES = {
    SINGLE: {"food-review": 10, "llama3-base-model": 20},
    WEST: {"food-review": 10, "food-review-1": 10},
}
clusters = pytest.mark.parametrize("folder", CLUSTERS, ids=lambda folder: folder.name)


def pod_of(folder: Path) -> dict[str, Any]:
    spec: dict[str, Any] = only(objects_in(folder), "Deployment").spec["template"]["spec"]
    return spec


def command_of(folder: Path) -> list[str]:
    """Words of vLLM's command line, whether or not a shell starts it."""
    (container,) = [each for each in pod_of(folder)["containers"] if each["name"] == "vllm"]
    return [word for part in (*container["command"], *container["args"]) for word in part.split()]


def adapters_of(folder: Path) -> dict[str, str]:
    """Source of each adapter by name."""
    (config,) = [found for found in objects_in(folder) if "configmap.yaml" in found.content.get("data", {})]
    rollout = yaml.safe_load(config.content["data"]["configmap.yaml"])["vLLMLoRAConfig"]
    assert rollout.keys() == {"name", "port", "defaultBaseModel", "ensureExist"}
    return {model["id"]: model["source"] for model in rollout["ensureExist"]["models"]}


@clusters
def test_every_object_of_the_tutorial_is_there(folder: Path) -> None:
    assert {(found.kind, found.name) for found in objects_in(folder)} == EXPECTED[folder]


@clusters
def test_objectives_name_the_pool_that_there_is(folder: Path) -> None:
    found = objects_in(folder)
    pool = only(found, "InferencePool")
    assert pool.name == POOL_OF[folder]
    objectives = [each for each in found if each.kind == "InferenceObjective"]
    for objective in objectives:
        schema = schemas()[(objective.content["apiVersion"], objective.kind)]
        reference = defaulted(schema, objective.content)["spec"]["poolRef"]
        assert reference == {"group": POOL_GROUP, "kind": "InferencePool", "name": pool.name}
    priorities = {objective.name: objective.spec["priority"] for objective in objectives}
    assert priorities == PRIORITIES[SINGLE if folder == SINGLE else WEST]


@clusters
def test_the_pool_selects_the_model_servers_at_the_port_where_they_listen(folder: Path) -> None:
    found = objects_in(folder)
    deployment, pool = only(found, "Deployment"), only(found, "InferencePool")
    labels = deployment.spec["template"]["metadata"]["labels"]
    assert deployment.spec["replicas"] == 3
    assert deployment.spec["selector"]["matchLabels"] == labels == pool.spec["selector"]["matchLabels"]
    command = command_of(folder)
    port = int(command[command.index("--port") + 1])
    assert pool.spec["targetPorts"] == [{"number": port}]
    (vllm,) = [each for each in pod_of(folder)["containers"] if each["name"] == "vllm"]
    assert [each["containerPort"] for each in vllm["ports"]] == [port]
    assert not vllm["image"].endswith(":latest")


@clusters
def test_the_pool_names_a_service_that_may_be_called_so(folder: Path) -> None:
    """DNS label: unlike a release, a Service has no dot in its name."""
    reference = only(objects_in(folder), "InferencePool").spec["endpointPickerRef"]
    assert reference["name"] == POOL_OF[folder].replace(".", "-")[:40] + "-epp"
    assert reference["port"] == {"number": 9002}
    assert reference["failureMode"] == "FailOpen"


@clusters
def test_helm_may_take_over_the_pool(folder: Path) -> None:
    """Otherwise `helm install` would refuse to touch an object that is not its own."""
    metadata = only(objects_in(folder), "InferencePool").content["metadata"]
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert metadata["annotations"]["meta.helm.sh/release-name"] == POOL_OF[folder]
    assert metadata["annotations"]["meta.helm.sh/release-namespace"] == metadata["namespace"]


@clusters
def test_objectives_are_named_as_models_that_can_be_asked_for(folder: Path) -> None:
    command = command_of(folder)
    served = set(adapters_of(folder))
    if "--served-model-name" in command:
        after = command[command.index("--served-model-name") + 1 :]
        served |= set(after[: next(index for index, word in enumerate(after) if word.startswith("--"))])
    names = {found.name for found in objects_in(folder) if found.kind == "InferenceObjective"}
    # food-review of the second tutorial counts by header only; its README says so.
    assert names - served == (set() if folder == SINGLE else {"food-review"})


@clusters
def test_adapters_are_loaded_by_our_side_car_from_the_config_map(folder: Path) -> None:
    pod = pod_of(folder)
    (syncer,) = [
        each for each in (*pod["containers"], *pod.get("initContainers", [])) if each["name"] == "lora-adapter-syncer"
    ]
    assert syncer["image"].partition(":")[0] == "endpoint-picker"
    assert syncer["args"] == ["lora-sync"]
    (mount,) = syncer["volumeMounts"]
    assert syncer["env"] == [
        {"name": "DYNAMIC_LORA_ROLLOUT_CONFIG", "value": f"{mount['mountPath']}/configmap.yaml"},
    ]
    assert "subPath" not in mount
    (volume,) = [each for each in pod["volumes"] if each["name"] == mount["name"]]
    only(objects_in(folder), "ConfigMap", volume["configMap"]["name"])
    assert syncer["securityContext"]["readOnlyRootFilesystem"] is True
    assert syncer["securityContext"]["runAsNonRoot"] is True
    assert len(adapters_of(folder)) == (2 if folder == SINGLE else 1)
    assert {"--enable-lora", "--max-loras", "--max-cpu-loras"} <= set(command_of(folder))


@clusters
def test_volumes_of_the_pod_are_mounted_and_the_token_is_where_the_readme_puts_it(folder: Path) -> None:
    pod = pod_of(folder)
    containers = [*pod["containers"], *pod.get("initContainers", [])]
    mounted = {mount["name"] for each in containers for mount in each.get("volumeMounts", [])}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    (reference,) = [
        variable["valueFrom"]["secretKeyRef"]
        for each in containers
        for variable in each.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]
    readme = ((SINGLE if folder == SINGLE else MULTI) / "README.md").read_text()
    assert f"kubectl create secret generic {reference['name']} --from-literal={reference['key']}=" in readme


def test_no_secret_has_a_value() -> None:
    secrets = [found for folder in CLUSTERS for found in objects_in(folder) if found.kind == "Secret"]
    assert len(secrets) == 1
    assert not {"data", "stringData"} & secrets[0].content.keys()


def test_routes_lead_from_the_gateway_to_the_pool_and_policies_to_the_same() -> None:
    for folder, target in (
        (SINGLE, {"group": POOL_GROUP, "kind": "InferencePool"}),
        (WEST, {"group": "networking.gke.io", "kind": "GCPInferencePoolImport"}),
    ):
        found = objects_in(folder)
        route = only(found, "HTTPRoute").spec
        assert [each["name"] for each in route["parentRefs"]] == [only(found, "Gateway").name]
        target |= {"name": POOL_OF[folder]}
        assert [rule["backendRefs"] for rule in route["rules"]] == [[target]]
        health = only(found, "HealthCheckPolicy").spec
        assert health["targetRef"] == target
        assert health["default"]["config"]["httpHealthCheck"] == {"requestPath": "/health", "port": 8000}
        assert all(each.spec["targetRef"] == target for each in found if each.kind == "GCPBackendPolicy")


def test_the_metrics_reader_is_bound_and_the_monitoring_has_its_token() -> None:
    found = objects_in(SINGLE)
    accounts = {each.name for each in found if each.kind == "ServiceAccount"}
    roles = {each.name for each in found if each.kind == "ClusterRole"}
    for binding in (each for each in found if each.kind == "ClusterRoleBinding"):
        assert binding.content["roleRef"]["name"] in roles
        (subject,) = binding.content["subjects"]
        assert subject["name"] in accounts | {"collector"}
    secret = only(found, "Secret")
    assert secret.content["metadata"]["annotations"]["kubernetes.io/service-account.name"] in accounts
    reading = only(found, "ClusterRole", "inference-gateway-sa-metrics-reader-secret-read").content["rules"]
    assert reading[0]["resourceNames"] == [secret.name]
    (endpoint,) = only(found, "PodMonitoring").spec["endpoints"]
    assert endpoint["authorization"]["credentials"]["secret"] == {"name": secret.name, "key": "token"}


@pytest.mark.parametrize("folder", [WEST, EAST], ids=lambda folder: folder.name)
def test_pools_of_both_clusters_are_exported(folder: Path) -> None:
    metadata = only(objects_in(folder), "InferencePool").content["metadata"]
    assert metadata["annotations"]["networking.gke.io/export"] == "True"


def policies() -> dict[str, dict[str, Any]]:
    """`default` of each policy, by file."""
    found: list[Found] = [*objects_in(WEST), *objects_in(ALTERNATIVES)]
    return {each.path.name: each.spec["default"] for each in found if each.kind == "GCPBackendPolicy"}


def test_the_policy_that_is_loaded_is_the_recommended_one_and_alternatives_have_its_name() -> None:
    assert {found.identity for found in objects_in(ALTERNATIVES)} == {
        only(objects_in(WEST), "GCPBackendPolicy").identity
    }
    loaded = policies()["09-backend-policy.yaml"]
    exported = [
        metric["exportName"]
        for endpoint in only(objects_in(WEST), "AutoscalingMetric").spec["endpoints"]
        for metric in endpoint["metrics"]
    ]
    assert loaded["customMetrics"] == [
        {"name": f"gke.named_metrics.{exported[0]}", "dryRun": False, "maxUtilizationPercent": 60}
    ]


def test_every_policy_keeps_the_time_out_and_has_one_mode() -> None:
    assert len(policies()) == 3
    for name, policy in policies().items():
        assert policy["timeoutSec"] == 100, name
        assert policy["trafficDuration"] == "LONG", name
        in_flight = policy["balancingMode"] == "IN_FLIGHT"
        assert in_flight == ("maxInFlightRequestsPerEndpoint" in policy) == ("customMetrics" not in policy), name
        assert in_flight == ("dryRun" in policy), name


@pytest.mark.parametrize(("name", "folder"), [("single-cluster", SINGLE), ("gke-west", WEST), ("gke-east", EAST)])
def test_values_for_helm_make_the_pool_of_the_folder(name: str, folder: Path) -> None:
    values = yaml.safe_load((GKE / "helm" / f"{name}.yaml").read_text())
    pool = only(objects_in(folder), "InferencePool").spec
    assert values["inferencePool"]["modelServers"] == pool["selector"]
    assert values["inferencePool"]["targetPorts"] == pool["targetPorts"]
    assert values["provider"] == {"name": "gke"}
    monitored = values["inferenceExtension"]["monitoring"]["gke"]["enabled"]
    assert monitored != any(found.kind == "PodMonitoring" for found in objects_in(folder)), "twice, or not at all"
    assert (values.get("healthCheckPolicy") == {"create": False}) == (folder == SINGLE)
