"""InferenceModelRewrite: `inference.networking.x-k8s.io/v1alpha2` and `llm-d.ai/v1alpha2`.

The rules are those of the CRD (v1.3 to v1.5), but for two: a rule has to have targets, and a target a name, because
nothing could be done with a request otherwise. `split` is what v1.2 called `targets`.
"""

from datetime import datetime

import msgspec

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.edge.objects.decode_objective import PoolRef
from epp.edge.objects.manifest import Manifest, Metadata, Origin

MOST_WEIGHT = 1_000_000
MATCH_TYPES = ("Exact",)
Field = tuple[str | int, ...]


class ModelMatch(msgspec.Struct, frozen=True):
    """Compares with the model that the client wrote."""

    value: str
    type: str = "Exact"


class Match(msgspec.Struct, frozen=True):
    """One of the conditions of which any is enough."""

    model: ModelMatch


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """A model to ask for, with its share."""

    model_rewrite: str
    weight: int | None = None


class Rule(msgspec.Struct, frozen=True):
    """`targets` and `split` are the same field in two versions."""

    matches: list[Match] = []
    targets: list[Target] = []
    split: list[Target] = []


class RewriteSpec(msgspec.Struct, frozen=True, rename="camel"):
    """spec."""

    pool_ref: PoolRef
    rules: list[Rule]


class Rewrite(msgspec.Struct, frozen=True):
    """Both groups look the same."""

    metadata: Metadata
    spec: RewriteSpec


class RewriteObject(msgspec.Struct, frozen=True):
    """A rewrite and the pool that it names."""

    rewrite: InferenceModelRewrite
    pool_group: str
    pool_kind: str
    origin: Origin


def decode_rewrite(manifest: Manifest) -> RewriteObject | None:
    """None while the object is being deleted. Raises InvalidInput."""
    shape = manifest.read(Rewrite)
    namespace, name = manifest.name_of(shape.metadata)
    reference = shape.spec.pool_ref
    if not reference.name:
        raise manifest.mistake(("spec", "poolRef", "name"), "is empty: it must name an InferencePool")
    rules = tuple(_rule(manifest, ("spec", "rules", index), rule) for index, rule in enumerate(shape.spec.rules))
    created_at = _created_at(manifest, shape.metadata.creation_timestamp)
    if shape.metadata.deletion_timestamp:
        return None
    rewrite = InferenceModelRewrite(namespace, name, reference.name, rules, created_at)
    return RewriteObject(rewrite, reference.group, reference.kind, manifest.origin)


def _rule(manifest: Manifest, path: Field, rule: Rule) -> RewriteRule:
    for index, match in enumerate(rule.matches):
        at_model = (*path, "matches", index, "model")
        manifest.check_choice((*at_model, "type"), match.model.type, MATCH_TYPES)
        if not match.model.value:
            raise manifest.mistake((*at_model, "value"), "is empty: it must be the name of a model")
    if rule.targets and rule.split:
        raise manifest.mistake((*path, "split"), "is the old name of targets, which the rule has too")
    if not rule.targets and not rule.split:
        raise manifest.mistake(path, "the rule has no targets: at least one is needed")
    at_targets = (*path, "targets" if rule.targets else "split")
    targets = enumerate(rule.targets or rule.split)
    return RewriteRule(
        models=tuple(match.model.value for match in rule.matches),
        targets=tuple(_target(manifest, (*at_targets, index), target) for index, target in targets),
    )


def _target(manifest: Manifest, path: Field, target: Target) -> RewriteTarget:
    if not target.model_rewrite:
        raise manifest.mistake((*path, "modelRewrite"), "is empty: it must be the name of a model")
    if target.weight is not None and not 1 <= target.weight <= MOST_WEIGHT:
        raise manifest.mistake((*path, "weight"), f"{target.weight} is not a weight: 1 to {MOST_WEIGHT}")
    return RewriteTarget(target.model_rewrite, target.weight)


def _created_at(manifest: Manifest, text: str) -> float | None:
    """Seconds since 1970; raises InvalidInput for what is no time with a zone (RFC 3339)."""
    if not text:
        return None
    try:
        created = datetime.fromisoformat(text)
    except ValueError:
        created = None
    if created is None or created.tzinfo is None:
        raise manifest.mistake(
            ("metadata", "creationTimestamp"), f"{text!r} is not a time such as 2026-01-31T12:00:00Z"
        )
    return created.timestamp()
