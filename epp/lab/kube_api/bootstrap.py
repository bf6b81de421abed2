"""What is there when a cluster starts: namespaces and the roles that clients rely on."""

from typing import Any

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.options import WriteOptions
from epp.lab.kube_api.resources import Catalogue
from epp.lab.kube_api.storage import Store
from epp.lab.kube_api.writes import Target, Writes

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_ALL = ["*"]
_CONTENT: dict[str, list[str]] = {
    "": ["configmaps", "endpoints", "events", "pods", "pods/status", "serviceaccounts", "services"],
    "apps": ["daemonsets", "deployments", "replicasets", "statefulsets"],
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["jobs"],
    "discovery.k8s.io": ["endpointslices"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
    "policy": ["poddisruptionbudgets"],
}  # fmt: skip


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Json:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _paths(*paths: str) -> Json:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


def _content(verbs: list[str]) -> list[Json]:
    return [_rule([group], resources, verbs) for group, resources in _CONTENT.items()]


def _cluster_roles() -> dict[str, list[Json]]:
    edit = [*_content([*_READ, *_WRITE]), _rule([""], ["secrets"], [*_READ, *_WRITE])]
    edit.append(_rule(["coordination.k8s.io"], ["leases"], [*_READ, *_WRITE]))
    reviews = [
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]
    own = _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"])
    return {
        "cluster-admin": [_rule(_ALL, _ALL, _ALL), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
        "admin": [*edit, _rule([_RBAC], ["rolebindings", "roles"], [*_READ, *_WRITE])],
        "edit": edit,
        "view": _content(_READ),
        "system:auth-delegator": reviews,
        "system:basic-user": [own, _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"])],
        "system:discovery": [
            _paths("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*"),
            _paths("/readyz", "/version", "/version/"),
        ],
        "system:public-info-viewer": [_paths("/healthz", "/livez", "/readyz", "/version", "/version/")],
    }


_BINDINGS = {
    "cluster-admin": "system:masters",
    "system:basic-user": "system:authenticated",
    "system:discovery": "system:authenticated",
    "system:public-info-viewer": "system:authenticated",
}


def bootstrap(store: Store, catalogue: Catalogue, writes: Writes) -> None:
    """Creates what is not there yet."""

    def ensure(group: str, plural: str, value: Json) -> None:
        resource = catalogue.require(f"{group}/{plural}")
        if store.get(resource.storage_key, ("", metadata_of(value)["name"])) is None:
            writes.create(Target(resource=resource), value, WriteOptions(field_manager="kube-apiserver"))

    for name in NAMESPACES:
        ensure("", "namespaces", {"metadata": {"name": name}})
    for name, rules in _cluster_roles().items():
        ensure(_RBAC, "clusterroles", {**_named(name), "rules": rules})
    for name, group in _BINDINGS.items():
        role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name}
        subjects = [{"apiGroup": _RBAC, "kind": "Group", "name": group}]
        ensure(_RBAC, "clusterrolebindings", {**_named(name), "roleRef": role, "subjects": subjects})


def _named(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": _LABELS}}
