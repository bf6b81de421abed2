import pytest

from epp.lab.kube_api.jsonpath import BadPath, found_at

VALUE = {
    "spec": {"ports": [{"number": 1}, {"number": 2}], "a.b": "dotted", "on": True},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.ports[0].number", [1]),
        (".spec.ports[-1].number", [2]),
        (".spec.ports[7].number", []),
        (".spec.ports[*].number", [1, 2]),
        (".spec['a.b']", ["dotted"]),
        (r".spec.a\.b", ["dotted"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        ("{.spec.on}", [True]),
        ("$.spec.missing.deeper", []),
    ],
)
def test_paths(path: str, found: list[object]) -> None:
    assert found_at(VALUE, path) == found


def test_what_is_no_path() -> None:
    with pytest.raises(BadPath, match="is no step of a path"):
        found_at(VALUE, ".spec[?]")
