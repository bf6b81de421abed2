"""Columns of numbers by slot that grow on demand."""

import numpy as np

from epp.core.state.columns import FloatColumn


def grown(column: FloatColumn, slots: int, fill: float = 0.0) -> FloatColumn:
    """`column` with room for slots 0..slots-1: itself, or a longer copy whose new cells are `fill`."""
    missing = slots - len(column)
    if missing <= 0:
        return column
    return np.concatenate([column, np.full(max(missing, len(column)), fill)])
