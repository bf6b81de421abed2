"""A scheduling profile: filters, then weighted scorers, then one picker."""

import msgspec
import numpy as np

from epp.core.domain.decision import ScoreCard, ScorerColumn
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.scheduling.cycle import Candidates, Cycle, ProfileResult
from epp.core.scheduling.plugins import Filter, Picker, Scorer
from epp.core.state.columns import FloatColumn

ZERO = np.zeros(())
ONE = np.ones(())
"""arrays, because numpy takes longer to look at a plain number than to compare short arrays"""


class NamedFilter(msgspec.Struct, frozen=True):
    """A filter and the name it has in the configuration."""

    name: str
    plugin: Filter


class WeightedScorer(msgspec.Struct, frozen=True):
    """A scorer, its name in the configuration and its weight."""

    name: str
    plugin: Scorer
    weight: float


class Profile(msgspec.Struct, frozen=True):
    """total = sum of weight * clamp(score, 0, 1); weights are not normalised, as in the reference.

    A score that is not a number counts as 0.
    """

    name: str
    filters: tuple[NamedFilter, ...]
    scorers: tuple[WeightedScorer, ...]
    picker: Picker

    def run(self, cycle: Cycle, candidates: Candidates) -> ProfileResult:
        """Filters, scores and picks.

        Raises ResourceExhausted when the filters leave nobody (the reference's status).
        """
        for named in self.filters:
            candidates = named.plugin.filter(cycle, candidates)
            if not len(candidates):
                raise ResourceExhausted(
                    "failed to find target endpoint: no endpoints available for the given request",
                    hint=f"filter {named.name!r} of profile {self.name!r} left no endpoint",
                    reason=DroppedReason.SATURATED,
                    retry_after_s=1,
                )
        totals: FloatColumn | None = None
        columns = []
        for scorer in self.scorers:
            scores = np.minimum(np.fmax(scorer.plugin.score(cycle, candidates), ZERO), ONE)
            weighted = scores if scorer.weight == 1.0 else scorer.weight * scores
            totals = weighted if totals is None else totals + weighted
            columns.append(ScorerColumn(scorer.name, scorer.weight, scores))
        if totals is None:
            totals = np.zeros(len(candidates))
        picked = self.picker.pick(cycle, candidates, totals)
        return ProfileResult(candidates, picked, ScoreCard(self.name, candidates.endpoints, tuple(columns), totals))
