"""Rewrites that contradict one another, and rules that never count."""

import msgspec

from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.edge.objects.decode_rewrite import RewriteObject
from epp.edge.objects.manifest import Origin
from epp.edge.objects.rewrite_oddities import MOST_NOTICES, rewrite_oddities


def rule(*models: str, weights: tuple[int | None, ...] = (None,)) -> RewriteRule:
    return RewriteRule(models, tuple(RewriteTarget(f"t{number}", weight) for number, weight in enumerate(weights)))


def found(name: str, *rules: RewriteRule, created_at: float | None = None) -> RewriteObject:
    rewrite = InferenceModelRewrite("default", name, "pool", rules, created_at)
    return RewriteObject(rewrite, "inference.networking.k8s.io", "InferencePool", Origin(f"{name}.yaml", 3))


def said(*rewrites: RewriteObject) -> list[str]:
    return [str(notice) for notice in rewrite_oddities(rewrites)]


def test_rules_for_different_models_are_fine() -> None:
    assert said(found("a", rule("x"), rule("y", "z"), rule()), found("b", rule("other"))) == []


def test_a_model_in_two_objects_is_told_with_both_files() -> None:
    (notice,) = said(found("a", rule("x", "y"), created_at=1.0), found("b", rule("y"), rule("z"), created_at=2.0))
    assert notice == (
        "b.yaml:3: InferenceModelRewrite default/b: default/a at a.yaml:3 rewrites 'y' too; it is older and counts"
    )


def test_of_equally_old_ones_the_name_decides() -> None:
    (notice,) = said(found("a", rule("x")), found("b", rule("x")))
    assert notice.endswith("rewrites 'x' too; it has the first name of equally old ones and counts")


def test_two_generic_rules() -> None:
    (notice,) = said(found("a", rule()), found("b", rule()))
    assert "default/a at a.yaml:3 rewrites every model (no matches) too" in notice


def test_a_later_rule_of_the_same_object() -> None:
    (notice,) = said(found("a", rule("x"), rule("y", "x"), rule(), rule()))
    assert notice == (
        "a.yaml:3: InferenceModelRewrite default/a: an earlier rule of the same object decides about 'x', every model "
        "(no matches); the later one never counts"
    )
    assert said(found("a", rule("x", "x"))) == []


def test_targets_without_a_weight_beside_others_and_objects_without_rules() -> None:
    of_weights, of_rules = said(found("a", rule("x", weights=(5, None, None))), found("b"))
    assert of_weights.endswith("rules[0]: 't1', 't2' without a weight beside targets with one gets no request")
    assert of_rules == "b.yaml:3: InferenceModelRewrite default/b: it has no rules and rewrites nothing"


def test_ten_thousand_contradictions_between_two_objects_are_one_notice() -> None:
    everything = rule(*(f"m{number}" for number in range(10_000)))
    (notice,) = said(found("a", everything), found("b", msgspec.structs.replace(everything)))
    assert "rewrites 'm0', 'm1', 'm2' and 9997 more too" in notice


def test_ten_thousand_objects_that_contradict_one_another_are_told_of_a_hundred_times() -> None:
    notices = said(*(found(f"r{number:05}", rule("x")) for number in range(10_000)))
    assert len(notices) == MOST_NOTICES + 1
    assert "further oddities" in notices[-1]
