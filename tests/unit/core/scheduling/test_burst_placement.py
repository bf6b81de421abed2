"""Which requests of a burst go together, and where; blocks are letters here, and a prompt is a word."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.burst_placement import BurstPrompt, PlacementRules, place
from epp.core.state.block_hashes import hash_blocks

BLOCK_TOKENS = 1


def prompt(word: str, own_tokens: int = 0) -> BurstPrompt:
    """`own_tokens` come after the whole blocks."""
    chain = hash_blocks("".join(letter * 4 for letter in word).encode(), 4, "seed", 100)
    return BurstPrompt(chain, len(word) * BLOCK_TOKENS + own_tokens)


def placed(
    words: str, loads: list[float], *, most: int | None = None, least: int = 0, by_tokens: bool = False
) -> list[int | None]:
    prompts = [prompt(word) for word in words.split()]
    return place(prompts, np.array(loads), PlacementRules(BLOCK_TOKENS, most, least, by_tokens))


def test_the_same_prompts_go_together_and_others_elsewhere() -> None:
    assert placed("aa bb aa bb aa", [0, 0]) == [0, 1, 0, 1, 0]


def test_four_prompts_have_four_endpoints() -> None:
    assert placed("aa bb cc dd " * 10, [0, 0, 0, 0]) == [0, 1, 2, 3] * 10


def test_who_shares_nothing_is_left_to_the_scorers() -> None:
    assert placed("aa bb aa", [0, 0]) == [0, None, 0]


def test_a_prompt_without_a_block_is_left_to_the_scorers() -> None:
    assert place([prompt(""), prompt("")], np.zeros(2), PlacementRules(BLOCK_TOKENS)) == [None, None]


def test_without_endpoints_nobody_is_placed() -> None:
    assert placed("a a", []) == [None, None]


def test_what_is_in_flight_counts() -> None:
    assert placed("aa aa bb bb", [5, 0, 1]) == [1, 1, 2, 2]


def test_longer_prompts_are_placed_first() -> None:
    assert placed("a a bbb bbb", [0, 1]) == [1, 1, 0, 0]


def test_no_more_of_a_prompt_on_an_endpoint_than_allowed() -> None:
    assert placed("a " * 5, [0, 1, 0], most=2) == [0, 0, 2, 2, 1]


def test_who_is_over_when_every_endpoint_has_its_part_is_left_to_the_scorers() -> None:
    assert placed("a " * 5, [0, 0], most=2) == [0, 0, 1, 1, None]


def test_different_prompts_go_together_when_they_share_enough() -> None:
    words = "xxa xxb yya yyb"
    assert placed(words, [0, 0], least=2) == [0, 0, 1, 1]
    assert placed(words, [0, 0], least=3) == [None] * 4
    assert placed(words, [0, 0]) == [None] * 4


def test_requests_with_the_same_prompt_are_placed_before_single_ones() -> None:
    """In the other order `sy` would follow `sxx`."""
    assert placed("sxx sy sy", [0, 0], least=1) == [1, 0, 0]


def test_a_beginning_that_both_have_draws_nobody_if_only_the_same_prompts_go_together() -> None:
    assert placed("aaaa aaaa aaab aaab b b c c", [0, 0], by_tokens=True) == [0, 0, 1, 1, 0, 0, 1, 1]


def test_a_prompt_that_is_the_beginning_of_another_one_goes_there() -> None:
    assert placed("xxab xx yyab yy", [0, 0], least=2) == [0, 0, 1, 1]


def test_a_beginning_that_all_have_draws_nobody_beyond_the_fair_share() -> None:
    endpoints = placed("sa sb sc sd se sf sg sh", [0, 0, 0, 0], least=1)
    assert Counter(endpoints) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_the_nearest_of_those_that_share_enough() -> None:
    """`sxy` shares three blocks with what 0 and 1 got, and one with what 2 got, which has less load."""
    words = "sabcd sabcd sabcd sxyz sxyz sxy" + " q" * 9
    endpoints = placed(words, [0, 0, 0], least=1, most=1)
    assert endpoints[:6] == [0, 1, 2, 0, 1, 0]


def test_the_same_prompts_stay_together_even_if_they_share_less_than_asked_of_others() -> None:
    assert placed("ab ab", [0, 0], least=3) == [0, 0]


def test_tokens_are_balanced_where_requests_would_not_be() -> None:
    words = "aaaaaaaa aaaaaaaa bbbb bbbb cccc cccc"
    assert placed(words, [0, 0]) == [0, 0, 1, 1, 0, 0]
    assert placed(words, [0, 0], by_tokens=True) == [0, 0, 1, 1, 1, 1]


def test_tokens_that_an_endpoint_got_already_cost_nothing() -> None:
    """`aaax` costs one token where `aaaa` is, which makes 5; so do `bbb` and `cc` elsewhere, and `d` has the choice."""
    words = "aaaa aaaa aaax aaax bbb bbb cc cc d d"
    assert placed(words, [0, 0], by_tokens=True, least=3) == [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]


def test_tokens_after_the_blocks_count_for_each_request() -> None:
    prompts = [prompt("aa", 9), prompt("aa", 9), prompt("b"), prompt("b"), prompt("c"), prompt("c")]
    assert place(prompts, np.zeros(2), PlacementRules(BLOCK_TOKENS, by_tokens=True)) == [0, 0, 1, 1, 1, 1]


@given(
    words=st.lists(st.text("ab", max_size=4), max_size=30),
    loads=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    most=st.none() | st.integers(1, 3),
    least=st.integers(0, 3),
    by_tokens=st.booleans(),
)
def test_any_burst(words: list[str], loads: list[int], most: int | None, least: int, *, by_tokens: bool) -> None:
    rules = PlacementRules(BLOCK_TOKENS, most, least, by_tokens)
    endpoints = place([prompt(word) for word in words], np.array(loads, dtype=float), rules)
    assert len(endpoints) == len(words)
    by_word = Counter((word, endpoint) for word, endpoint in zip(words, endpoints, strict=True))
    for (word, endpoint), count in by_word.items():
        together = words.count(word)
        related = sum(other[:least] == word[:least] for other in words)
        if endpoint is not None:
            assert 0 <= endpoint < len(loads)
            assert word, "something to share"
            assert together > 1 or (0 < least <= len(word) and related > 1)
            assert most is None or count <= most
            if most is None:
                assert count == together, "nobody is torn apart"
        elif word and together > 1:
            assert most is not None
            assert all(by_word[word, one] == most for one in range(len(loads))), "every endpoint has its part"


def test_a_large_burst_needs_no_comparison_of_all_with_all() -> None:
    """1000 requests that share a beginning, 64 endpoints: tens of milliseconds."""
    words = ["s" * 50 + f"{number:04d}" for number in range(1000)]
    endpoints = place([prompt(word) for word in words], np.zeros(64), PlacementRules(BLOCK_TOKENS, None, 50))
    assert max(Counter(endpoints).values()) <= -(-1000 // 64)


@pytest.mark.parametrize("by_tokens", [False, True])
def test_loads_are_not_changed(*, by_tokens: bool) -> None:
    loads = np.array([1.0, 2.0])
    place([prompt("a"), prompt("a")], loads, PlacementRules(BLOCK_TOKENS, by_tokens=by_tokens))
    assert loads.tolist() == [1.0, 2.0]
