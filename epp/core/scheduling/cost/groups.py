"""Groups of pods that cost the same: each learns its own coefficients. Without a label all pods are one group."""

import numpy as np

from epp.core.scheduling.cost.coefficients import CoefficientLearner
from epp.core.scheduling.cost.parameters import ExpectedCostParameters
from epp.core.scheduling.cycle import Candidates
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.columns import FloatColumn
from epp.core.state.snapshot import PoolSnapshot

MOST_GROUPS = 100
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
        self._by_position: PerSnapshot[list[CoefficientLearner]] = PerSnapshot(self._read_labels)

    def learner_of(self, slot: int) -> CoefficientLearner:
        """The learner of the slot's group, as of the newest snapshot."""
        return self._by_slot.get(slot, self._everybody)

    def costs_of(self, candidates: Candidates) -> tuple[Cost, Cost, Cost]:
        """Prefill scale, step seconds, and seconds per context token and step, of the candidates."""
        if not self._label:
            only = self._everybody.coefficients
            return only.prefill_scale, only.step_s, only.kv_s
        learners = self._by_position.of(candidates.snapshot)
        rows = [
            (found.prefill_scale, found.step_s, found.kv_s)
            for found in (learners[position].coefficients for position in candidates.positions.tolist())
        ]
        scale, step_s, kv_s = np.array(rows).T
        return scale, step_s, kv_s

    def _read_labels(self, snapshot: PoolSnapshot) -> list[CoefficientLearner]:
        found = [self._of_label(endpoint.labels.get(self._label, "")) for endpoint in snapshot.endpoints]
        self._by_slot = dict(zip(snapshot.slots.tolist(), found, strict=True))
        return found

    def _of_label(self, value: str) -> CoefficientLearner:
        learner = self._learners.get(value)
        if learner is None:
            if len(self._learners) >= MOST_GROUPS:
                return self._everybody
            learner = self._learners[value] = self._new_learner()
        return learner

    def _new_learner(self) -> CoefficientLearner:
        parameters = self._parameters
        return CoefficientLearner(
            step_s=parameters.step_seconds,
            kv_s=parameters.kv_seconds_per_token,
            learns=parameters.learn_coefficients,
        )
