"""The heap against a sorted list, and its size."""

from hypothesis import given
from hypothesis import strategies as st

from epp.core.flow.live_heap import LiveHeap

STEPS = st.lists(st.tuples(st.sampled_from(["put", "discard", "first"]), st.integers(0, 8), st.integers(0, 5)))


@given(STEPS)
def test_first_is_the_smallest_of_those_that_are_in(steps: list[tuple[str, int, int]]) -> None:
    heap: LiveHeap[int] = LiveHeap()
    model: dict[int, tuple[float, int]] = {}
    for step, member, rank in steps:
        if step == "put":
            heap.put(member, (float(rank), member))
            model[member] = (float(rank), member)
        elif step == "discard":
            heap.discard(member)
            model.pop(member, None)
        expected = min(((rank, member) for member, rank in model.items()), default=None)
        assert heap.first() == (None if expected is None else (expected[1], expected[0]))
        assert len(heap) == len(model)
        assert (member in heap) == (member in model)


def test_what_left_is_not_kept_for_ever() -> None:
    heap: LiveHeap[int] = LiveHeap()
    heap.put(-1, (-1.0, 0))
    for number in range(10_000):
        heap.put(number, (float(number), number))
        heap.discard(number)
    assert len(heap._heap) <= 40
    for number in range(10_000):
        heap.put(7, (float(-number), 7))
    assert len(heap._heap) <= 40
    assert heap.first() == (7, (-9999.0, 7))
