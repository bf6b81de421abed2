"""The Kubernetes objects of a local stack: the pool, its pods, the objectives. `--objects` reads files of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from epp.app.whole_file import replace_file
from epp.core.domain.pool import POOL_GROUP, AppProtocol
from epp.core.domain.roles import ROLE_LABEL
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.plan import POOL_NAME

NAMESPACE = "default"
NODE = "this-machine"
OBJECTIVES: Mapping[str, int] = {"food-review": 10, "llama3-base-model": 20}
"""name to priority, as in the tutorial"""

Manifest = dict[str, Any]


def pool_manifest(port: int, app_protocol: AppProtocol = "http") -> Manifest:
    """The InferencePool that selects all pods of the stack."""
    return {
        "apiVersion": f"{POOL_GROUP}/v1",
        "kind": "InferencePool",
        "metadata": {"name": POOL_NAME, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": POOL_NAME}},
            "targetPorts": [{"number": port}],
            "appProtocol": app_protocol,
            "endpointPickerRef": {"name": f"{POOL_NAME}-epp", "port": {"number": 9002}, "failureMode": "FailOpen"},
        },
    }


def pod_manifest(pod: ReadyPod, *, ready: bool = True, role: str = "") -> Manifest:
    """A Pod with the status that the picker reads."""
    labels = {"app": POOL_NAME, ROLE_LABEL: role} if role else {"app": POOL_NAME}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            "namespace": NAMESPACE,
            "uid": f"uid-{pod.name}",
            "labels": labels,
        },
        "spec": {"nodeName": NODE, "containers": [{"name": "vllm", "image": "fake-vllm"}]},
        "status": {
            "phase": "Running",
            "podIP": pod.host,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def objective_manifest(name: str, priority: int) -> Manifest:
    """An InferenceObjective of the pool."""
    return {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2",
        "kind": "InferenceObjective",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"priority": priority, "poolRef": {"group": POOL_GROUP, "name": POOL_NAME}},
    }


def write_manifests(path: Path, manifests: Sequence[Manifest]) -> None:
    """Replaces `path` in one step, so that a reader sees the old text or the new one."""
    replace_file(path, yaml.safe_dump_all(manifests, sort_keys=False).encode())


def stack_manifests(
    pods: Sequence[ReadyPod],
    roles: Sequence[str] = (),
    *,
    port: int = 0,
    app_protocol: AppProtocol = "http",
) -> list[Manifest]:
    """Pool, pods, objectives; all pods serve on the same port, their own unless `port` is another.

    The first ones have these roles.
    """
    given = [*roles, *[""] * len(pods)]
    return [
        pool_manifest(port or pods[0].port, app_protocol),
        *(pod_manifest(pod, role=role) for pod, role in zip(pods, given, strict=False)),
        *(objective_manifest(*each) for each in OBJECTIVES.items()),
    ]
