"""Prompt tokens in flight per slot: beginnings that requests share count once."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.cost.kv_occupancy import CUTS, MOST_BLOCKS, MOST_PIECES, STRIDE, KvOccupancy, pieces_of
from epp.core.state.block_hashes import Chain, hash_blocks

BLOCK_TOKENS = 16
BLOCK_BYTES = 64


def chain(*parts: tuple[str, int]) -> Chain:
    """Of a prompt whose parts have so many blocks each."""
    data = b"".join(text.encode()[:1] * (blocks * BLOCK_BYTES) for text, blocks in parts)
    return hash_blocks(data, BLOCK_BYTES, "m", 1 << 20)


def take(occupancy: KvOccupancy, slot: int, serial: int, *parts: tuple[str, int], more_tokens: int = 0) -> None:
    blocks = sum(count for _, count in parts)
    occupancy.take(slot, serial, chain(*parts), BLOCK_TOKENS, blocks * BLOCK_TOKENS + more_tokens)


def test_a_prompt_counts_for_its_tokens_until_it_is_over() -> None:
    occupancy = KvOccupancy()
    take(occupancy, 3, 1, ("a", 100), more_tokens=7)
    assert occupancy.tokens[3] == 1607
    occupancy.give_back(1)
    occupancy.give_back(1)
    assert (occupancy.tokens.sum(), len(occupancy), occupancy.piece_count) == (0, 0, 0)


def test_a_shared_beginning_counts_once_until_its_last_holder_is_gone() -> None:
    occupancy = KvOccupancy()
    take(occupancy, 0, 1, ("s", 128), ("a", 64))
    take(occupancy, 0, 2, ("s", 128), ("b", 64))
    assert occupancy.tokens[0] == (128 + 64 + 64) * BLOCK_TOKENS
    occupancy.give_back(1)
    assert occupancy.tokens[0] == (128 + 64) * BLOCK_TOKENS
    occupancy.give_back(2)
    assert occupancy.tokens[0] == 0


def test_nothing_is_shared_between_slots() -> None:
    occupancy = KvOccupancy()
    take(occupancy, 0, 1, ("s", 32))
    take(occupancy, 1, 2, ("s", 32))
    assert occupancy.tokens[:2].tolist() == [512, 512]
    occupancy.move(2, 0)
    occupancy.move(2, 0)
    assert occupancy.tokens[:2].tolist() == [512, 0]
    occupancy.move(99, 0)
    assert len(occupancy) == 2


def test_a_prompt_without_a_whole_block_counts_too() -> None:
    occupancy = KvOccupancy()
    occupancy.take(0, 1, [], BLOCK_TOKENS, 5)
    occupancy.take(0, 2, [], BLOCK_TOKENS, 6)
    assert occupancy.tokens[0] == 11
    occupancy.give_back(1)
    occupancy.give_back(2)
    assert occupancy.tokens[0] == 0


def test_what_a_new_prompt_would_share() -> None:
    occupancy = KvOccupancy()
    take(occupancy, 0, 1, ("s", 64), ("a", 64))
    assert occupancy.shared_tokens(0, chain(("s", 64), ("b", 200)), BLOCK_TOKENS) == 64 * BLOCK_TOKENS
    assert occupancy.shared_tokens(0, chain(("x", 64)), BLOCK_TOKENS) == 0
    assert occupancy.shared_tokens(1, chain(("s", 64)), BLOCK_TOKENS) == 0


def test_a_prompt_is_cut_at_the_same_blocks_whatever_its_length() -> None:
    long = chain(("a", 1000))
    assert pieces_of(chain(("a", 300))) == pieces_of(long)[: len(pieces_of(chain(("a", 300))))]
    assert [int(np.flatnonzero(np.asarray(long) == piece)[0]) + 1 for piece in pieces_of(long)[:7]] == [
        4,
        8,
        16,
        32,
        64,
        96,
        128,
    ]


def test_pieces_are_bounded() -> None:
    occupancy = KvOccupancy()
    blocks = MOST_BLOCKS * 2
    occupancy.take(0, 1, np.arange(1, blocks + 1, dtype=np.uint64), BLOCK_TOKENS, blocks * BLOCK_TOKENS)
    assert (occupancy.piece_count, occupancy.tokens[0]) == (MOST_PIECES, blocks * BLOCK_TOKENS)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "give back", "move"]),
            st.integers(0, 1),
            st.sampled_from(["", "a", "ab", "abc", "b", "bc"]),
            st.integers(0, 100),
        ),
        max_size=40,
    )
)
def test_counts_are_those_of_the_union(steps: list[tuple[str, int, str, int]]) -> None:
    """Prompts of whole pieces (32 blocks a letter), so that the cuts lose nothing."""
    occupancy, held, serial = KvOccupancy(), dict[int, tuple[int, str, int]](), 0
    for step, slot, text, number in steps:
        known = list(held)
        if step == "take":
            serial += 1
            take(occupancy, slot, serial, *((letter, STRIDE) for letter in text), more_tokens=number)
            held[serial] = (slot, text, number)
        elif known and step == "move":
            chosen = known[number % len(known)]
            occupancy.move(chosen, slot)
            held[chosen] = (slot, *held[chosen][1:])
        elif known:
            chosen = known[number % len(known)]
            occupancy.give_back(chosen)
            del held[chosen]
    for slot in (0, 1):
        mine = [(text, tail) for where, text, tail in held.values() if where == slot]
        prefixes = {text[: end + 1] for text, _ in mine for end in range(len(text))}
        assert occupancy.tokens[slot] == len(prefixes) * STRIDE * BLOCK_TOKENS + sum(tail for _, tail in mine)
    assert len(occupancy) == len(held)


def test_a_cut_is_never_far() -> None:
    assert all(later - cut <= max(STRIDE, cut / 16) for cut, later in pairwise(CUTS))
    assert pieces_of(chain(("a", 3))) == []


def test_hashes_that_collide_leave_nothing_behind_and_raise_nothing() -> None:
    """Chains cannot part and meet again, unless somebody made prompts for which xxh3 says so."""
    occupancy = KvOccupancy()
    first, other = list(range(1, 65)), list(range(101, 165))
    other[-1] = first[-1]
    for serial, blocks in enumerate((first, other, first)):
        occupancy.take(0, serial, blocks, BLOCK_TOKENS, 64 * BLOCK_TOKENS)
    for serial in (1, 0, 2):
        occupancy.give_back(serial)
    assert (len(occupancy), occupancy.piece_count) == (0, 0)
