"""The files of `manifests/`: objects by file, and the fields of kinds that have no schema here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "manifests"
GKE = MANIFESTS / "gke"
SINGLE = GKE / "single-cluster"
MULTI = GKE / "multi-cluster"
CLUSTERS = (SINGLE, MULTI / "gke-west", MULTI / "gke-east")
"""folders that are applied as a whole, each to one cluster"""
ALTERNATIVES = MULTI / "alternatives"
SIDECAR = MANIFESTS / "sidecar"
RBAC = MANIFESTS / "rbac"
OBJECT_FOLDERS = (*CLUSTERS, ALTERNATIVES, SIDECAR, RBAC)
Content = dict[str, Any]


class Found(msgspec.Struct, frozen=True):
    """An object and its file."""

    path: Path
    content: Content

    @property
    def kind(self) -> str:
        kind: str = self.content["kind"]
        return kind

    @property
    def name(self) -> str:
        name: str = self.content["metadata"]["name"]
        return name

    @property
    def spec(self) -> Content:
        spec: Content = self.content["spec"]
        return spec

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Group, kind, namespace, name."""
        group = self.content["apiVersion"].rpartition("/")[0]
        return group, self.kind, self.content["metadata"].get("namespace", ""), self.name

    def __str__(self) -> str:
        return f"{self.path.relative_to(MANIFESTS)}: {self.kind} {self.name}"


def objects_in(folder: Path) -> list[Found]:
    """The objects of the YAML files right in a folder; kustomize's own file is none."""
    return [
        Found(path, content)
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "kustomization.yaml"
        for content in yaml.safe_load_all(path.read_text())
    ]


def only(found: list[Found], kind: str, name: str = "") -> Found:
    """The one object of that kind; of that name, where it is given."""
    (match,) = [each for each in found if each.kind == kind and name in ("", each.name)]
    return match


def field_paths(value: Any, path: str = "") -> Iterator[str]:
    """Every field that is set, as `a.b.c`; places in lists are left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from field_paths(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from field_paths(inner, path)
    else:
        yield path


_TARGET = ("targetRef.group", "targetRef.kind", "targetRef.name")
KNOWN_FIELDS: dict[tuple[str, str], set[str]] = {
    ("networking.gke.io/v1", "HealthCheckPolicy"): {
        *_TARGET,
        *(f"default.{name}" for name in ("checkIntervalSec", "timeoutSec", "healthyThreshold", "unhealthyThreshold")),
        *("default.config.type", "default.config.httpHealthCheck.requestPath", "default.config.httpHealthCheck.port"),
    },
    ("networking.gke.io/v1", "GCPBackendPolicy"): {
        *_TARGET,
        *(f"default.{name}" for name in ("timeoutSec", "balancingMode", "trafficDuration", "dryRun")),
        *(f"default.customMetrics.{name}" for name in ("name", "dryRun", "maxUtilizationPercent")),
        "default.maxInFlightRequestsPerEndpoint",
    },
    ("autoscaling.gke.io/v1beta1", "AutoscalingMetric"): {
        *("selector.matchLabels.app", "endpoints.port", "endpoints.path"),
        *("endpoints.metrics.name", "endpoints.metrics.exportName"),
    },
    ("monitoring.googleapis.com/v1", "PodMonitoring"): {
        "selector.matchLabels.inferencepool",
        *(f"endpoints.{name}" for name in ("port", "scheme", "path", "interval", "authorization.type")),
        *(f"endpoints.authorization.credentials.secret.{name}" for name in ("name", "key")),
    },
    ("gateway.networking.k8s.io/v1", "Gateway"): {
        *("gatewayClassName", "addresses.type", "addresses.value"),
        *(f"listeners.{name}" for name in ("name", "protocol", "port")),
    },
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): {
        *("parentRefs.kind", "parentRefs.name", "rules.matches.path.type", "rules.matches.path.value"),
        *(f"rules.backendRefs.{name}" for name in ("group", "kind", "name")),
    },
}
"""Fields of `spec` that these kinds have and that are in use here. Source: documentation of GKE and of Gateway API."""
