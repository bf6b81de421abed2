"""priority-holdback-policy: the lower the band, the lower its ceiling, so that room is kept for what matters more.

rank:  ceiling_i = max - i * (max - min) / (N - 1), i = 0 for the highest of N bands; one band alone has max.
value: ceiling_i = min + (p_i - p_min) / (p_max - p_min) * (max - min), p the priorities.
Source: priority-holdback-policy of llm-d-router.
"""

from collections.abc import Sequence

from epp.core.config.flow_parameters import PriorityHoldbackParameters


class PriorityHoldback:
    """See the module."""

    alternates = False

    def __init__(self, parameters: PriorityHoldbackParameters) -> None:
        self._parameters = parameters
        self._for: tuple[int, ...] = ()
        self._ceilings: tuple[float, ...] = ()

    def ceilings(self, saturation: float, priorities: tuple[int, ...]) -> Sequence[float]:  # noqa: ARG002  one signature for all
        """See UsageLimitPolicy; computed anew only when the bands change."""
        if priorities != self._for:  # rounded, so that 0.6 is not 0.6000000000000001 and lets one more go
            low, span = self._parameters.min_ceiling, self._parameters.max_ceiling - self._parameters.min_ceiling
            self._ceilings = tuple(round(low + share * span, 9) for share in self._shares(priorities))
            self._for = priorities
        return self._ceilings

    def _shares(self, priorities: tuple[int, ...]) -> list[float]:
        """1.0 for the highest band to 0.0 for the lowest."""
        steps = len(priorities) - 1
        if steps < 1:
            return [1.0] * len(priorities)
        if self._parameters.domain == "rank":
            return [1.0 - rank / steps for rank in range(steps + 1)]
        lowest, width = priorities[-1], priorities[0] - priorities[-1]
        return [(priority - lowest) / width for priority in priorities]
