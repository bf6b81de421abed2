"""What a CustomResourceDefinition must say before it is stored, apart from its schemas."""

import re
from collections import Counter
from collections.abc import Iterator

from epp.lab.kube_api.json_object import Json, dig, metadata_of
from epp.lab.kube_api.status import Cause, required, wrong_value
from epp.lab.kube_api.structural import structural_problems

APPROVAL = "api-approved.kubernetes.io"
_PROTECTED = re.compile(r"(?:.*\.)?(?:k8s|kubernetes)\.io")
_VERSION = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_IMMUTABLE = (("spec", "group"), ("spec", "scope"), ("spec", "names", "plural"), ("spec", "names", "kind"))


def complete_crd(crd: Json) -> Json:
    """With the defaults of a real server: names, conversion."""
    spec = crd.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("names"), dict):
        return crd
    names = dict(spec["names"])
    kind = str(names.get("kind") or "")
    names.setdefault("singular", kind.lower())
    names.setdefault("listKind", f"{kind}List")
    return {**crd, "spec": {"conversion": {"strategy": "None"}, **spec, "names": names}}


def crd_problems(crd: Json, before: Json | None) -> Iterator[Cause]:
    """Everything that is wrong with it."""
    group, plural = dig(crd, "spec", "group") or "", dig(crd, "spec", "names", "plural") or ""
    for path in (("spec", "group"), ("spec", "scope"), ("spec", "names", "plural"), ("spec", "names", "kind")):
        if not dig(crd, *path):
            yield required(".".join(path))
    if dig(crd, "spec", "scope") not in (None, "Namespaced", "Cluster"):
        text = f'Unsupported value: "{crd["spec"]["scope"]}": supported values: "Cluster", "Namespaced"'
        yield Cause("spec.scope", "FieldValueNotSupported", text)
    name = metadata_of(crd).get("name", "")
    if name != f"{plural}.{group}":
        yield wrong_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    yield from _approval_problems(crd, group)
    yield from _version_problems(crd)
    if dig(crd, "spec", "conversion", "strategy") == "Webhook":
        text = "conversion by webhook is not served here: use None"
        yield Cause("spec.conversion.strategy", "FieldValueNotSupported", text)
    for path in _IMMUTABLE if before is not None else ():
        if dig(crd, *path) != dig(before, *path):
            yield wrong_value(".".join(path), dig(crd, *path), "field is immutable")


def _approval_problems(crd: Json, group: str) -> Iterator[Cause]:
    """Groups of the project itself need the URL of the pull request in which they were approved."""
    if not _PROTECTED.fullmatch(group):
        return
    approval = (metadata_of(crd).get("annotations") or {}).get(APPROVAL, "")
    field = f"metadata.annotations[{APPROVAL}]"
    if not approval:
        yield required(field, "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
                              "https://github.com/kubernetes/enhancements/pull/1111")  # fmt: skip
    elif not approval.startswith(("https://", "http://", "unapproved")):
        text = (
            'protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a '
            'reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111'
        )
        yield wrong_value(field, approval, text)


def _version_problems(crd: Json) -> Iterator[Cause]:
    versions = dig(crd, "spec", "versions")
    if not versions:
        yield required("spec.versions")
        return
    storage = [version for version in versions if version.get("storage")]
    if len(storage) != 1:
        yield wrong_value("spec.versions", versions, "must have exactly one version marked as storage version")
    for name, times in Counter(version.get("name") for version in versions).items():
        if times > 1:
            yield wrong_value("spec.versions", versions, f"must contain unique version names: {name}")
    for index, version in enumerate(versions):
        yield from _one_version_problems(version, f"spec.versions[{index}]")
    gone = set(dig(crd, "status", "storedVersions") or ()) - {version.get("name") for version in versions}
    for name in sorted(gone):
        text = f"must appear in spec.versions: {name}"
        yield wrong_value("status.storedVersions", sorted(gone), text)


def _one_version_problems(version: Json, field: str) -> Iterator[Cause]:
    if not _VERSION.fullmatch(str(version.get("name") or "")):
        yield wrong_value(f"{field}.name", version.get("name"), "must be a DNS-1035 label")
    if "served" not in version:
        yield required(f"{field}.served")
    if not dig(version, "schema", "openAPIV3Schema"):
        yield required(f"{field}.schema.openAPIV3Schema", "schemas are required")
    else:
        yield from structural_problems(version["schema"]["openAPIV3Schema"], f"{field}.schema.openAPIV3Schema")
    for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
        for part in ("name", "type", "jsonPath"):
            if not column.get(part):
                yield required(f"{field}.additionalPrinterColumns[{number}].{part}")
