"""The tree of pieces beside a plain count of holders."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.cost.piece_tree import PieceTree, Run

ALPHABET = "ab"


def pieces_of(text: str) -> list[int]:
    """One piece per letter, each of which stands for all before it."""
    return [int.from_bytes(text[: end + 1].encode()) for end in range(len(text))]


def prefixes(text: str) -> list[str]:
    return [text[: end + 1] for end in range(len(text))]


@given(st.lists(st.tuples(st.text(ALPHABET, min_size=1, max_size=9), st.booleans(), st.integers(0, 50)), max_size=60))
def test_agrees_with_counting(steps: list[tuple[str, bool, int]]) -> None:
    tree, held, counts = PieceTree(), list[tuple[str, Run]](), Counter[str]()
    for text, gives_back, number in steps:
        assert tree.shared(pieces_of(text)) == sum(1 for each in prefixes(text) if counts[each])
        if gives_back and held:
            taken, run = held.pop(number % len(held))
            counts.subtract(prefixes(taken))
            assert tree.give_back(run) == sum(1 for each in prefixes(taken) if counts[each])
        else:
            expected = sum(1 for each in prefixes(text) if counts[each])
            run, shared = tree.take(pieces_of(text))
            assert shared == expected
            held.append((text, run))
            counts.update(prefixes(text))
        assert tree.piece_count == sum(1 for count in counts.values() if count)
        assert bool(tree) == bool(held)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_run_that_was_parted_is_given_back_whole(order: tuple[int, ...]) -> None:
    tree = PieceTree()
    runs = [tree.take(pieces_of(text))[0] for text in ("aaaaaaaa", "aaab", "aaaaab")]
    assert tree.piece_count == 8 + 1 + 1
    lefts = [tree.give_back(runs[number]) for number in order]
    assert lefts[-1] == 0
    assert not tree
