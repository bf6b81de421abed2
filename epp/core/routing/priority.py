"""The priority of a request.

1. The header names an InferenceObjective of the pool (an unknown name means 0, as in the reference).
2. Without the header, an InferenceObjective named as the body's model.
3. Else the body's integer `priority`, as `BodyPriority` says.
4. Else 0.
What the operator defined (1, 2) always beats what a client claims (3). Larger is more important, negative may be shed.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from epp.core.domain.objective import InferenceObjective
from epp.core.domain.request import InferenceRequest
from epp.core.domain.value import Value

OBJECTIVE_HEADERS: Final = ("x-llm-d-inference-objective", "x-gateway-inference-objective")


class BodyPriority(Enum):
    """What an integer `priority` in the body means."""

    LARGER_FIRST = "larger-first"
    """larger is more important; the field is cut out of the forwarded body"""
    VLLM = "vllm"
    """lower is earlier, as in vLLM; forwarded untouched"""
    OFF = "off"
    """without meaning; forwarded untouched"""


class PriorityPolicy(Value):
    """How claims in the body are read; claims are clamped to lowest..highest."""

    body: BodyPriority = BodyPriority.LARGER_FIRST
    lowest: int = -100
    highest: int = 100


def header_value(headers: Mapping[str, str], names: tuple[str, str]) -> str:
    """The first non-empty header of two spellings, empty when there is none."""
    first, second = names
    return headers.get(first) or headers.get(second) or ""


def resolve_priority(
    request: InferenceRequest, objectives: Mapping[str, InferenceObjective], policy: PriorityPolicy
) -> int:
    """See the module."""
    named = header_value(request.headers, OBJECTIVE_HEADERS)
    if named:
        objective = objectives.get(named)
        return objective.priority if objective else 0
    objective = objectives.get(request.model)
    if objective is not None:
        return objective.priority
    claimed = request.claimed_priority
    if claimed is None or policy.body is BodyPriority.OFF:
        return 0
    if policy.body is BodyPriority.VLLM:
        claimed = -claimed
    return max(policy.lowest, min(policy.highest, claimed))
