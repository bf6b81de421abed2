"""Min-max normalisation, shared by the scorers that compare candidates with one another."""

import math

import numpy as np

from epp.core.state.columns import FloatColumn


def lower_is_better(values: FloatColumn) -> FloatColumn:
    """(max - v) / (max - min) over the candidates; 1 for everybody when all are equal.

    What is no finite number has 0 and does not take part.
    """
    highest = float(values[values.argmax()])  # argmax takes a seventh of max's time on short arrays
    span = highest - float(values[values.argmin()])
    if not math.isfinite(span):
        return _of_odd_values(values)
    if span == 0.0:
        return np.ones(len(values))
    scores: FloatColumn = (highest - values) / span
    return scores


def lower_is_better_plainly(values: list[float]) -> list[float]:
    """The same in plain numbers, which is quicker for few."""
    if not math.isfinite(sum(values)):
        odd: list[float] = lower_is_better(np.array(values)).tolist()
        return odd
    highest = max(values)
    span = highest - min(values)
    if span == 0.0:
        return [1.0] * len(values)
    return [(highest - value) / span for value in values]


def _of_odd_values(values: FloatColumn) -> FloatColumn:
    known = np.isfinite(values)
    scores = np.zeros(len(values))
    if known.any():
        scores[known] = lower_is_better(values[known] / 2.0)  # halves: the difference of two large ones may overflow
    return scores
