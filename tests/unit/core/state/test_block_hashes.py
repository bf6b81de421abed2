"""Block hashes: equal as far as the data is equal, in the looped part, in that hashed at once and, nearly, in steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.state.block_hashes import (
    EXACT_BLOCKS,
    LOOPED_BLOCKS,
    STEPS_PER_DOUBLING,
    hash_blocks,
    packed,
    step_ends,
    unpacked,
)


def hashes(data: bytes, block_bytes: int = 4, seed: str = "m", most: int = 10_000) -> list[int]:
    return [int(block) for block in hash_blocks(data, block_bytes, seed, most)]


def test_whole_blocks_only() -> None:
    assert [len(hashes(b"x" * size)) for size in (0, 3, 4, 7, 8, 9)] == [0, 0, 1, 1, 2, 2]
    assert len(hashes(b"x" * (4 * LOOPED_BLOCKS + 7))) == LOOPED_BLOCKS + 1


@pytest.mark.parametrize("most", [0, 3, LOOPED_BLOCKS, LOOPED_BLOCKS + 1, 150])
def test_at_most_so_many(most: int) -> None:
    assert hashes(b"x" * 1000, most=most) == hashes(b"x" * 1000)[:most]


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([4, 8, 12]))
def test_equal_as_far_as_the_data_is_equal(left: bytes, right: bytes, size: int) -> None:
    for index, (one, other) in enumerate(zip(hashes(left, size), hashes(right, size), strict=False)):
        assert (one == other) == (left[: (index + 1) * size] == right[: (index + 1) * size])


@given(st.integers(0, 200), st.integers(0, 63), st.integers(1, 255), st.sampled_from([4, 8, 12, 64]))
def test_one_changed_byte_changes_every_hash_from_its_block_on(block: int, byte: int, bits: int, size: int) -> None:
    data = bytes(range(256)) * (201 * size // 256 + 1)
    at = block * size + byte % size
    changed = data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
    before, after = hashes(data[: 201 * size], size), hashes(changed[: 201 * size], size)
    assert before[:block] == after[:block]
    assert not set(before[block:]) & set(after[block:])


def test_a_growing_prompt_keeps_its_hashes_across_the_border_of_the_two_ways() -> None:
    text = b"the same beginning " * 400
    whole = hashes(text, 16)
    for blocks in (1, LOOPED_BLOCKS - 1, LOOPED_BLOCKS, LOOPED_BLOCKS + 1, 300):
        assert hashes(text[: blocks * 16], 16) == whole[:blocks]


STEPPED = 2_600
"""blocks, after three doublings"""


def begin_of_step(block: int) -> int:
    """After how many blocks the step begins that block number `block`, counted from 0, is in."""
    return max([EXACT_BLOCKS, *(end for end in step_ends(STEPPED) if end <= block)])


def test_the_steps_follow_each_other_and_double() -> None:
    ends = step_ends(1 << 14)
    assert ends[:3] == [544, 576, 608]
    assert [end for end in ends if end & (end - 1) == 0] == [1 << power for power in range(10, 15)]
    for begin, end in zip([EXACT_BLOCKS, *ends], ends, strict=False):
        assert 0 < end - begin <= begin / STEPS_PER_DOUBLING
    assert step_ends(EXACT_BLOCKS) == []


@given(st.integers(0, STEPPED - 1), st.integers(1, 255), st.sampled_from([4, 8, 64]))
def test_in_steps_prompts_part_at_the_end_of_the_step_in_which_they_differ(block: int, bits: int, size: int) -> None:
    data = bytes(range(251)) * (STEPPED * size // 251 + 1)
    at = block * size
    changed = data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]
    before, after = hashes(data[: STEPPED * size], size), hashes(changed[: STEPPED * size], size)
    parts_at = block
    if block >= EXACT_BLOCKS:
        ends = [end for end in step_ends(STEPPED) if end > block]
        parts_at = ends[0] - 1 if ends else STEPPED
    assert before[:parts_at] == after[:parts_at]
    assert not set(before[parts_at:]) & set(after[parts_at:])
    assert parts_at - block <= begin_of_step(block) / STEPS_PER_DOUBLING
    assert len(set(before)) == STEPPED


@pytest.mark.parametrize("first", [1, EXACT_BLOCKS, EXACT_BLOCKS + 1, 543, 544, 545, 1_024, 2_000])
def test_a_growing_prompt_keeps_its_hashes_in_steps(first: int) -> None:
    text = b"the same beginning " * 3_000
    whole = hashes(text, 16)
    assert len(whole) > 3_000
    assert hashes(text[: first * 16], 16) == whole[:first]
    assert hashes(text, 16, most=first) == whole[:first]


def test_a_longer_prompt_than_ever_changes_no_hash() -> None:
    text = bytes(range(256)) * 4_096
    short = hashes(text[:80_000], 16, most=1 << 20)
    assert hashes(text, 16, most=1 << 20)[: len(short)] == short


def test_blocks_that_change_places_change_the_chain() -> None:
    head = b"h" * 4 * LOOPED_BLOCKS
    assert hashes(head + b"aaaabbbb")[-1] != hashes(head + b"bbbbaaaa")[-1]
    assert hashes(head + b"aaaaaaaa")[-1] != hashes(head + b"aaaa" * 3)[-1]


def test_what_comes_first_decides_what_comes_at_once() -> None:
    tail = b"t" * 400
    assert hashes(b"a" * 4 * LOOPED_BLOCKS + tail)[-1] != hashes(b"b" * 4 * LOOPED_BLOCKS + tail)[-1]


@pytest.mark.parametrize("place", [0, 7])
def test_neighbouring_texts_do_not_collide(place: int) -> None:
    # Words that differ in one byte only are the hard case of multilinear hashing.
    head = b"h" * 64 * LOOPED_BLOCKS
    seen = set()
    for first in range(256):
        for second in range(0, 256, 5):
            block = bytearray(64)
            block[place], block[place + 8] = first, second
            seen.add(hashes(head + bytes(block), 64)[-1])
    assert len(seen) == 256 * len(range(0, 256, 5))


@pytest.mark.parametrize("seed", ["model\0", "other", "\ud800"])
def test_the_seed_separates(seed: str) -> None:
    data = b"a" * 400
    assert not set(hashes(data, seed=seed)) & set(hashes(data, seed="model"))
    assert hashes(data, seed=seed) == [int(block) for block in hash_blocks(memoryview(data), 4, seed, 999)]


def test_a_long_chain_is_one_array() -> None:
    chain = hash_blocks(b"x" * 4096, 4, "", 1024)
    assert isinstance(chain, np.ndarray)
    assert chain.dtype == np.uint64


@pytest.mark.parametrize("count", [1, LOOPED_BLOCKS, LOOPED_BLOCKS + 1, EXACT_BLOCKS, 513, 543, 544, 1_500, 4_000])
def test_a_chain_is_packed_without_what_follows_from_the_rest(count: int) -> None:
    chain = hash_blocks(bytes(range(256)) * 250, 16, "seed", count)
    content = packed(chain)
    assert len(content) == 8 * (min(count, EXACT_BLOCKS) + len(step_ends(count)))
    again = unpacked(content, count)
    assert type(again) is type(chain)
    assert list(again) == list(chain)


@pytest.mark.parametrize("kept", [0, 1, LOOPED_BLOCKS, LOOPED_BLOCKS + 1, 600])
def test_the_beginning_of_a_long_chain_is_packed_as_a_short_one_is(kept: int) -> None:
    chain = hash_blocks(bytes(range(256)) * 250, 16, "seed", 4_000)[:kept]
    again = unpacked(packed(chain), kept)
    assert [int(block) for block in again] == [int(block) for block in chain]
