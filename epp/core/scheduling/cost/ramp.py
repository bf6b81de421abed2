"""Ramps: how new the owner of each slot is."""

import numpy as np

from epp.core.scheduling.cost.slot_cells import grown
from epp.core.scheduling.cycle import Positions
from epp.core.state.columns import FloatColumn


class Ramp:
    """Those that are there at the first decision are not new; later ones are for `ramp_s` from their first decision."""

    def __init__(self, ramp_s: float) -> None:
        self._ramp_s = ramp_s
        self._born_at: FloatColumn = np.full(16, -np.inf)
        self._unborn: set[int] = set()
        self._youngest_at = -np.inf
        self._has_begun = False

    def renewed(self, slot: int) -> None:
        """The slot has a new owner."""
        self._born_at = grown(self._born_at, slot + 1, -np.inf)
        self._unborn.add(slot)

    def is_over(self, now: float) -> bool:
        """Whether nobody is new, so that `add_to` would change nothing."""
        return self._has_begun and not self._unborn and now - self._youngest_at >= self._ramp_s

    def add_to(self, costs: FloatColumn, slots: Positions, now: float) -> FloatColumn:
        """`costs` of the owners of `slots`, with the mean cost on top for new ones, less and less."""
        if self._unborn:
            self._born_at[list(self._unborn)] = now if self._has_begun else -np.inf
            self._youngest_at = now if self._has_begun else -np.inf
            self._unborn.clear()
        self._has_begun = True
        if now - self._youngest_at >= self._ramp_s:
            return costs
        self._born_at = grown(self._born_at, int(slots.max()) + 1, -np.inf)
        young = np.maximum(0.0, 1.0 - (now - self._born_at[slots]) / self._ramp_s)
        ramped: FloatColumn = costs + young * costs.mean()
        return ramped
