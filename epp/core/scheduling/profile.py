"""A scheduling profile: filters, then weighted scorers, then one picker."""

from operator import add
from typing import Final

import numpy as np

from epp.core.domain.decision import ScoreCard, ScorerColumn, Scores
from epp.core.domain.errors import DroppedReason, ResourceExhausted
from epp.core.domain.value import Value
from epp.core.scheduling.cycle import FEW, Candidates, Cycle, ProfileResult
from epp.core.scheduling.plugins import Filter, Picker, PlainPicker, PlainScorer, Scorer
from epp.core.state.columns import FloatColumn

ZERO: Final = np.zeros(())
ONE: Final = np.ones(())
"""arrays, because numpy takes longer to look at a plain number than to compare short arrays"""


class NamedFilter(Value):
    """A filter and the name it has in the configuration."""

    name: str
    plugin: Filter


class WeightedScorer(Value):
    """A scorer, its name in the configuration and its weight."""

    name: str
    plugin: Scorer
    weight: float


class Profile:
    """total = sum of weight * clamp(score, 0, 1); weights are not normalised, as in the reference.

    A score that is not a number counts as 0.
    """

    def __init__(
        self, name: str, filters: tuple[NamedFilter, ...], scorers: tuple[WeightedScorer, ...], picker: Picker
    ) -> None:
        self.name = name
        self.filters = filters
        self.scorers = scorers
        self.picker = picker
        self._plain = _Plain.of(scorers, picker)

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
        found = None
        if self._plain is not None and len(candidates.positions) <= FEW:
            found = self._plain.judged(cycle, candidates)
        if found is None:
            found = self._judged(cycle, candidates)
        columns, totals, picked = found
        return ProfileResult(candidates, picked, ScoreCard(self.name, candidates.endpoints, tuple(columns), totals))

    def _judged(self, cycle: Cycle, candidates: Candidates) -> "_Judged":
        totals: FloatColumn | None = None
        columns = []
        for scorer in self.scorers:
            scores = np.minimum(np.fmax(scorer.plugin.score(cycle, candidates), ZERO), ONE)
            weighted = scores if scorer.weight == 1.0 else scorer.weight * scores
            totals = weighted if totals is None else totals + weighted
            columns.append(ScorerColumn(scorer.name, scorer.weight, scores))
        if totals is None:
            totals = np.zeros(len(candidates))
        return columns, totals, self.picker.pick(cycle, candidates, totals)


_Judged = tuple[list[ScorerColumn], Scores, list[int]]
"""what every scorer said, the totals, and who was picked"""


class _Plain(Value):
    """A profile whose plugins all work in plain numbers."""

    scorers: tuple[tuple[str, float, PlainScorer], ...]
    """name, weight and plugin"""
    picker: PlainPicker

    @classmethod
    def of(cls, scorers: tuple[WeightedScorer, ...], picker: Picker) -> "_Plain | None":
        """None where a plugin does not."""
        able = tuple(
            (scorer.name, scorer.weight, scorer.plugin) for scorer in scorers if isinstance(scorer.plugin, PlainScorer)
        )
        return cls(able, picker) if scorers and len(able) == len(scorers) and isinstance(picker, PlainPicker) else None

    def judged(self, cycle: Cycle, candidates: Candidates) -> _Judged | None:
        """None where a scorer cannot this time."""
        totals: list[float] = []
        columns: list[ScorerColumn] = []
        for name, weight, plugin in self.scorers:
            scores = plugin.score_plainly(cycle, candidates)
            if scores is None:
                return None
            weighted = scores if weight == 1.0 else [weight * score for score in scores]
            totals = list(map(add, totals, weighted)) if columns else weighted
            columns.append(ScorerColumn(name, weight, scores))
        return columns, totals, self.picker.pick_plainly(cycle, candidates, totals)
