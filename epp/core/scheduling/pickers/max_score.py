"""max-score-picker: the candidate with the highest total.

Equal totals are told apart by our own in-flight counts, fewest first, then by chance. The reference leaves ties to
chance alone, which sends a burst that arrives between two scrapes unevenly; pick and reserve are one step here, so
the count is exact.
"""

import numpy as np

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.state.columns import FloatColumn


class MaxScorePicker:
    """See the module."""

    def __init__(self, parameters: PickerParameters) -> None:
        self._count = parameters.count

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """Highest total first."""
        if self._count == 1:
            return [self._best(cycle, candidates, totals)]
        random = cycle.rng.random
        in_flight = cycle.in_flight(candidates).tolist()
        ranks = [(-total, busy, random()) for total, busy in zip(totals.tolist(), in_flight, strict=True)]
        return sorted(range(len(ranks)), key=ranks.__getitem__)[: self._count]

    def _best(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> int:
        best = int(totals.argmax())
        is_best = totals == totals[best]
        if np.count_nonzero(is_best) == 1:
            return best
        tied = is_best.nonzero()[0]
        in_flight = cycle.in_flight(candidates)[tied]
        idlest = tied[in_flight == in_flight.min()]
        return int(idlest[cycle.rng.randrange(len(idlest))])
