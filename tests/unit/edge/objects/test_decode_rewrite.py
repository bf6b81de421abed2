"""InferenceModelRewrite in both groups."""

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.domain.model_rewrite import InferenceModelRewrite, RewriteRule, RewriteTarget
from epp.core.yaml import load_documents
from epp.edge.objects.decode import Decoded, decode
from epp.edge.objects.decode_rewrite import RewriteObject
from tests.support.object_yaml import rewrite_yaml, rule_yaml

VERSIONS = ["inference.networking.x-k8s.io/v1alpha2", "llm-d.ai/v1alpha2"]
RULE = rule_yaml("alias", "other", to={"v1": 90, "v2": 10})


def decoded(text: str) -> Decoded:
    (document,) = load_documents(text, "rewrite.yaml")
    return decode(document, "default")


def rewrite(text: str) -> RewriteObject:
    (found,) = decoded(text).objects
    assert isinstance(found, RewriteObject)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_reads_both_groups(version: str) -> None:
    text = rewrite_yaml("canary", RULE, rule_yaml(to="base"), api_version=version, created="2026-01-31T12:00:00Z")
    found = rewrite(text)
    assert found.rewrite == InferenceModelRewrite(
        "default",
        "canary",
        "pool",
        (
            RewriteRule(("alias", "other"), (RewriteTarget("v1", 90), RewriteTarget("v2", 10))),
            RewriteRule((), (RewriteTarget("base"),)),
        ),
        created_at=1_769_860_800.0,
    )
    assert (found.pool_group, found.pool_kind) == ("inference.networking.k8s.io", "InferencePool")
    assert (found.origin.source, found.origin.line) == ("rewrite.yaml", 1)
    assert decoded(text).notices == ()


def test_what_may_be_left_out() -> None:
    text = rewrite_yaml("a", "{matches: [{model: {value: alias}}], targets: [{modelRewrite: base}]}")
    found = rewrite(text).rewrite
    assert found.rules == (RewriteRule(("alias",), (RewriteTarget("base"),)),)
    assert found.created_at is None


def test_targets_were_called_split() -> None:
    text = rewrite_yaml("a", RULE.replace("targets:", "split:"))
    assert rewrite(text).rewrite.rules == rewrite(rewrite_yaml("a", RULE)).rewrite.rules


def test_times_are_compared_across_zones() -> None:
    utc = rewrite(rewrite_yaml("a", RULE, created="2026-01-31T12:00:00Z")).rewrite.created_at
    assert rewrite(rewrite_yaml("a", RULE, created="2026-01-31T14:00:00+02:00")).rewrite.created_at == utc


def test_an_unknown_field_is_worth_a_notice() -> None:
    text = rewrite_yaml("a", "{matches: [], target: [], targets: [{modelRewrite: b, weigth: 5}]}")
    assert [str(notice) for notice in decoded(text).notices] == [
        "rewrite.yaml:8: spec.rules[0].target: unknown field, passed over",
        "rewrite.yaml:8: spec.rules[0].targets[0].weigth: unknown field, passed over",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "type: Exact, value: alias",
            "type: Prefix, value: alias",
            "8: spec.rules[0].matches[0].model.type: 'Prefix' is not one of Exact",
        ),
        ("value: other", "value: ''", "8: spec.rules[0].matches[1].model.value: is empty"),
        ("value: other", "value: 5", "8: spec.rules[0].matches[1].model.value: expected str, got int"),
        ("model: {type: Exact, value: other}", "", "8: spec.rules[0].matches[1]: the required field 'model'"),
        ("weight: 90", "weight: 0", "8: spec.rules[0].targets[0].weight: 0 is not a weight: 1 to 1000000"),
        ("weight: 10", "weight: 1000001", "8: spec.rules[0].targets[1].weight: 1000001 is not a weight"),
        ("weight: 10", "weight: 1.5", "8: spec.rules[0].targets[1].weight: "),
        ("modelRewrite: v1", "modelRewrite: ''", "8: spec.rules[0].targets[0].modelRewrite: is empty"),
        ("modelRewrite: v1, ", "", "8: spec.rules[0].targets[0]: the required field 'modelRewrite' is missing"),
        ("targets: [", "targets: [], x: [", "8: spec.rules[0]: the rule has no targets"),
        ("targets: [", "split: [{modelRewrite: a}], targets: [", "8: spec.rules[0].split: is the old name of targets"),
        ("rules:", "rulez:", "5: spec: the required field 'rules' is missing"),
        ("name: pool", "name: ''", "6: spec.poolRef.name: is empty"),
        ("  name: a\n", "  name: A_B\n", "4: metadata.name: 'A_B' is not a name"),
        (
            "  name: a\n",
            "  name: a\n  creationTimestamp: yesterday\n",
            "5: metadata.creationTimestamp: 'yesterday' is ",
        ),
        ("  name: a\n", "  name: a\n  creationTimestamp: 2026-01-31T12:00:00\n", "5: metadata.creationTimestamp: "),
    ],
)
def test_mistakes_name_line_and_field(old: str, new: str, message: str) -> None:
    text = rewrite_yaml("a", RULE)
    assert text.count(old) == 1
    with pytest.raises(InvalidInput) as caught:
        decoded(text.replace(old, new))
    assert str(caught.value).startswith(f"rewrite.yaml:{message}")


def test_a_rewrite_that_is_being_deleted_is_none() -> None:
    text = rewrite_yaml("a", RULE).replace("  name: a\n", "  name: a\n  deletionTimestamp: 2026-01-01T00:00:00Z\n")
    assert decoded(text).objects == ()


def test_a_wrong_version_is_a_mistake() -> None:
    with pytest.raises(InvalidInput, match=r"InferenceModelRewrite has no version 'llm-d\.ai/v1'"):
        decoded(rewrite_yaml("a", RULE, api_version="llm-d.ai/v1"))
