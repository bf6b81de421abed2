import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.scorers.normalize import lower_is_better

LOADS = st.lists(st.floats(0, 1e9, allow_nan=False, width=32), min_size=1, max_size=30)


@given(LOADS)
def test_scores_are_within_bounds_and_the_order_is_reversed(values: list[float]) -> None:
    scores = lower_is_better(np.array(values))

    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    for value, score in zip(values, scores.tolist(), strict=True):
        for other_value, other_score in zip(values, scores.tolist(), strict=True):
            if value < other_value:
                assert score >= other_score


@given(LOADS)
def test_the_best_has_1_and_the_worst_0(values: list[float]) -> None:
    scores = lower_is_better(np.array(values)).tolist()

    assert scores[values.index(min(values))] == 1.0
    if min(values) < max(values):
        assert scores[values.index(max(values))] == 0.0


def test_all_equal_is_all_best() -> None:
    assert lower_is_better(np.array([3.0, 3.0])).tolist() == [1.0, 1.0]
