"""Discovery: which groups, versions and resources are served."""

import re
from collections.abc import Iterable, Sequence

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.resources import STATUS_VERBS, Catalogue, Resource

AGGREGATED = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""parameters of the media type of aggregated discovery"""


def legacy_versions() -> Json:
    """/api."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_list(catalogue: Catalogue) -> Json:
    """/apis: every group but the one without a name."""
    groups = [_group(name, versions) for name, versions in group_versions(catalogue).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group_versions(catalogue: Catalogue) -> dict[str, list[str]]:
    """Versions by group, the preferred one first."""
    found: dict[str, set[str]] = {}
    for resource in catalogue:
        found.setdefault(resource.group, set()).add(resource.version)
    return {group: sorted(versions, key=_rank) for group, versions in found.items()}


def _rank(version: str) -> tuple[int, int, int, str]:
    """v2, v1, v1beta2, v1beta1, v1alpha1, then names that are no such versions."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[found[2]]
    return (stage, -int(found[1]), -int(found[3] or 0), version)


def _group(name: str, versions: Sequence[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(resources: Iterable[Resource]) -> Json:
    """/api/v1, /apis/<group>/<version>: the resources of one version of a group."""
    found = list(resources)
    listed: list[Json] = []
    for resource in found:
        listed.append(_resource(resource))
        listed += [_subresource(resource, name) for name in resource.subresources]
    group_version = found[0].api_version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}


def _resource(resource: Resource) -> Json:
    told: Json = {
        "name": resource.plural,
        "singularName": resource.name_in_singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        told["shortNames"] = list(resource.short_names)
    if resource.categories:
        told["categories"] = list(resource.categories)
    return told


def _subresource(resource: Resource, name: str) -> Json:
    told: Json = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(STATUS_VERBS),
    }
    if name == "token":
        told |= {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest", "verbs": ["create"]}
    return told


def aggregated(catalogue: Catalogue, *, only_core: bool) -> Json:
    """/api and /apis in one answer each: groups with their versions and resources."""
    found: list[Json] = []
    for group, versions in group_versions(catalogue).items():
        if bool(group) is not only_core:
            listed = [_version(catalogue, group, version) for version in versions]
            found.append({"metadata": {"name": group} if group else {}, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": found}


def _version(catalogue: Catalogue, group: str, version: str) -> Json:
    resources = [each for each in catalogue if (each.group, each.version) == (group, version)]
    return {
        "version": version,
        "freshness": "Current",
        "resources": [_discovered(resource) for resource in resources],
    }


def _discovered(resource: Resource) -> Json:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    told: Json = {
        "resource": resource.plural,
        "responseKind": kind,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.name_in_singular,
        "verbs": list(resource.verbs),
    }
    for field, values in (("shortNames", resource.short_names), ("categories", resource.categories)):
        if values:
            told[field] = list(values)
    if resource.subresources:
        told["subresources"] = [
            {"subresource": name, "responseKind": kind, "verbs": _subresource(resource, name)["verbs"]}
            for name in resource.subresources
        ]
    return told
