"""Which rule rewrites which model, looked up once per request.

Exact beats generic; among rules for the same model the oldest object counts, within an object the first rule.
Source: InferenceModelRewriteSpec of the gateway API inference extension (v1.3 to v1.5).
"""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from random import Random
from typing import Final

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, precedence
from epp.core.domain.record import Record
from epp.core.domain.value import Value


class WeightedTargets(Value):
    """The targets of one rule. Without any weight all are equal; beside weights a target without one gets nothing."""

    rewrite: str
    """name of the object that the rule is in"""
    models: tuple[str, ...]
    cumulative: tuple[int, ...]
    """of the weights, in the order of `models`"""

    def choose(self, rng: Random) -> str:
        """One of the models, by weight."""
        if len(self.models) == 1:
            return self.models[0]
        return rng.choices(self.models, cum_weights=self.cumulative)[0]


class RewriteTable(Record):
    """The rules of a pool by model."""

    def __init__(self, exact: Mapping[str, WeightedTargets] = {}, generic: WeightedTargets | None = None) -> None:
        self.exact: Final = exact
        self.generic: Final = generic

    @classmethod
    def of(cls, rewrites: Iterable[InferenceModelRewrite]) -> "RewriteTable":
        """The table of the objects of one pool, which may come in any order."""
        exact: dict[str, WeightedTargets] = {}
        generic: WeightedTargets | None = None
        for rewrite in sorted(rewrites, key=precedence):
            for rule in rewrite.rules:
                targets = _weighted(rewrite.name, rule)
                for model in rule.models:
                    exact.setdefault(model, targets)
                if not rule.models and generic is None:
                    generic = targets
        return cls(exact, generic)

    def find(self, model: str) -> WeightedTargets | None:
        """The rule for a model as the client wrote it, empty where the client named none."""
        return self.exact.get(model) or self.generic


NO_REWRITES: Final = RewriteTable()


def _weighted(rewrite: str, rule: RewriteRule) -> WeightedTargets:
    is_uniform = all(target.weight is None for target in rule.targets)
    weights = [(target.model, 1 if is_uniform else target.weight or 0) for target in rule.targets]
    chosen = [(model, weight) for model, weight in weights if weight]
    return WeightedTargets(
        rewrite, tuple(model for model, _ in chosen), tuple(accumulate(weight for _, weight in chosen))
    )
