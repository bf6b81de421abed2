"""InferenceObjective: `inference.networking.x-k8s.io/v1alpha2`, `llm-d.ai/v1alpha2`, and the GKE tutorial's
`inference.networking.k8s.io/v1alpha1`, which no cluster has ever served.
"""

import msgspec

from epp.core.domain.objective import InferenceObjective
from epp.core.domain.pool import POOL_GROUP
from epp.edge.objects.manifest import Manifest, Metadata, Origin

_INT32 = 2**31


class PoolRef(msgspec.Struct, frozen=True):
    """The pool that an objective belongs to."""

    name: str
    group: str = POOL_GROUP
    kind: str = "InferencePool"


class ObjectiveSpec(msgspec.Struct, frozen=True, rename="camel"):
    """`priority` has no default in the CRD; unset counts as 0."""

    pool_ref: PoolRef
    priority: int = 0


class Objective(msgspec.Struct, frozen=True):
    """All versions look the same."""

    metadata: Metadata
    spec: ObjectiveSpec


class ObjectiveObject(msgspec.Struct, frozen=True):
    """An objective and the pool that it names."""

    objective: InferenceObjective
    pool_group: str
    pool_kind: str
    origin: Origin


def decode_objective(manifest: Manifest) -> ObjectiveObject | None:
    """None while the object is being deleted. Raises InvalidInput."""
    shape = manifest.read(Objective)
    namespace, name = manifest.name_of(shape.metadata)
    reference = shape.spec.pool_ref
    if not reference.name:
        raise manifest.mistake(("spec", "poolRef", "name"), "is empty: it must name an InferencePool")
    if not -_INT32 <= shape.spec.priority < _INT32:
        raise manifest.mistake(("spec", "priority"), f"{shape.spec.priority} is not a 32-bit integer")
    if shape.metadata.deletion_timestamp:
        return None
    objective = InferenceObjective(namespace, name, reference.name, shape.spec.priority)
    return ObjectiveObject(objective, reference.group, reference.kind, manifest.origin)
