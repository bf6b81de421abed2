from hypothesis import given
from hypothesis import strategies as st

from epp.edge.observe.cells import Histogram, merged

BOUNDS = (1.0, 8.0, 16.0)
VALUES = st.lists(st.integers(0, 40).map(float))


def filled(values: list[float]) -> Histogram:
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
    return histogram


def test_value_on_a_bound_belongs_to_its_bucket() -> None:
    assert filled([0.0, 1.0, 1.5, 8.0, 16.0, 16.1, 99.0]).counts == [2, 2, 1, 2]


@given(VALUES, VALUES)
def test_merging_is_like_observing_everything_in_one(first: list[float], second: list[float]) -> None:
    one, other, whole = filled(first), filled(second), filled([*first, *second])

    together = merged(one, other)

    assert (together.counts, together.total) == (whole.counts, whole.total)
    assert together.is_empty == (not first and not second)
    assert one.counts == filled(first).counts, "the parts stay as they are"
