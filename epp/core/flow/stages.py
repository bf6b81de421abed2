"""Saturation by stage: where prefill and decode have endpoints of their own, the fuller of the two counts.

An endpoint belongs to the stages of its role (epp.core.domain.roles), possibly to both; those that only encode, and
those of an unknown role, belong to neither. effective = max(prefill, decode) over the stages that have endpoints, and
1.0 when neither has.
Source: stage-aware saturation of llm-d-router.
"""

from collections.abc import Callable

import msgspec

from epp.core.scheduling.cycle import Candidates


class StageSaturation(msgspec.Struct, frozen=True):
    """1.0 is full; None for a stage without endpoints."""

    prefill: float | None
    decode: float | None

    @property
    def effective(self) -> float:
        """See the module."""
        known = [stage for stage in (self.prefill, self.decode) if stage is not None]
        return max(known, default=1.0)


def by_stage(candidates: Candidates, saturation_of: Callable[[Candidates], float]) -> StageSaturation:
    """What `saturation_of` says of the endpoints of each stage."""
    members = candidates.snapshot.stage_members
    if members is None:
        return StageSaturation(None, saturation_of(candidates) if len(candidates) else None)
    prefill = candidates.keep(members.prefill[candidates.positions])
    decode = candidates.keep(members.decode[candidates.positions])
    return StageSaturation(
        saturation_of(prefill) if len(prefill) else None, saturation_of(decode) if len(decode) else None
    )
