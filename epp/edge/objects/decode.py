"""Documents become objects: which kinds there are, and how a List falls into its items.

Whatever the source is, a directory or an API server, documents take this one way in. Kinds that the picker has no use
for are passed over with a notice; fields of a spec that nobody knows are as well, because a cluster would say so too.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from epp.core.domain.pool import POOL_GROUP, InferencePool
from epp.core.yaml import Document, field_path
from epp.edge.objects.decode_objective import ObjectiveObject, ObjectiveSpec, decode_objective
from epp.edge.objects.decode_pod import PodObject, decode_pod
from epp.edge.objects.decode_pool import (
    ALPHA_POOL_GROUP,
    AlphaPoolSpec,
    PoolSpec,
    decode_alpha_pool,
    decode_pool,
)
from epp.edge.objects.decode_rewrite import RewriteObject, RewriteSpec, decode_rewrite
from epp.edge.objects.findings import Notice
from epp.edge.objects.manifest import Manifest, Origin, without_nulls

TUTORIAL_OBJECTIVE = f"{POOL_GROUP}/v1alpha1"


class PoolObject(msgspec.Struct, frozen=True):
    """A pool and where it was written."""

    pool: InferencePool
    origin: Origin


ClusterObject = PoolObject | PodObject | ObjectiveObject | RewriteObject


class Decoded(msgspec.Struct, frozen=True):
    """What came out of one document."""

    objects: tuple[ClusterObject, ...]
    notices: tuple[Notice, ...] = ()


def _pool(manifest: Manifest) -> PoolObject | None:
    pool = decode_pool(manifest)
    return PoolObject(pool, manifest.origin) if pool else None


def _alpha_pool(manifest: Manifest) -> PoolObject | None:
    pool = decode_alpha_pool(manifest)
    return PoolObject(pool, manifest.origin) if pool else None


class _Kind(msgspec.Struct, frozen=True):
    decode: Callable[[Manifest], ClusterObject | None]
    spec: type[msgspec.Struct] | None = None
    """whose unknown fields are worth a notice"""


_KINDS: dict[tuple[str, str], _Kind] = {
    ("InferencePool", f"{POOL_GROUP}/v1"): _Kind(_pool, PoolSpec),
    ("InferencePool", f"{ALPHA_POOL_GROUP}/v1alpha2"): _Kind(_alpha_pool, AlphaPoolSpec),
    ("Pod", "v1"): _Kind(decode_pod),
    ("InferenceObjective", f"{ALPHA_POOL_GROUP}/v1alpha2"): _Kind(decode_objective, ObjectiveSpec),
    ("InferenceObjective", "llm-d.ai/v1alpha2"): _Kind(decode_objective, ObjectiveSpec),
    ("InferenceObjective", TUTORIAL_OBJECTIVE): _Kind(decode_objective, ObjectiveSpec),
    ("InferenceModelRewrite", f"{ALPHA_POOL_GROUP}/v1alpha2"): _Kind(decode_rewrite, RewriteSpec),
    ("InferenceModelRewrite", "llm-d.ai/v1alpha2"): _Kind(decode_rewrite, RewriteSpec),
}
_GROUPS = {version.rpartition("/")[0] for _, version in _KINDS}


def decode(document: Document, default_namespace: str) -> Decoded:
    """The objects of a document; `default_namespace` is for those that name none, as with `kubectl apply -n`.

    Raises InvalidInput for the first fault.
    """
    objects: list[ClusterObject] = []
    notices: list[Notice] = []
    for manifest in _manifests(without_nulls(document), (), default_namespace):
        found = decode_manifest(manifest, *_type_of(manifest))
        objects.extend(found.objects)
        notices.extend(found.notices)
    return Decoded(tuple(objects), tuple(notices))


def decode_manifest(manifest: Manifest, kind: str, api_version: str) -> Decoded:
    """One object, or nothing of it while it is being deleted; raises InvalidInput for the first fault."""
    known = _KINDS.get((kind, api_version))
    if known is None:
        return Decoded((), (_skipped(manifest, kind, api_version),))
    found = known.decode(manifest)
    return Decoded((found,) if found is not None else (), tuple(_oddities(manifest, known, kind, api_version)))


def _manifests(document: Document, path: tuple[str | int, ...], default_namespace: str) -> Iterator[Manifest]:
    value: Any = document.value_at(path)
    if not isinstance(value, dict):
        raise document.mistake(path, "not a Kubernetes object: expected a mapping with apiVersion and kind")
    if value.get("kind") == "List" and value.get("apiVersion") == "v1" and not path:
        items = value.get("items", [])
        if not isinstance(items, list):
            raise document.mistake(("items",), "expected a list of objects")
        for index in range(len(items)):
            yield from _manifests(document, ("items", index), default_namespace)
    else:
        yield Manifest(document, path, default_namespace)


def _type_of(manifest: Manifest) -> tuple[str, str]:
    """Kind and apiVersion; raises InvalidInput when they are missing, or when only the version is unknown."""
    value: Any = manifest.document.value_at(manifest.path)
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            raise manifest.mistake((field,) if field in value else (), f"{field} is missing or no text")
    kind, api_version = value["kind"], value["apiVersion"]
    versions = [version for known, version in _KINDS if known == kind]
    if versions and api_version not in versions and api_version.rpartition("/")[0] in _GROUPS:
        raise manifest.mistake(("apiVersion",), f"{kind} has no version {api_version!r}; use {versions[0]}")
    return kind, api_version


def _skipped(manifest: Manifest, kind: str, api_version: str) -> Notice:
    text = f"objects of kind {kind} ({api_version}) are not used here and are passed over"
    return Notice(manifest.document.source, text, manifest.line_of(("kind",)), subject=text)


def _oddities(manifest: Manifest, known: _Kind, kind: str, api_version: str) -> Iterator[Notice]:
    source = manifest.document.source
    if kind == "InferenceObjective" and api_version == TUTORIAL_OBJECTIVE:
        yield Notice(
            source,
            f"{api_version} is no version of InferenceObjective in any cluster, though a tutorial uses it; "
            f"it works here, with kubectl use {ALPHA_POOL_GROUP}/v1alpha2",
            manifest.line_of(("apiVersion",)),
        )
    if known.spec is not None:
        for path in manifest.unknown_fields(known.spec, "spec"):
            yield Notice(source, f"{field_path(path)}: unknown field, passed over", manifest.line_of(path))
