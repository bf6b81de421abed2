"""Which resources there are: what clients need to know of each, and the table of those that are built in."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from epp.lab.kube_api.status import qualified

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")


class Column(msgspec.Struct, frozen=True):
    """A column of a table: where its cells come from."""

    name: str
    path: str
    """JSONPath below the object, as in additionalPrinterColumns"""
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    singular: str = ""
    list_kind: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()
    custom: bool = False
    unconditional_update: bool = True
    """whether an update may leave its resourceVersion out"""
    create_on_update: bool = False
    """whether an update makes what is not there"""
    columns: tuple[Column, ...] = ()
    selectable: tuple[str, ...] = ()
    schema: Any = None
    """of a custom resource: epp.lab.kube_api.schema.Schema"""
    stored_as: str = ""
    """the version in which the objects are stored; this one unless told"""
    warning: str = ""
    """what a client is told that uses a deprecated version"""

    @property
    def storage_key(self) -> str:
        """`/pods`, `coordination.k8s.io/leases`: all versions of a resource lie on one shelf."""
        return f"{self.group}/{self.plural}"

    @property
    def api_version(self) -> str:
        """`v1`, `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_api_version(self) -> str:
        """The apiVersion with which objects are stored."""
        version = self.stored_as or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def name(self) -> str:
        """`pods`, `leases.coordination.k8s.io`."""
        return qualified(self.plural, self.group)

    @property
    def kind_of_list(self) -> str:
        """`PodList`."""
        return self.list_kind or f"{self.kind}List"

    @property
    def name_in_singular(self) -> str:
        """`pod`."""
        return self.singular or self.kind.lower()


class Catalogue:
    """All resources that are served now."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources: dict[tuple[str, str, str], Resource] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        """Serves a resource, in place of what had its name."""
        self._resources[resource.group, resource.version, resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        """Ends a resource in all its versions."""
        for key in [key for key in self._resources if (key[0], key[2]) == (group, plural)]:
            del self._resources[key]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path, None for an unknown one."""
        return self._resources.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource that an object belongs to."""
        return next((each for each in self if (each.api_version, each.kind) == (api_version, kind)), None)

    def require(self, storage_key: str) -> Resource:
        """Some version of the resource that lies on this shelf; raises LookupError."""
        found = next((each for each in self if each.storage_key == storage_key), None)
        if found is None:
            raise LookupError(f"{storage_key} is not served")
        return found

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._resources.values()))


def _built_in(group: str, version: str, plural: str, kind: str, *, short: str = "", **more: Any) -> Resource:
    more.setdefault("namespaced", True)
    return Resource(group=group, version=version, plural=plural, kind=kind, short_names=tuple(short.split()), **more)


_STATUS = ("status",)
_ALL = ("all",)
_RBAC = "rbac.authorization.k8s.io"
_REVIEW: dict[str, Any] = {"namespaced": False, "verbs": ("create",)}
_PHASE = Column("Status", ".status.phase", description="The status of the namespace")
_NO_NODES = Column("Node", ".spec.nodeName", priority=1)

BUILT_IN = (
    _built_in("", "v1", "namespaces", "Namespace", short="ns", namespaced=False, subresources=("status", "finalize"),
              columns=(_PHASE,), verbs=("create", "delete", "get", "list", "patch", "update", "watch")),
    _built_in("", "v1", "pods", "Pod", short="po", subresources=_STATUS, categories=_ALL),
    _built_in("", "v1", "services", "Service", short="svc", subresources=_STATUS, categories=_ALL,
              create_on_update=True),
    _built_in("", "v1", "endpoints", "Endpoints", short="ep", list_kind="EndpointsList", create_on_update=True),
    _built_in("", "v1", "configmaps", "ConfigMap", short="cm"),
    _built_in("", "v1", "secrets", "Secret", columns=(Column("Type", ".type"),)),
    _built_in("", "v1", "serviceaccounts", "ServiceAccount", short="sa", subresources=("token",)),
    _built_in("", "v1", "events", "Event", short="ev", create_on_update=True),
    _built_in("", "v1", "nodes", "Node", short="no", namespaced=False, subresources=_STATUS),
    _built_in("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short="pvc", subresources=_STATUS),
    _built_in("apps", "v1", "deployments", "Deployment", short="deploy", subresources=_STATUS, categories=_ALL),
    _built_in("apps", "v1", "replicasets", "ReplicaSet", short="rs", subresources=_STATUS, categories=_ALL),
    _built_in("apps", "v1", "statefulsets", "StatefulSet", short="sts", subresources=_STATUS, categories=_ALL),
    _built_in("apps", "v1", "daemonsets", "DaemonSet", short="ds", subresources=_STATUS, categories=_ALL),
    _built_in("batch", "v1", "jobs", "Job", subresources=_STATUS, categories=_ALL),
    _built_in(_RBAC, "v1", "roles", "Role", create_on_update=True),
    _built_in(_RBAC, "v1", "rolebindings", "RoleBinding", create_on_update=True,
              columns=(Column("Role", ".roleRef.name"),)),
    _built_in(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False, create_on_update=True),
    _built_in(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False, create_on_update=True,
              columns=(Column("Role", ".roleRef.name"),)),
    _built_in("coordination.k8s.io", "v1", "leases", "Lease", create_on_update=True, unconditional_update=False,
              columns=(Column("Holder", ".spec.holderIdentity"),)),
    _built_in("events.k8s.io", "v1", "events", "Event", short="ev", create_on_update=True),
    _built_in("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short="pdb", subresources=_STATUS,
              unconditional_update=False),
    _built_in("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    _built_in("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short="netpol"),
    _built_in("networking.k8s.io", "v1", "ingresses", "Ingress", short="ing", subresources=_STATUS),
    _built_in("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short="hpa",
              subresources=_STATUS, categories=_ALL),
    _built_in("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
              short="crd crds", namespaced=False, subresources=_STATUS, categories=("api-extensions",),
              unconditional_update=False),
    _built_in("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", **_REVIEW),
    _built_in("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", **_REVIEW),
    _built_in("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", **_REVIEW),
    _built_in("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", **_REVIEW),
    _built_in("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", **_REVIEW),
    _built_in("authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview",
              namespaced=True, verbs=("create",)),
)  # fmt: skip
REVIEWS = frozenset(each.storage_key for each in BUILT_IN if each.verbs == ("create",))
"""asked, never stored"""
