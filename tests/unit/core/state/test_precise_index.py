"""The precise index beside a naive model that keeps, per slot, a set of prefixes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.request import MultimodalItem
from epp.core.kvevents import AllBlocksCleared, BlockStored
from epp.core.state.precise_index import MOST_NAMES, PreciseIndex
from tests.support.kv_blocks import BLOCK_TOKENS, name, prompt, removed, stored, token_ids

SLOTS = (0, 1, 5, 63, 64, 200)
PROMPTS = st.text("ab", max_size=7)


class NaiveIndex:
    """Prefixes by slot; a block is a prefix, and it can be placed when the prefix before it is there."""

    def __init__(self) -> None:
        self.held: dict[int, set[str]] = {}

    def store(self, slot: int, letters: str, first: int) -> None:
        blocks = self.held.setdefault(slot, set())
        if not first or letters[:first] in blocks:
            blocks |= {letters[: end + 1] for end in range(first, len(letters))}

    def remove(self, slot: int, prefix: str) -> None:
        self.held.setdefault(slot, set()).discard(prefix)

    def match(self, letters: str) -> dict[int, int]:
        matched = {}
        for slot, blocks in self.held.items():
            length = 0
            while length < len(letters) and letters[: length + 1] in blocks:
                length += 1
            if length:
                matched[slot] = length
        return matched


STORE = st.tuples(st.just("store"), st.sampled_from(SLOTS), PROMPTS, st.integers(0, 3))
REMOVE = st.tuples(st.just("remove"), st.sampled_from(SLOTS), PROMPTS, st.just(0))
CLEAR = st.tuples(st.sampled_from(["clear", "cleared"]), st.sampled_from(SLOTS), st.just(""), st.just(0))
STEPS = st.lists(STORE | STORE | STORE | REMOVE | REMOVE | CLEAR, max_size=60)


@settings(max_examples=300)
@given(STEPS, st.lists(PROMPTS, max_size=6))
def test_agrees_with_the_naive_model(steps: list[tuple[str, int, str, int]], questions: list[str]) -> None:
    index, model = PreciseIndex(), NaiveIndex()
    for action, slot, letters, first in steps:
        if action == "store" and first < len(letters):
            index.apply(slot, stored(letters, first=first))
            model.store(slot, letters, first)
        elif action == "remove" and letters:
            index.apply(slot, removed(letters))
            model.remove(slot, letters)
        elif action == "clear":
            index.clear(slot)
            model.held.pop(slot, None)
        elif action == "cleared":
            index.apply(slot, AllBlocksCleared())
            model.held.pop(slot, None)
    for letters in questions:
        assert index.match(prompt(letters), BLOCK_TOKENS) == model.match(letters)
    assert index.block_count == sum(len(blocks) for blocks in model.held.values())
    for slot in SLOTS:
        index.clear(slot)
    assert index.block_count == 0
    assert vars_left(index) == ({}, {}, {}, {})


def vars_left(index: PreciseIndex) -> tuple[object, ...]:
    """Everything that grows with blocks."""
    return index._slots, index._holders, index._lighter, index._sizes


def index_with(*events: BlockStored) -> PreciseIndex:
    index = PreciseIndex()
    for event in events:
        index.apply(0, event)
    return index


def matched(index: PreciseIndex, letters: str, slot: int = 0, **fields: object) -> float:
    return index.match(prompt(letters, **fields), BLOCK_TOKENS).get(slot, 0.0)


def test_a_match_ends_where_a_block_is_missing_even_if_later_ones_are_there() -> None:
    index = index_with(stored("abcd"))
    index.apply(0, removed("ab"))
    assert matched(index, "abcd") == 1.0
    index.apply(0, stored("ab", first=1))
    assert matched(index, "abcd") == 4.0


def test_a_partial_block_at_the_end_does_not_count() -> None:
    index = index_with(stored("ab"))
    short = prompt("ab").token_ids[:-4]
    assert index.match(type(prompt(""))(short), BLOCK_TOKENS) == {0: 1.0}


def test_a_block_behind_an_unknown_one_is_passed_over_and_the_slot_is_not_complete_any_more() -> None:
    index = PreciseIndex()
    index.set_complete(0)
    assert index.is_complete(0)
    index.apply(0, stored("abc", first=2))
    assert (index.block_count, index.passed_over, index.is_complete(0)) == (0, 1, False)
    assert not index.is_complete(1)


def test_all_blocks_cleared_is_a_known_state() -> None:
    index = index_with(stored("ab"))
    assert not index.is_complete(0)
    index.apply(0, AllBlocksCleared())
    assert (index.block_count, index.is_complete(0)) == (0, True)


def test_adapters_are_never_mixed() -> None:
    index = index_with(stored("ab"), stored("abc", adapter="food", extra_keys=(("food",), ("food",), ("food",))))
    assert matched(index, "abc") == 2.0
    assert matched(index, "abc", adapter="food") == 3.0
    assert matched(index, "abc", adapter="travel") == 0.0
    assert index.knows_adapter("food")
    assert not index.knows_adapter("travel")


def test_an_adapter_without_a_name_cannot_be_placed() -> None:
    event = stored("ab")
    index = index_with(
        BlockStored(event.block_hashes, None, event.token_ids, BLOCK_TOKENS, adapter=None),
    )
    assert (index.block_count, index.passed_over) == (0, 2)


def test_salts_are_never_mixed() -> None:
    index = index_with(stored("ab", extra_keys=(("tenant",), ())))
    assert matched(index, "ab", cache_salt="tenant") == 2.0
    assert matched(index, "ab", cache_salt="other") == 0.0
    assert matched(index, "ab") == 0.0


def test_the_salt_of_an_adapter() -> None:
    index = index_with(stored("ab", adapter="food", extra_keys=(("food", "tenant"), ("food",))))
    assert matched(index, "ab", adapter="food", cache_salt="tenant") == 2.0
    assert matched(index, "ab", adapter="food") == 0.0


def test_images_are_part_of_the_blocks_that_they_reach_into() -> None:
    """An image of three placeholder tokens from token 3 on: in the second block from its second token, in the third."""
    index = index_with(stored("abcd", extra_keys=((), (("cat", 1),), (("cat", -1),), ())))
    assert matched(index, "abcd", multimodal=(MultimodalItem("cat", 3, 3),)) == 4.0
    assert matched(index, "abcd", multimodal=(MultimodalItem("dog", 3, 3),)) == 1.0
    assert matched(index, "abcd", multimodal=(MultimodalItem("cat", 2, 3),)) == 1.0
    assert matched(index, "abcd") == 1.0


def test_several_images_in_one_block() -> None:
    index = index_with(stored("ab", extra_keys=((("cat", 0), ("dog", 1)), ())))
    items = (MultimodalItem("dog", 1, 1), MultimodalItem("cat", 0, 1))
    assert matched(index, "ab", multimodal=items) == 2.0


def test_a_slower_medium_counts_less() -> None:
    index = index_with(stored("abc"), BlockStored((name("ab"), name("abc")), None, b"", BLOCK_TOKENS, "", medium="cpu"))
    assert matched(index, "abc") == 3.0
    index.apply(0, removed("abc", "ab"))
    assert matched(index, "abc") == pytest.approx(1 + 2 * 0.8)
    index.apply(0, stored("abc", first=1))
    assert matched(index, "abc") == 3.0
    index.apply(0, removed("abc", medium="cpu"))
    index.apply(0, removed("abc"))
    assert matched(index, "abc") == 2.0


def test_a_block_may_come_to_a_slower_medium_with_its_tokens() -> None:
    index = index_with(stored("a"), stored("ab", medium="cpu"))
    assert matched(index, "ab") == pytest.approx(1.8)
    index.apply(0, removed("a", medium="cpu"))
    assert matched(index, "ab") == pytest.approx(1.8)
    index.clear(0)
    assert vars_left(index) == ({}, {}, {}, {})


def test_an_unnamed_medium_weighs_as_little_as_the_lightest() -> None:
    index = PreciseIndex({"gpu": 1.0, "cpu": 0.5})
    index.apply(0, stored("ab", medium="tape"))
    assert matched(index, "ab") == 1.0


def test_only_groups_with_full_attention_are_indexed() -> None:
    index = index_with(stored("ab", spec_kind="full_attention"), stored("abc", spec_kind="sliding_window", group=1))
    index.apply(0, removed("a", "ab", group=1))
    assert matched(index, "abc") == 2.0


def test_a_block_of_two_groups_is_held_until_both_are_gone() -> None:
    index = index_with(stored("ab"), stored("ab", group=2))
    index.apply(0, removed("a", "ab"))
    assert matched(index, "ab") == 2.0
    index.apply(0, removed("a", "ab", group=2))
    assert matched(index, "ab") == 0.0
    index.clear(0)
    assert vars_left(index) == ({}, {}, {}, {})


def test_an_engine_that_gives_a_name_to_another_block() -> None:
    index = index_with(stored("ab"))
    index.apply(0, BlockStored((name("a"), name("ab")), None, token_ids("xy"), BLOCK_TOKENS, ""))
    assert matched(index, "ab") == 0.0
    assert matched(index, "xy") == 2.0


def test_tokens_that_are_not_those_of_the_blocks_are_passed_over() -> None:
    """As vLLM does for hybrid models: blocks left out of the hashes, but not out of the tokens (issue 44451)."""
    index = index_with(BlockStored((name("a"),), None, token_ids("ab"), BLOCK_TOKENS, ""))
    assert (index.block_count, index.passed_over) == (0, 1)


def test_no_more_blocks_than_there_is_room_for() -> None:
    index = PreciseIndex(most_blocks=3)
    index.set_complete(0)
    index.apply(0, stored("abc"))
    assert index.is_complete(0)
    index.apply(0, stored("xy"))
    assert (index.held_by(0), index.passed_over, index.is_complete(0)) == (3, 2, False)
    index.apply(0, removed("abc", "ab"))
    index.apply(0, stored("xy"))
    assert index.held_by(0) == 3


def test_no_more_adapters_than_can_be_remembered() -> None:
    index = PreciseIndex()
    for number in range(MOST_NAMES + 1):
        index.apply(0, stored("a", adapter=f"adapter-{number}"))
    assert index.knows_adapter(f"adapter-{MOST_NAMES - 1}")
    assert not index.knows_adapter(f"adapter-{MOST_NAMES}")


def test_which_block_sizes_are_in_use() -> None:
    index = index_with(stored("a"))
    index.apply(3, stored("a"))
    assert index.block_sizes == {BLOCK_TOKENS: 0b1001}
    index.apply(3, BlockStored((1,), None, token_ids("ab"), 2 * BLOCK_TOKENS, ""))
    assert index.block_sizes == {BLOCK_TOKENS: 0b1, 2 * BLOCK_TOKENS: 0b1000}
    index.clear(3)
    assert index.block_sizes == {BLOCK_TOKENS: 0b1}
