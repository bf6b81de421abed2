"""The CRDs: an API server would take them, and their rules say what the reference's say."""

import copy
import re
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml

from epp.core.domain.pool import POOL_GROUP
from epp.core.yaml import load_documents
from epp.edge.objects.decode import decode
from epp.edge.objects.decode_pool import ALPHA_POOL_GROUP
from manifests.crds.bundle import bundled, rendered
from tests.support.crd_schema import (
    CRDS,
    crd_files,
    defaulted,
    nodes,
    not_structural,
    object_errors,
    schemas,
)
from tests.support.kubernetes_schema import NEWEST, OLDEST, builtin_errors

CONTENTS = {path.name: yaml.safe_load(path.read_text()) for path in crd_files()}
CRD_NAMES = sorted(CONTENTS)
SHORT_NAMES = {
    ("InferencePool", "v1"): ["infpool"],
    ("InferencePool", "v1alpha2"): ["xinfpool"],
    ("InferencePoolImport", "v1alpha1"): ["infpimp"],
}
REFERENCE_FILES = {
    "inference.networking.k8s.io_inferencepools.yaml",
    "inference.networking.x-k8s.io_inferencemodelrewrites.yaml",
    "inference.networking.x-k8s.io_inferenceobjectives.yaml",
    "inference.networking.x-k8s.io_inferencepoolimports.yaml",
    "llm-d.ai_inferencemodelrewrites.yaml",
    "llm-d.ai_inferenceobjectives.yaml",
}


def inference_object(kind: str, api_version: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, "spec": spec}


def pool(**changes: Any) -> dict[str, Any]:
    spec = {
        "selector": {"matchLabels": {"app": "vllm"}},
        "targetPorts": [{"number": 8000}],
        "endpointPickerRef": {"name": "epp", "kind": "Service", "port": {"number": 9002}},
    }
    return inference_object("InferencePool", f"{POOL_GROUP}/v1", spec | changes)


def objective(group: str = ALPHA_POOL_GROUP, **spec: Any) -> dict[str, Any]:
    return inference_object("InferenceObjective", f"{group}/v1alpha2", {"poolRef": {"name": "pool"}} | spec)


def rewrite(*rules: dict[str, Any]) -> dict[str, Any]:
    spec = {"poolRef": {"name": "pool"}, "rules": list(rules)}
    return inference_object("InferenceModelRewrite", f"{ALPHA_POOL_GROUP}/v1alpha2", spec)


@pytest.mark.parametrize("name", CRD_NAMES)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_server_version_takes_the_definition(name: str, version: str) -> None:
    assert builtin_errors(CONTENTS[name], version) == []


@pytest.mark.parametrize("name", CRD_NAMES)
def test_a_definition_is_named_as_its_file_and_its_parts(name: str) -> None:
    content = CONTENTS[name]
    spec = content["spec"]
    names = spec["names"]
    assert name == f"{spec['group']}_{names['plural']}.yaml"
    assert content["metadata"]["name"] == f"{names['plural']}.{spec['group']}"
    assert names["listKind"] == f"{names['kind']}List"
    assert names["singular"] == names["kind"].lower()
    assert spec["scope"] == "Namespaced"
    (version,) = spec["versions"]
    assert version["served"]
    assert version["storage"]
    assert version["subresources"] == {"status": {}}
    assert names.get("shortNames", []) == SHORT_NAMES.get((names["kind"], version["name"]), [])


@pytest.mark.parametrize("name", CRD_NAMES)
def test_schemas_are_structural(name: str) -> None:
    (version,) = CONTENTS[name]["spec"]["versions"]
    assert not_structural(version["schema"]["openAPIV3Schema"]) == []


def test_what_is_not_structural_would_be_noticed() -> None:
    text = {"type": "string"}
    wrong: list[dict[str, Any]] = [
        {"properties": {"a": text}},
        {"type": "object", "properties": {"a": {"description": "no type"}}},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "patternProperties": {".*": text}},
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "integer", "default": "one"}}},
        {"type": "object", "required": ["b"], "properties": {"a": text}},
        {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["a"],
            "items": {"type": "object", "properties": {"a": text}},
        },
    ]
    assert [schema for schema in wrong if not not_structural(schema)] == []


@pytest.mark.parametrize("name", CRD_NAMES)
def test_every_field_says_what_it_is(name: str) -> None:
    (version,) = CONTENTS[name]["spec"]["versions"]
    silent = [path for path, node in nodes(version["schema"]["openAPIV3Schema"]) if not node.get("description")]
    assert silent == [".metadata"]


@pytest.mark.parametrize("name", CRD_NAMES)
def test_protected_groups_are_approved_and_files_say_which_release_they_follow(name: str) -> None:
    group, annotations = CONTENTS[name]["spec"]["group"], CONTENTS[name]["metadata"]["annotations"]
    (bundle,) = [text for key, text in annotations.items() if key.endswith("/bundle-version")]
    assert re.fullmatch(r"v\d+\.\d+\.\d+", bundle)
    approved = annotations.get("api-approved.kubernetes.io", "")
    assert approved.startswith("https://") == group.endswith((".k8s.io", ".kubernetes.io"))


def test_conditions_and_pool_references_are_the_same_everywhere() -> None:
    for field, ignored in ((".conditions", {"default", "description"}), (".poolRef", {"description"})):
        found = [
            {key: value for key, value in node.items() if key not in ignored}
            for schema in schemas().values()
            for path, node in nodes(schema)
            if path.endswith(field)
        ]
        assert len(found) >= 4
        assert all(each == found[0] for each in found), field


@pytest.mark.parametrize("rule", ["self.kind == ", "self.all(a, b"])
def test_a_rule_that_is_no_expression_would_be_noticed(rule: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)parse"):
        cel.compile(rule)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"appProtocol": "kubernetes.io/h2c"}, ""),
        ({"endpointPickerRef": {"name": "epp"}}, "port is required when kind is 'Service' or unspecified"),
        ({"endpointPickerRef": {"name": "epp", "kind": "Service"}}, "port is required when kind is 'Service'"),
        ({"targetPorts": [{"number": 8000}, {"number": 80}, {"number": 8081}, {"number": 443}]}, ""),
        ({"targetPorts": [{"number": 8000}, {"number": 80}, {"number": 8000}]}, "port number must be unique"),
        ({"endpointPickerRef": {"name": "epp", "kind": "Other"}}, ""),
    ],
)
def test_rules_of_a_pool_as_in_the_reference(changes: dict[str, Any], message: str) -> None:
    found = object_errors(pool(**changes))
    assert len(found) == (1 if message else 0)
    assert message in "".join(found)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (pool(selector={"matchLabels": {}}), "$.spec.selector.matchLabels"),
        (pool(selector={"matchLabels": {"app": "-vllm"}}), "$.spec.selector.matchLabels.app"),
        (pool(selector={"matchLabels": {f"l{number}": "x" for number in range(65)}}), "$.spec.selector.matchLabels"),
        (pool(targetPorts=[]), "$.spec.targetPorts"),
        (pool(targetPorts=[{"number": 8000 + number} for number in range(9)]), "$.spec.targetPorts"),
        (pool(targetPorts=[{"number": 65536}]), "$.spec.targetPorts[0].number"),
        (pool(targetPorts=[{"number": 8000, "name": "http"}]), "$.spec.targetPorts[0]"),
        (pool(appProtocol="grpc"), "$.spec.appProtocol"),
        (pool(endpointPickerRef={"port": {"number": 9002}}), "$.spec.endpointPickerRef"),
        (
            pool(endpointPickerRef={"name": "epp", "port": {"number": 9002}, "failureMode": "Closed"}),
            "$.spec.endpointPickerRef.failureMode",
        ),
        (objective(poolRef={}), "$.spec.poolRef"),
        (objective(priority="high"), "$.spec.priority"),
        (objective(priority=2**31), "$.spec.priority"),
        (objective(criticality="Critical"), "$.spec"),
        (rewrite({"targets": []}), "$.spec.rules[0].targets"),
        (rewrite({"targets": [{"modelRewrite": "a", "weight": 0}]}), "$.spec.rules[0].targets[0].weight"),
        (rewrite({"targets": [{"modelRewrite": "a", "weight": 1_000_001}]}), "$.spec.rules[0].targets[0].weight"),
        (
            rewrite({"matches": [{"model": {"value": ""}}], "targets": [{"modelRewrite": "a"}]}),
            "$.spec.rules[0].matches[0].model.value",
        ),
        (
            rewrite({"matches": [{"model": {"type": "Prefix", "value": "a"}}], "targets": [{"modelRewrite": "a"}]}),
            "$.spec.rules[0].matches[0].model.type",
        ),
    ],
)
def test_what_is_against_the_tables_is_refused_at_its_field_and_by_the_picker_too(
    value: dict[str, Any], field: str
) -> None:
    found = object_errors(value)
    assert found
    assert {each.partition(":")[0] for each in found} == {field}
    assert refused_or_noticed_by_the_picker(value)


def refused_or_noticed_by_the_picker(value: dict[str, Any]) -> bool:
    """Unknown fields are a notice there: the picker never refuses what a newer CRD may have."""
    (document,) = load_documents(yaml.safe_dump(value).encode(), "object.yaml")
    try:
        return bool(decode(document, "default").notices)
    except Exception as error:  # noqa: BLE001  any other error than the expected one fails the test
        return type(error).__name__ == "InvalidInput"


def test_defaults_of_the_tables() -> None:
    def filled(value: dict[str, Any]) -> Any:
        return defaulted(schemas()[(value["apiVersion"], value["kind"])], value)

    pool_spec = filled(pool(endpointPickerRef={"name": "epp"}))["spec"]
    assert pool_spec["appProtocol"] == "http"
    expected = {"name": "epp", "group": "", "kind": "Service", "failureMode": "FailClose"}
    assert pool_spec["endpointPickerRef"] == expected

    for group in (ALPHA_POOL_GROUP, "llm-d.ai"):
        spec = filled(objective(group))["spec"]
        assert spec == {"poolRef": {"group": POOL_GROUP, "kind": "InferencePool", "name": "pool"}}

    rules = filled(rewrite({"matches": [{"model": {"value": "a"}}], "targets": [{"modelRewrite": "b"}]}))["spec"][
        "rules"
    ]
    assert rules[0]["matches"][0]["model"]["type"] == "Exact"

    waiting = filled(objective() | {"status": {}})["status"]["conditions"]
    assert [(each["type"], each["status"], each["reason"]) for each in waiting] == [("Accepted", "Unknown", "Pending")]
    parent = filled(pool() | {"status": {"parents": [{"parentRef": {"name": "gateway"}}]}})["status"]["parents"][0]
    assert parent["parentRef"] == {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}


def test_the_old_name_of_targets_is_refused_instead_of_dropped() -> None:
    """The picker reads it, from files; a server would drop the field and keep a rule that leads nowhere."""
    assert object_errors(rewrite({"split": [{"modelRewrite": "a"}]}))


def test_an_import_has_a_status_and_no_spec() -> None:
    value = copy.deepcopy(pool())
    value |= {"apiVersion": f"{ALPHA_POOL_GROUP}/v1alpha1", "kind": "InferencePoolImport"}
    assert object_errors(value)
    del value["spec"]
    assert object_errors(value) == []
    controller = {"name": "example.net/importer", "exportingClusters": [{"name": "gke-west"}]}
    assert object_errors(value | {"status": {"controllers": [controller]}}) == []
    assert object_errors(value | {"status": {"controllers": [{"name": "importer"}]}})


def test_the_columns_of_kubectl_get() -> None:
    def columns(plural: str, group: str) -> list[str]:
        (version,) = CONTENTS[f"{group}_{plural}.yaml"]["spec"]["versions"]
        return [each["name"] for each in version["additionalPrinterColumns"]]

    for group in (ALPHA_POOL_GROUP, "llm-d.ai"):
        assert columns("inferenceobjectives", group) == ["Inference Pool", "Priority", "Age"]
        assert columns("inferencemodelrewrites", group) == ["Inference Pool", "Age"]


def test_generated_files_are_up_to_date() -> None:
    """Otherwise: python -m manifests.crds.bundle --write"""
    for name, text in rendered().items():
        assert (CRDS / name).read_text() == text, name


def test_the_bundle_holds_every_definition_of_the_reference_and_no_other_file_is_missing() -> None:
    documents = list(yaml.safe_load_all((CRDS / "manifests.yaml").read_text()))
    assert documents == [CONTENTS[path.name] for path in bundled()]
    assert CONTENTS.keys() >= REFERENCE_FILES
    assert {name for name in CONTENTS if name.startswith("llm-d.ai")} == set(rendered()) - {"manifests.yaml"}
    readme = (CRDS / "README.md").read_text()
    assert [path.name for path in Path(CRDS).iterdir() if path.is_file() and f"`{path.name}`" not in readme] == [
        "README.md"
    ]
