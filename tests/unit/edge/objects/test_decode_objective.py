"""InferenceObjective in its three versions."""

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.domain.objective import InferenceObjective
from epp.core.yaml import load_documents
from epp.edge.objects.decode import Decoded, decode
from epp.edge.objects.decode_objective import ObjectiveObject
from tests.support.object_yaml import objective_yaml

VERSIONS = ["inference.networking.x-k8s.io/v1alpha2", "llm-d.ai/v1alpha2", "inference.networking.k8s.io/v1alpha1"]


def decoded(text: str) -> Decoded:
    (document,) = load_documents(text, "objective.yaml")
    return decode(document, "default")


def objective(text: str) -> ObjectiveObject:
    (found,) = decoded(text).objects
    assert isinstance(found, ObjectiveObject)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_reads_every_version(version: str) -> None:
    found = objective(objective_yaml("food-review", priority=10, pool="vllm", api_version=version))
    assert found.objective == InferenceObjective("default", "food-review", "vllm", 10)
    assert (found.pool_group, found.pool_kind) == ("inference.networking.k8s.io", "InferencePool")


def test_only_the_tutorials_version_gets_a_notice() -> None:
    texts = [
        [str(notice) for notice in decoded(objective_yaml("a", api_version=version)).notices] for version in VERSIONS
    ]
    assert texts[:2] == [[], []]
    assert texts[2][0].startswith("objective.yaml:1: inference.networking.k8s.io/v1alpha1 is no version of")


def test_without_a_priority_it_is_zero_and_the_group_has_a_default() -> None:
    found = objective(objective_yaml("a", group=None))
    assert (found.objective.priority, found.pool_group) == (0, "inference.networking.k8s.io")


def test_an_unknown_field_of_the_spec_is_worth_a_notice() -> None:
    text = objective_yaml("a", priority=1).replace("priority:", "priorty:") + "  poolRefs: {}\n"
    assert [str(notice) for notice in decoded(text).notices] == [
        "objective.yaml:7: spec.priorty: unknown field, passed over",
        "objective.yaml:8: spec.poolRefs: unknown field, passed over",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("priority: 5", "priority: VALUE", "7: spec.priority: "),
        ("priority: 5", "priority: 1.5", "7: spec.priority: "),
        ("priority: 5", "priority: 2147483648", "7: spec.priority: 2147483648 is not a 32-bit integer"),
        ("name: pool,", "", "6: spec.poolRef: "),
        ("name: pool,", 'name: "",', "6: spec.poolRef.name: is empty"),
        ("  name: a\n", "  name: MODEL_NAME\n", "4: metadata.name: 'MODEL_NAME' is not a name"),
    ],
)
def test_mistakes_name_line_and_field(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(objective_yaml("a", priority=5).replace(old, new))
    assert str(caught.value).startswith(f"objective.yaml:{message}")


def test_an_objective_that_is_being_deleted_is_none() -> None:
    text = objective_yaml("a").replace("  name: a\n", "  name: a\n  deletionTimestamp: 2026-01-01T00:00:00Z\n")
    assert decoded(text).objects == ()
