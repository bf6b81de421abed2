"""Coefficients from samples of each kind, and output lengths by model."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.scheduling.cost import coefficients
from epp.core.scheduling.cost.coefficients import CoefficientLearner, OutputLengths

STEP_S = 0.01
KV_S = 1e-7
OVERHEAD_S = 0.02


def learner(*, learns: bool = True) -> CoefficientLearner:
    return CoefficientLearner(step_s=STEP_S, kv_s=KV_S, learns=learns)


def teach_first_tokens(student: CoefficientLearner, scale: float, count: int = 300) -> None:
    """The truth is `scale` times what was booked."""
    rng = Random(1)
    for _ in range(count):
        own_s, ahead_s = rng.uniform(0.01, 0.5), rng.choice([0.0, 0.0, 0.2])
        taken_s = OVERHEAD_S + 1.5 * STEP_S + scale * (own_s + ahead_s)
        student.first_token(taken_s, own_s=own_s, ahead_s=ahead_s, step_s=STEP_S, now=1.0)


def teach_answers(student: CoefficientLearner, step_s: float, kv_s: float, count: int = 300) -> None:
    rng = Random(2)
    for _ in range(count):
        context, tokens, prefill_s = rng.uniform(0.0, 300_000.0), rng.randint(5, 500), rng.uniform(0.0, 1.0)
        seconds = tokens * (step_s + kv_s * context) + prefill_s
        student.answer(seconds, tokens=tokens, prefill_s=prefill_s, context_tokens=context, weight=1.0, now=1.0)


def test_without_samples_the_parameters_hold() -> None:
    found = learner().coefficients
    assert (found.prefill_scale, found.step_s, found.kv_s) == (1.0, STEP_S, KV_S)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 4.0])
def test_first_tokens_tell_the_scale_of_prefill(scale: float) -> None:
    student = learner()
    teach_first_tokens(student, scale)
    assert student.coefficients.prefill_scale == pytest.approx(scale, rel=0.15)
    assert student.first_token_s(0.5, STEP_S) == pytest.approx(OVERHEAD_S + 1.5 * STEP_S + 0.5 * scale, rel=0.1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_answers_tell_step_and_context(factor: float) -> None:
    student = learner()
    teach_answers(student, factor * STEP_S, factor * KV_S)
    assert student.coefficients.step_s == pytest.approx(factor * STEP_S, rel=0.15)
    assert student.coefficients.kv_s == pytest.approx(factor * KV_S, rel=0.15)


def test_very_short_answers_say_nothing_of_a_step() -> None:
    student = learner()
    for _ in range(100):
        student.answer(60.0, tokens=3, prefill_s=0.0, context_tokens=0.0, weight=1.0, now=1.0)
    assert student.coefficients.step_s == STEP_S


def test_the_engine_tells_the_same_more_roughly() -> None:
    student, rng = learner(), Random(3)
    for _ in range(300):
        booked_s, context = rng.uniform(0.01, 0.5), rng.uniform(0.0, 300_000.0)
        student.engine_prefill(1.5 * STEP_S + 2.0 * booked_s, booked_s)
        share = rng.uniform(0.0, 0.5)
        student.engine_step(2.0 * (STEP_S + KV_S * context) / (1.0 - share), share, context)
    assert student.coefficients.prefill_scale == pytest.approx(2.0, rel=0.2)
    assert student.coefficients.step_s == pytest.approx(2.0 * STEP_S, rel=0.2)
    assert student.coefficients.kv_s == pytest.approx(2.0 * KV_S, rel=0.2)


def test_learning_can_be_off() -> None:
    student = learner(learns=False)
    teach_first_tokens(student, 3.0)
    teach_answers(student, 0.1, 1e-6)
    student.engine_prefill(100.0, 0.1)
    student.engine_step(100.0, 0.0, 0.0)
    assert student.coefficients == learner().coefficients


@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats(), st.integers(-5, 10**9)), max_size=40))
def test_absurd_samples_leave_coefficients_within_their_bounds(
    samples: list[tuple[float, float, float, int]],
) -> None:
    student = learner()
    for first, second, third, tokens in samples:
        student.first_token(first, own_s=second, ahead_s=third, step_s=STEP_S, now=0.0)
        student.answer(first, tokens=tokens, prefill_s=second, context_tokens=third, weight=1.0, now=0.0)
        student.engine_prefill(first, second)
        student.engine_step(first, second, third)
    found = student.coefficients
    assert 0.1 <= found.prefill_scale <= 10.0
    assert 0.1 * STEP_S <= found.step_s <= 10.0 * STEP_S
    assert 0.1 * KV_S <= found.kv_s <= 10.0 * KV_S * 1.0001


def test_output_lengths_are_learned_by_model() -> None:
    lengths = OutputLengths(300.0, learns=True)
    for _ in range(200):
        lengths.learn("chat", 100.0)
        lengths.learn("essay", 1000.0)
    assert lengths.expected("chat") == pytest.approx(100.0, rel=0.05)
    assert lengths.expected("essay") == pytest.approx(1000.0, rel=0.05)
    assert 200.0 < lengths.expected("another") < 900.0


@pytest.mark.parametrize("tokens", [math.nan, math.inf, -1.0, 0.0, 1e12])
def test_lengths_that_cannot_be_are_passed_over(tokens: float) -> None:
    lengths = OutputLengths(300.0, learns=True)
    lengths.learn("m", tokens)
    lengths.learn_mean(tokens)
    assert lengths.expected("m") == 300.0


def test_one_very_long_answer_counts_as_a_long_one() -> None:
    lengths = OutputLengths(100.0, learns=True)
    lengths.learn("m", 1e6)
    assert lengths.expected("m") <= 250.0


def test_models_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coefficients, "MOST_MODELS", 2)
    lengths = OutputLengths(100.0, learns=True)
    for model in ("a", "b", "c"):
        lengths.learn(model, 10.0)
    assert lengths.expected("a") == lengths.of_all


def test_lengths_that_are_not_learned_stay() -> None:
    lengths = OutputLengths(100.0, learns=False)
    lengths.learn("m", 10.0)
    lengths.learn_mean(10.0)
    assert lengths.expected("m") == 100.0
