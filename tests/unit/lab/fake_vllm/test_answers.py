"""What the fake model says."""

import hypothesis.strategies as st
from hypothesis import given

from epp.lab.fake_vllm.answers import AnswerLimits, plan_answer
from epp.lab.fake_vllm.tokens import text_tokens, token_count

PROMPT = text_tokens("tell me")


def test_the_same_question_has_the_same_answer_and_another_seed_another() -> None:
    limits = AnswerLimits(most=1000, natural=(64, 256))
    assert plan_answer(PROMPT, seed=1, limits=limits) == plan_answer(PROMPT, seed=1, limits=limits)
    assert plan_answer(PROMPT, seed=1, limits=limits) != plan_answer(PROMPT, seed=2, limits=limits)


@given(seed=st.integers(0, 2**64 - 1), most=st.integers(1, 400), least=st.integers(0, 1), ignore_eos=st.booleans())
def test_length_and_reason_agree(seed: int, most: int, least: int, ignore_eos: bool) -> None:
    limits = AnswerLimits(most=most, natural=(64, 256), least=least, ignore_eos=ignore_eos)
    answer = plan_answer(PROMPT, seed=seed, limits=limits)
    length = token_count(answer.tokens)
    if answer.finish_reason == "length":
        assert length == most
        assert ignore_eos or most < 256
    else:
        assert 64 <= length <= min(most, 256)
    assert answer.text == answer.tokens
    assert b"".join(answer.piece(position) for position in range(length)) == answer.text


def test_at_least_min_tokens_are_made() -> None:
    answer = plan_answer(PROMPT, seed=1, limits=AnswerLimits(most=1000, natural=(64, 256), least=700))
    assert (token_count(answer.tokens), answer.finish_reason) == (700, "stop")


def test_a_stop_string_cuts_the_text_in_front_of_it() -> None:
    free = plan_answer(PROMPT, seed=1, limits=AnswerLimits(most=100, natural=(1, 1), ignore_eos=True))
    words = free.text.decode().split()
    stop = words[10]
    cut = plan_answer(
        PROMPT, seed=1, limits=AnswerLimits(most=100, natural=(1, 1), ignore_eos=True, stop=("#", stop, words[40]))
    )
    assert cut.text.decode().split() == words[: words.index(stop)]
    assert (cut.finish_reason, cut.stop_reason) == ("stop", stop)
    assert token_count(cut.tokens) == words.index(stop) + 1
    assert cut.piece(token_count(cut.tokens) - 1) == b"", "the token of the stop string shows nothing"


def test_words_need_no_escaping() -> None:
    answer = plan_answer(PROMPT, seed=3, limits=AnswerLimits(most=500, natural=(1, 1), ignore_eos=True))
    assert all(len(answer.piece(position)) == 4 for position in range(500))
    assert answer.text.decode().replace(" ", "").isalpha()
