from epp.core.state.speculative_blocks import SpeculativeBlocks

CHAIN = [11, 12, 13]


def test_a_prompt_counts_where_it_was_sent_for_one_to_two_times_the_time() -> None:
    blocks = SpeculativeBlocks(2.0)
    blocks.insert(3, CHAIN, 100.0)
    assert blocks.match(CHAIN, 100.0) == {3: 3}
    assert blocks.match(CHAIN[:2], 101.9) == {3: 2}
    assert blocks.match(CHAIN, 102.0) == {3: 3}
    assert blocks.match(CHAIN, 103.9) == {3: 3}
    assert blocks.match(CHAIN, 104.0) == {}


def test_both_generations_count() -> None:
    blocks = SpeculativeBlocks(2.0)
    blocks.insert(1, CHAIN, 100.0)
    blocks.insert(1, CHAIN[:1], 102.0)
    blocks.insert(2, CHAIN[:2], 102.0)
    assert blocks.match(CHAIN, 102.0) == {1: 3, 2: 2}


def test_after_a_pause_nothing_counts() -> None:
    blocks = SpeculativeBlocks(2.0)
    blocks.insert(1, CHAIN, 100.0)
    assert blocks.match(CHAIN, 200.0) == {}


def test_a_new_owner_has_nothing() -> None:
    blocks = SpeculativeBlocks(2.0)
    blocks.insert(1, CHAIN, 100.0)
    blocks.insert(1, CHAIN, 102.0)
    blocks.forget(1)
    assert blocks.match(CHAIN, 102.0) == {}
