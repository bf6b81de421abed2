"""max-score-picker: the candidate with the highest total.

Equal totals are told apart by our own in-flight counts, fewest first, then by chance. The reference leaves ties to
chance alone, which sends a burst that arrives between two scrapes unevenly; pick and reserve are one step here, so
the count is exact.
"""

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
            return [_idlest(cycle, candidates, (totals == totals[totals.argmax()]).nonzero()[0].tolist())]
        return self._several(cycle, candidates, totals.tolist())

    def pick_plainly(self, cycle: Cycle, candidates: Candidates, totals: list[float]) -> list[int]:
        """See PlainPicker."""
        if self._count != 1:
            return self._several(cycle, candidates, totals)
        highest = max(totals)
        if totals.count(highest) == 1:
            return [totals.index(highest)]
        return [_idlest(cycle, candidates, [index for index, total in enumerate(totals) if total == highest])]

    def _several(self, cycle: Cycle, candidates: Candidates, totals: list[float]) -> list[int]:
        random = cycle.rng.random
        in_flight = cycle.in_flight(candidates).tolist()
        ranks = [(-total, busy, random()) for total, busy in zip(totals, in_flight, strict=True)]
        return sorted(range(len(ranks)), key=ranks.__getitem__)[: self._count]


def _idlest(cycle: Cycle, candidates: Candidates, tied: list[int]) -> int:
    """Of several candidates with the same total."""
    if len(tied) == 1:
        return tied[0]
    slots, requests = candidates.slots, cycle.ledger.requests
    in_flight = [requests.item(slots.item(index)) for index in tied]
    fewest = min(in_flight)
    idlest = [index for index, busy in zip(tied, in_flight, strict=True) if busy == fewest]
    return idlest[cycle.rng.randrange(len(idlest))] if len(idlest) > 1 else idlest[0]
