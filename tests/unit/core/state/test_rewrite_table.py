"""Which rule rewrites which model."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.state.rewrite_table import NO_REWRITES, RewriteTable


def rule(*models: str, to: str) -> RewriteRule:
    return RewriteRule(models, (RewriteTarget(to),))


def rewrite(name: str, *rules: RewriteRule, created_at: float | None = None) -> InferenceModelRewrite:
    return InferenceModelRewrite("default", name, "pool", rules, created_at)


def target(table: RewriteTable, model: str) -> str:
    found = table.find(model)
    return found.choose(Random(1)) if found else ""


def test_nothing_is_rewritten_without_rules() -> None:
    assert NO_REWRITES.find("m") is None
    assert RewriteTable.of([rewrite("empty")]).find("") is None


def test_a_rule_counts_for_each_of_its_models_and_for_no_other() -> None:
    table = RewriteTable.of([rewrite("a", rule("x", "y", to="z"))])
    assert [target(table, model) for model in ("x", "y", "z", "X", "")] == ["z", "z", "", "", ""]


def test_exact_beats_generic_even_of_an_older_object() -> None:
    table = RewriteTable.of(
        [rewrite("generic", rule(to="fallback"), created_at=1.0), rewrite("exact", rule("x", to="y"), created_at=2.0)]
    )
    assert (target(table, "x"), target(table, "other"), target(table, "")) == ("y", "fallback", "fallback")


def test_the_oldest_object_counts_then_one_without_a_time_and_among_equals_the_name_decides() -> None:
    objects = [
        rewrite("a", rule("x", to="no time")),
        rewrite("b", rule("x", to="no time, later name"), rule("y", to="b")),
        rewrite("c", rule("x", to="young"), created_at=9.0),
        rewrite("d", rule("x", to="old"), created_at=5.0),
        rewrite("e", rule("x", to="as old"), created_at=5.0),
    ]
    for left in range(len(objects)):
        table = RewriteTable.of(reversed(objects[: left + 1]))
        assert target(table, "x") == ["no time", "no time", "young", "old", "old"][left]
    assert target(table, "y") == "b", "an object may lose one model and keep another"


def test_the_first_rule_of_an_object_counts() -> None:
    table = RewriteTable.of([rewrite("a", rule("x", to="1"), rule("x", to="2"), rule(to="3"), rule(to="4"))])
    assert (target(table, "x"), target(table, "other")) == ("1", "3")


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((None, None, None), (1 / 3, 1 / 3, 1 / 3)),
        ((1, 2, 7), (0.1, 0.2, 0.7)),
        ((None, 1, 3), (0.0, 0.25, 0.75)),
        ((None, None, 1_000_000), (0.0, 0.0, 1.0)),
    ],
    ids=["uniform", "by weight", "one without", "only one with"],
)
def test_targets_are_chosen_by_weight(weights: tuple[int | None, ...], shares: tuple[float, ...]) -> None:
    targets = tuple(RewriteTarget(f"t{number}", weight) for number, weight in enumerate(weights))
    found = RewriteTable.of([rewrite("a", RewriteRule(("x",), targets))]).find("x")
    assert found is not None
    rng = Random(7)
    chosen = Counter(found.choose(rng) for _ in range(10_000))
    for number, share in enumerate(shares):
        assert chosen[f"t{number}"] / 10_000 == pytest.approx(share, abs=0.02)
        assert (chosen[f"t{number}"] > 0) == (share > 0)


def test_the_same_randomness_makes_the_same_choices() -> None:
    targets = (RewriteTarget("a", 1), RewriteTarget("b", 1))
    found = RewriteTable.of([rewrite("r", RewriteRule((), targets))]).find("m")
    assert found is not None
    first, second = ([found.choose(rng) for _ in range(50)] for rng in (Random(3), Random(3)))
    assert first == second


names = st.sampled_from("xyz")
rules = st.builds(lambda models, to: RewriteRule(tuple(models), (RewriteTarget(to),)), st.sets(names), names)
rewrites = st.lists(
    st.builds(
        lambda name, listed, created_at: rewrite(name, *listed, created_at=created_at),
        st.sampled_from("abcdef"),
        st.lists(rules, max_size=3),
        st.none() | st.sampled_from([1.0, 2.0]),
    ),
    max_size=5,
    unique_by=lambda found: found.name,
)


@given(rewrites, st.randoms())
def test_the_order_of_files_never_counts(objects: list[InferenceModelRewrite], random: Random) -> None:
    shuffled = list(objects)
    random.shuffle(shuffled)
    assert RewriteTable.of(shuffled) == RewriteTable.of(objects)


def test_ten_thousand_models() -> None:
    table = RewriteTable.of([rewrite("a", *(rule(f"m{number}", to=f"t{number % 5}") for number in range(10_000)))])
    assert target(table, "m9999") == "t4"
    assert table.find("m10000") is None
