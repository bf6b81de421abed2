"""Documents: Lists, kinds that are not ours, things that are no objects."""

import pytest

from epp.core.domain.errors import InvalidInput
from epp.core.yaml import load_documents
from epp.edge.objects.decode import Decoded, decode
from epp.edge.objects.decode_pod import PodObject
from tests.support.object_yaml import pod_yaml


def decoded(text: str) -> Decoded:
    (document,) = load_documents(text, "x.yaml")
    return decode(document, "team")


def as_list(*texts: str) -> str:
    items = ["- " + text.rstrip().replace("\n", "\n  ") for text in texts]
    return "apiVersion: v1\nkind: List\nitems:\n" + "\n".join(items) + "\n"


def test_a_list_is_its_items_with_their_lines() -> None:
    found = decoded(as_list(pod_yaml("a", "10.0.0.1"), pod_yaml("b", "10.0.0.2"))).objects
    assert [(pod.name, pod.namespace, pod.origin.line) for pod in found if isinstance(pod, PodObject)] == [
        ("a", "team", 4),
        ("b", "team", 13),
    ]


def test_a_mistake_within_a_list_is_found() -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(as_list(pod_yaml("a", "10.0.0.1"), pod_yaml("b", "nowhere")))
    assert str(caught.value) == "x.yaml:19: items[1].status.podIP: 'nowhere' is not an IP address"


def test_an_empty_list_is_fine() -> None:
    assert decoded("apiVersion: v1\nkind: List\n") == Decoded(())
    assert decoded("apiVersion: v1\nkind: List\nitems: null\n") == Decoded(())


@pytest.mark.parametrize(
    ("kind", "api_version"),
    [
        ("Service", "v1"),
        ("InferenceModel", "inference.networking.x-k8s.io/v1alpha2"),
        ("InferencePool", "example.com/v1"),
        ("Pod", "example.com/v1"),
    ],
)
def test_kinds_without_a_use_are_passed_over_with_a_notice(kind: str, api_version: str) -> None:
    found = decoded(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n")
    assert found.objects == ()
    assert [str(notice) for notice in found.notices] == [
        f"x.yaml:2: objects of kind {kind} ({api_version}) are not used here and are passed over"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "1: not a Kubernetes object"),
        ("just text\n", "1: not a Kubernetes object"),
        ("a: b\n", "1: apiVersion is missing"),
        ("kind: Pod\n", "1: apiVersion is missing"),
        ("apiVersion: v1\nkind: 5\n", "2: kind: kind is missing or no text"),
        ("apiVersion: v1\nkind: List\nitems: {}\n", "3: items: expected a list"),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", "3: items[0]: not a Kubernetes object"),
        ("apiVersion: v1\nkind: Pod\n", "1: "),
        ("apiVersion: v2\nkind: Pod\n", "1: apiVersion: Pod has no version 'v2'; use v1"),
        (
            "apiVersion: inference.networking.k8s.io/v1\nkind: InferenceObjective\n",
            "1: apiVersion: InferenceObjective has no version 'inference.networking.k8s.io/v1'; use",
        ),
    ],
)
def test_what_is_no_object_is_a_mistake(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(text)
    assert str(caught.value).startswith(f"x.yaml:{message}")
