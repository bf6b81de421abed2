"""Kinds that GKE brings along: CRDs with nothing in them but names, so that kubectl can create objects."""

from typing import Any

from epp.lab.kube_api.server import KubeApi

Json = dict[str, Any]

KINDS: tuple[tuple[str, str, str, str], ...] = (
    ("gateway.networking.k8s.io", "v1", "gateways", "Gateway"),
    ("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
    ("networking.gke.io", "v1", "healthcheckpolicies", "HealthCheckPolicy"),
    ("networking.gke.io", "v1", "gcpbackendpolicies", "GCPBackendPolicy"),
    ("networking.gke.io", "v1", "gcpinferencepoolimports", "GCPInferencePoolImport"),
    ("autoscaling.gke.io", "v1beta1", "autoscalingmetrics", "AutoscalingMetric"),
    ("monitoring.googleapis.com", "v1", "podmonitorings", "PodMonitoring"),
    ("monitoring.googleapis.com", "v1", "clusterpodmonitorings", "ClusterPodMonitoring"),
)
CLUSTER_WIDE = ("ClusterPodMonitoring",)
COLLECTORS_NAMESPACE = "gmp-system"


def install_gke(api: KubeApi) -> None:
    """What a GKE cluster has before anybody applies anything."""
    for kind in KINDS:
        api.objects.create(_crd(*kind))
    api.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": COLLECTORS_NAMESPACE}})


def _crd(group: str, version: str, plural: str, kind: str) -> Json:
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind}
    served = {"name": version, "served": True, "storage": True, "subresources": {"status": {}}}
    # Groups of k8s.io are protected: the API server asks who approved the CRD.
    approved = {"api-approved.kubernetes.io": "https://example.com"} if group.endswith(".k8s.io") else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": approved},
        "spec": {
            "group": group,
            "scope": "Cluster" if kind in CLUSTER_WIDE else "Namespaced",
            "names": names,
            "versions": [{**served, "schema": {"openAPIV3Schema": loose}}],
        },
    }
