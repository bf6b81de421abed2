"""Requests whose target model a rewrite gave, by rewrite, model and target; models come with their number bounded."""

from collections.abc import Iterable

from epp.edge.observe.label_values import OTHER, BoundedValues

MOST_SERIES = 10_000
"""combinations; beyond, the models become `other`"""
RewriteKey = tuple[str, str, str]


class RewriteCounts:
    """Counts; names of rewrites that are gone count among the first `most_values`."""

    def __init__(self, most_values: int, most_series: int = MOST_SERIES) -> None:
        self._most_series = most_series
        self._rewrites = BoundedValues(most_values)
        self._counts: dict[RewriteKey, int] = {}

    def set_known(self, names: Iterable[str]) -> None:
        """Names of rewrites that always have a place."""
        self._rewrites.set_known(names)

    def count(self, rewrite: str, model: str, target: str) -> None:
        """A request for `model` was given to `target`."""
        key = (self._rewrites.value(rewrite), model, target)
        if key not in self._counts and len(self._counts) >= self._most_series:
            key = (key[0], OTHER, OTHER)
        self._counts[key] = self._counts.get(key, 0) + 1

    def series(self) -> tuple[tuple[RewriteKey, int], ...]:
        """All counts; may be called from another thread."""
        return tuple(self._counts.items())
