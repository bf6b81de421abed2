"""Token counting and block hashes."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from epp.lab.fake_vllm.tokens import block_hashes, chat_tokens, id_tokens, root_hash, text_tokens, token_count


@given(st.text())
def test_a_text_has_a_token_per_four_bytes(text: str) -> None:
    assert token_count(text_tokens(text)) == -(-len(text.encode()) // 4)


def test_lone_surrogates_are_counted_not_refused() -> None:
    assert token_count(text_tokens("\ud800")) == 1


def test_ids_count_exactly() -> None:
    assert token_count(id_tokens([5, 128_000, 2**32 - 1])) == 3


@pytest.mark.parametrize("token", [-1, 2**32])
def test_impossible_ids_are_refused(token: int) -> None:
    with pytest.raises(OverflowError):
        id_tokens([token])


def test_an_answer_that_comes_back_as_a_turn_keeps_its_tokens() -> None:
    question = [("user", "what now?")]
    answer = "the sun set "
    asked = chat_tokens(question)
    asked_again = chat_tokens([*question, ("assistant", answer), ("user", "and then?")])
    assert asked_again.startswith(asked + text_tokens(answer))


@given(st.binary(max_size=400).map(lambda raw: raw[: len(raw) // 4 * 4]), st.integers(1, 8))
def test_hashes_can_be_computed_piece_by_piece(tokens: bytes, block_size: int) -> None:
    whole = block_hashes(tokens, block_size, 7)
    assert len(whole) == token_count(tokens) // block_size
    for done in range(len(whole)):
        parent = whole[done - 1] if done else 7
        assert block_hashes(tokens, block_size, parent, first_block=done) == whole[done:]


def test_a_hash_depends_on_everything_before_it() -> None:
    one, two = id_tokens([1, 2, 3, 4]), id_tokens([9, 2, 3, 4])
    root = root_hash(0, "")
    assert block_hashes(one, 2, root)[1] != block_hashes(two, 2, root)[1]
    assert len({root, root_hash(1, ""), root_hash(0, "salt"), root_hash(1, "salt")}) == 4
