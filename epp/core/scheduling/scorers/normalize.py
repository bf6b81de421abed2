"""Min-max normalisation, shared by the scorers that compare candidates with one another."""

import numpy as np

from epp.core.state.columns import FloatColumn


def lower_is_better(values: FloatColumn) -> FloatColumn:
    """(max - v) / (max - min) over the candidates; 1 for everybody when all are equal."""
    highest = values.max()
    span = highest - values.min()
    if span == 0.0:
        return np.ones(len(values))
    scores: FloatColumn = (highest - values) / span
    return scores
