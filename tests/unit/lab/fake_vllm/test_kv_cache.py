"""The block pool by itself."""

from epp.lab.fake_vllm.kv_cache import BlockPool


def test_taking_more_than_is_free_takes_nothing() -> None:
    pool = BlockPool(4)
    assert pool.take(3) == [0, 1, 2]
    assert pool.take(2) is None
    assert pool.free_blocks == 1
    assert pool.usage == 0.75


def test_a_released_block_is_hit_until_it_is_needed_for_something_else() -> None:
    pool = BlockPool(2)
    blocks = pool.take(2)
    assert blocks is not None
    for block, block_hash in zip(blocks, (11, 22), strict=True):
        pool.register(block, block_hash)
    pool.release(blocks)
    assert pool.match([11, 22, 33]) == blocks
    assert pool.free_blocks == 2

    pool.take(1)

    assert pool.match([11, 22]) == blocks[:1], "the tail of the prefix went first"


def test_a_match_ends_at_the_first_gap() -> None:
    pool = BlockPool(3)
    for block_hash in (1, 3):
        taken = pool.take(1)
        assert taken is not None
        pool.register(taken[0], block_hash)
    assert pool.match([1, 2, 3]) == [0]


def test_shared_blocks_are_freed_by_their_last_user() -> None:
    pool = BlockPool(3)
    first = pool.take(2)
    assert first is not None
    pool.register(first[0], 1)
    second = pool.take(1, shared=pool.match([1]))
    assert second == [0, 2]

    pool.release(first)
    assert pool.free_blocks == 1, "block 0 is still in use"
    pool.release(second)
    assert pool.free_blocks == 3


def test_reviving_cached_blocks_counts_against_the_free_ones() -> None:
    pool = BlockPool(2)
    blocks = pool.take(2)
    assert blocks is not None
    pool.register(blocks[0], 1)
    pool.release(blocks)

    assert pool.take(2, shared=pool.match([1])) is None
    assert pool.take(1, shared=pool.match([1])) == [0, 1]


def test_equal_contents_computed_twice_are_cached_once() -> None:
    pool = BlockPool(2)
    blocks = pool.take(2)
    assert blocks is not None
    for block in blocks:
        pool.register(block, 1)
    assert pool.cached_blocks == 1
    assert pool.match([1]) == [blocks[0]]
