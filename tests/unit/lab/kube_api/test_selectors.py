import pytest

from epp.lab.kube_api.selectors import field_condition, label_condition, match_labels
from epp.lab.kube_api.status import ApiError


def labelled(**labels: str) -> dict[str, object]:
    return {"metadata": {"name": "x", "namespace": "ns", "labels": labels}, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("selector", "fits", "does_not"),
    [
        ("a=b", {"a": "b"}, {"a": "c"}),
        ("a==b", {"a": "b"}, {}),
        ("a!=b", {}, {"a": "b"}),
        ("a in (b, c)", {"a": "c"}, {"a": "d"}),
        ("a notin (b,c)", {}, {"a": "b"}),
        ("a", {"a": ""}, {"b": ""}),
        ("!a", {"b": ""}, {"a": ""}),
        ("a>3", {"a": "10"}, {"a": "3"}),
        ("a<3", {"a": "-1"}, {"a": "x"}),
        ("a in (b,c),d=e,!f", {"a": "b", "d": "e"}, {"a": "b", "d": "e", "f": ""}),
        ("example.com/role=x", {"example.com/role": "x"}, {}),
        ("", {}, None),
    ],
)
def test_label_selectors(selector: str, fits: dict[str, str], does_not: dict[str, str] | None) -> None:
    condition = label_condition(selector)
    assert condition(labelled(**fits))
    assert does_not is None or not condition(labelled(**does_not))


@pytest.mark.parametrize("selector", ["a=b c", "a in b", "a>x", "=b", "a=(b)", "-a=b", f"a={'x' * 64}", "a,,b"])
def test_what_is_no_label_selector(selector: str) -> None:
    with pytest.raises(ApiError, match="unable to parse requirement") as refused:
        label_condition(selector)
    assert refused.value.code == 400


def test_field_selectors() -> None:
    value = labelled()
    assert field_condition("metadata.name=x,status.phase!=Failed", "/pods")(value)
    assert not field_condition("metadata.namespace=other", "/pods")(value)
    assert field_condition("spec.nodeName=", "/pods")(value)
    with pytest.raises(ApiError, match=r"field label not supported: spec\.colour"):
        field_condition("spec.colour=red", "lab/widgets")
    assert field_condition("spec.colour=", "lab/widgets", ("spec.colour",))(value)


def test_selectors_inside_of_objects() -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "DoesNotExist"}]}
    assert match_labels(selector)(labelled(a="b"))
    assert not match_labels(selector)(labelled(a="b", c=""))
    with pytest.raises(ApiError, match="not a valid label selector operator"):
        match_labels({"matchExpressions": [{"key": "c", "operator": "Like"}]})
