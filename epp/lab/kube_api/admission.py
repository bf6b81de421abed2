"""What the server adds to objects of built-in kinds, and what it refuses of them, beyond their schemas."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from epp.lab.kube_api.crd_checks import complete_crd, crd_problems
from epp.lab.kube_api.json_object import Json, dig, metadata_of, with_metadata
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.status import Cause, forbidden, forbidden_field, invalid, not_found, wrong_value
from epp.lab.kube_api.storage import Store


class BuiltInAdmission:
    """Namespaces that must exist, and the few defaults that clients look at."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_storage: Mapping[str, Callable[[Json, Json | None], Json]] = {
            "/namespaces": _namespace,
            "/pods": _pod,
            "/secrets": _secret,
            "/services": self._service,
            "coordination.k8s.io/leases": _lease,
            "apiextensions.k8s.io/customresourcedefinitions": _crd,
            "rbac.authorization.k8s.io/rolebindings": _binding,
            "rbac.authorization.k8s.io/clusterrolebindings": _binding,
        }

    def admit(self, resource: Resource, value: Json, before: Json | None) -> Json:
        """The object with what the server fills in; raises ApiError 403, 404 or 422."""
        if before is None and resource.namespaced:
            self._check_namespace(resource, value)
        complete = self._by_storage.get(resource.storage_key)
        return complete(value, before) if complete else value

    def _check_namespace(self, resource: Resource, value: Json) -> None:
        metadata = metadata_of(value)
        namespace = self._store.get("/namespaces", ("", metadata["namespace"]))
        if namespace is None:
            raise not_found("namespaces", "", metadata["namespace"])
        if dig(namespace.value, "status", "phase") == "Terminating":
            problem = (
                f"unable to create new content in namespace {metadata['namespace']} because it is being terminated"
            )
            cause = Cause(
                "metadata.namespace", "NamespaceTerminating", f"namespace {metadata['namespace']} is being terminated"
            )
            raise forbidden(resource.plural, resource.group, metadata.get("name", ""), problem, [cause])

    def _service(self, value: Json, before: Json | None) -> Json:
        """An address of the cluster's range, unless there is one or none is wanted."""
        spec = {"type": "ClusterIP", "sessionAffinity": "None", **(value.get("spec") or {})}
        spec["ports"] = [
            {"protocol": "TCP", "targetPort": port.get("port"), **port} if isinstance(port, dict) else port
            for port in spec.get("ports") or ()
        ]
        if before is not None and not spec.get("clusterIP"):
            spec["clusterIP"] = dig(before, "spec", "clusterIP")
        if not spec.get("clusterIP") and spec["type"] != "ExternalName":
            used = {dig(each.value, "spec", "clusterIP") for each in self._store.shelf("/services").objects.values()}
            spec["clusterIP"] = next(
                address for n in range(2, 65_000) if (address := f"10.96.{n // 256}.{n % 256}") not in used
            )
            spec["clusterIPs"] = [spec["clusterIP"]]
        return {**value, "spec": spec, "status": value.get("status") or {"loadBalancer": {}}}


def _namespace(value: Json, before: Json | None) -> Json:
    labels = {**(metadata_of(value).get("labels") or {}), "kubernetes.io/metadata.name": metadata_of(value)["name"]}
    if before is None:
        value = {**value, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return with_metadata(value, labels=labels)


_POD_DEFAULTS = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "securityContext": {},
}
_POD_MAY_CHANGE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "nodeName")


def _pod(value: Json, before: Json | None) -> Json:
    spec = {**_POD_DEFAULTS, **(value.get("spec") or {})}
    value = {**value, "spec": spec}
    if before is None:
        return {**value, "status": {"phase": "Pending", "qosClass": "BestEffort"}}
    old = before.get("spec") or {}
    if _unchangeable(spec) != _unchangeable(old):
        text = (
            "pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
            "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
            "(allow it to be set to 1 if it was previously negative)"
        )
        raise invalid("Pod", "", metadata_of(value)["name"], [forbidden_field("spec", text)])
    return value


def _unchangeable(spec: Mapping[str, Any]) -> Json:
    kept = {name: part for name, part in spec.items() if name not in _POD_MAY_CHANGE}
    for name in ("containers", "initContainers"):
        if isinstance(kept.get(name), list):
            kept[name] = [{**each, "image": ""} for each in kept[name]]
    return kept


def _secret(value: Json, before: Json | None) -> Json:
    """stringData is written only; the type never changes."""
    data = dict(value.get("data") or {})
    for name, text in (value.get("stringData") or {}).items():
        data[name] = b64encode(str(text).encode()).decode()
    complete = {name: part for name, part in value.items() if name != "stringData"}
    complete["type"] = value.get("type") or "Opaque"
    if data:
        complete["data"] = data
    name = metadata_of(value).get("name", "")
    if before is not None and before.get("type") != complete["type"]:
        raise invalid("Secret", "", name, [wrong_value("type", complete["type"], "field is immutable")])
    if before is not None and before.get("immutable") and before.get("data") != complete.get("data"):
        text = "field is immutable when `immutable` is set"
        raise invalid("Secret", "", name, [forbidden_field("data", text)])
    return complete


def _lease(value: Json, before: Json | None) -> Json:  # noqa: ARG001
    """The two numbers that a real server checks."""
    causes = []
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        number = dig(value, "spec", field)
        if isinstance(number, int) and number < least:
            problem = "must be greater than 0" if least else "must be greater than or equal to 0"
            causes.append(wrong_value(f"spec.{field}", number, problem))
    if causes:
        raise invalid("Lease", "coordination.k8s.io", metadata_of(value).get("name", ""), causes)
    return value


def _crd(value: Json, before: Json | None) -> Json:
    """Names and conversion have defaults."""
    complete = complete_crd(value)
    if causes := list(crd_problems(complete, before)):
        name = metadata_of(value).get("name", "")
        raise invalid("CustomResourceDefinition", "apiextensions.k8s.io", name, causes)
    return complete


def _binding(value: Json, before: Json | None) -> Json:
    """roleRef never changes; groups of subjects are filled in."""
    kind, name = value.get("kind", ""), metadata_of(value).get("name", "")
    role = {"apiGroup": "rbac.authorization.k8s.io", **(value.get("roleRef") or {})}
    if role.get("kind") not in ("Role", "ClusterRole"):
        text = 'Unsupported value: "{}": supported values: "ClusterRole", "Role"'.format(role.get("kind", ""))
        raise invalid(kind, "rbac.authorization.k8s.io", name, [Cause("roleRef.kind", "FieldValueNotSupported", text)])
    if before is not None and before["roleRef"] != role:
        raise invalid(kind, "rbac.authorization.k8s.io", name, [wrong_value("roleRef", role, "cannot change roleRef")])
    subjects = [
        {"apiGroup": "rbac.authorization.k8s.io", **subject} if subject.get("kind") in ("User", "Group") else subject
        for subject in value.get("subjects") or ()
    ]
    return {**value, "roleRef": role, **({"subjects": subjects} if subjects else {})}
