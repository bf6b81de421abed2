"""weighted-random-picker: each candidate with a chance proportional to its total.

Weighted sampling without replacement: key = U^(1/score) with U uniform in (0, 1), the largest keys win; a score of 0
has the key 0, and when all are 0 everybody has the same chance.
Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (A-Res), as in the reference.
"""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.state.columns import FloatColumn


class WeightedRandomPicker:
    """See the module."""

    def __init__(self, parameters: PickerParameters) -> None:
        self._count = parameters.count

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """Largest key first."""
        rng = cycle.rng
        scores = totals.tolist()
        if not any(score > 0.0 for score in scores):
            return rng.sample(range(len(scores)), min(self._count, len(candidates)))
        keys = [(rng.random() ** (1.0 / score) if score > 0.0 else 0.0, rng.random()) for score in scores]
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: self._count]
