"""weighted-random-picker: each candidate with a chance proportional to its total.

Weighted sampling without replacement: key = U^(1/score) with U uniform in (0, 1), the largest keys win; a score of 0
has the key 0, and when all are 0 everybody has the same chance. Computed as -log(key) = -log(U) / score, smallest
first, because the power underflows to 0 for small scores.
Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (A-Res), as in the reference.
"""

import math

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.state.columns import FloatColumn


class WeightedRandomPicker:
    """See the module."""

    def __init__(self, parameters: PickerParameters) -> None:
        self._count = parameters.count

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """Largest key first; equal keys in random order."""
        rng = cycle.rng
        waits = [(rng.expovariate(score) if score > 0.0 else math.inf, rng.random()) for score in totals.tolist()]
        return sorted(range(len(candidates)), key=waits.__getitem__)[: self._count]
