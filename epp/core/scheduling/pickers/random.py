"""random-picker: every candidate with the same chance, whatever the scores."""

from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.state.columns import FloatColumn


class RandomPicker:
    """See the module."""

    def __init__(self, parameters: PickerParameters) -> None:
        self._count = parameters.count

    def pick(self, cycle: Cycle, candidates: Candidates, totals: FloatColumn) -> list[int]:
        """A random sample without repetition; `totals` are not looked at."""
        return cycle.rng.sample(range(len(totals)), min(self._count, len(candidates)))
