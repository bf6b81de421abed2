"""Groups of pods that cost the same: each learns its own coefficients. Without a label all pods are one group."""

from typing import Final

import numpy as np

from epp.core.scheduling.cost.coefficients import CoefficientLearner, Coefficients
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Candidates, Positions
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.columns import FloatColumn
from epp.core.state.snapshot import PoolSnapshot

MOST_GROUPS: Final = 100
"""pods of further label values belong to the group of those without a value"""
Cost = float | FloatColumn
"""one number for all candidates, or one for each"""


class Groups:
    """Learners by label value."""

    def __init__(self, parameters: ExpectedCostParameters) -> None:
        self._parameters = parameters
        self._label = parameters.group_label
        self._everybody = self._new_learner()
        self._learners: dict[str, CoefficientLearner] = {"": self._everybody}
        self._by_slot: dict[int, CoefficientLearner] = {}
        self._numbers: PerSnapshot[Positions] = PerSnapshot(self._read_labels)
        """which learner each endpoint of a snapshot has"""

    @property
    def everybody(self) -> Coefficients:
        """Of the group that all pods are in, where no label tells them apart."""
        return self._everybody.coefficients

    def learner_of(self, slot: int) -> CoefficientLearner:
        """The learner of the slot's group, as of the newest snapshot."""
        return self._by_slot.get(slot, self._everybody)

    def costs_of(self, candidates: Candidates) -> tuple[Cost, Cost, Cost]:
        """Prefill scale, step seconds, and seconds per context token and step, of the candidates."""
        if not self._label:
            only = self._everybody.coefficients
            return only.prefill_scale, only.step_s, only.kv_s
        numbers = self._numbers.of(candidates.snapshot)[candidates.positions]
        found = [learner.coefficients for learner in self._learners.values()]
        table = np.array([(each.prefill_scale, each.step_s, each.kv_s) for each in found])
        scale, step_s, kv_s = table.take(numbers, axis=0).T
        return scale, step_s, kv_s

    def _read_labels(self, snapshot: PoolSnapshot) -> Positions:
        values = [self._known(endpoint.labels.get(self._label, "")) for endpoint in snapshot.endpoints]
        learners = [self._learners[value] for value in values]
        self._by_slot = dict(zip(snapshot.slots.tolist(), learners, strict=True))
        order = {value: number for number, value in enumerate(self._learners)}
        return np.array([order[value] for value in values], dtype=np.intp)

    def _known(self, value: str) -> str:
        """The value, with a learner of its own from now on; the empty one where there are too many."""
        if value not in self._learners:
            if len(self._learners) >= MOST_GROUPS:
                return ""
            self._learners[value] = self._new_learner()
        return value

    def _new_learner(self) -> CoefficientLearner:
        parameters = self._parameters
        return CoefficientLearner(
            step_s=parameters.step_seconds,
            kv_s=parameters.kv_seconds_per_token,
            learns=parameters.learn_coefficients,
        )
