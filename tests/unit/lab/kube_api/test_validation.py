"""Custom resources by their schemas: pruning, defaults, values, rules; and CRDs that cannot be."""

from typing import Any

import pytest

from tests.support.kube_api import WIDGETS, KubeClient, crd, widget

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Json = dict[str, Any]
PORT = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer", "minimum": 1}}}
SCHEMA: Json = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9},
        "mode": {"type": "string", "enum": ["open", "close"], "default": "close"},
        "name": {"type": "string", "maxLength": 5, "minLength": 1, "pattern": "^[a-z]+$"},
        "ratio": {"type": "number"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "share": {"x-kubernetes-int-or-string": True},
        "ports": {
            "type": "array",
            "maxItems": 3,
            "minItems": 1,
            "items": PORT,
            "x-kubernetes-validations": [
                {
                    "rule": "self.all(p1, self.exists_one(p2, p1.number == p2.number))",
                    "message": "port number must be unique",
                }
            ],
        },
        "parents": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": {"type": "string"}, "on": {"type": "boolean", "default": True}},
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "picker": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "default": "Service"},
                "port": PORT,
                "namespace": {"type": "string"},
            },
            "x-kubernetes-validations": [
                {"rule": "self.kind != 'Service' || has(self.port)", "message": "port is required"},
                {
                    "rule": "!has(self.__namespace__) || self.__namespace__ != 'kube-system'",
                    "reason": "FieldValueForbidden",
                },
            ],
        },
        "fixed": {
            "type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "is immutable"}],
        },
    },
}


@pytest.fixture
async def widgets(kube: KubeClient) -> KubeClient:
    """A client of a server that knows widgets."""
    status, told = await kube.create(CRDS, crd(schema=SCHEMA))
    assert status == 201, told
    return kube


def causes(told: Json) -> list[tuple[str, str]]:
    return [(cause["field"], cause["message"]) for cause in told["details"]["causes"] if cause["field"] != "<nil>"]


async def test_defaults_and_unknown_fields(widgets: KubeClient) -> None:
    given = widget("w", size=1, colour="red", picker={"port": {"number": 1}}, parents=[{"type": "a"}])
    given["spec"]["anything"] = {"deep": {"er": [1]}}
    status, made = await widgets.create(WIDGETS, given)
    assert status == 201
    assert made["spec"] == {
        "size": 1,
        "mode": "close",
        "picker": {"port": {"number": 1}, "kind": "Service"},
        "parents": [{"type": "a", "on": True}],
        "anything": {"deep": {"er": [1]}},
    }
    assert widgets.last_headers["Warning"] == '299 - "unknown field \\"spec.colour\\""'


async def test_field_validation(widgets: KubeClient) -> None:
    given = widget("w", size=1, colour="red", ports=[{"number": 1, "name": "x"}])
    given["metadata"]["nothing"] = 1
    status, told = await widgets.create(WIDGETS, given, fieldValidation="Strict")
    fields = ("metadata.nothing", "spec.colour", "spec.ports[0].name")
    problem = ", ".join(f'unknown field "{field}"' for field in fields)
    cannot = 'Widget in version "v1" cannot be handled as a Widget'
    assert (status, told["message"]) == (400, f"{cannot}: strict decoding error: {problem}")
    assert (await widgets.create(WIDGETS, given, fieldValidation="Ignore"))[0] == 201
    assert "Warning" not in widgets.last_headers
    status, told = await widgets.merge(f"{WIDGETS}/w", {"spec": {"colour": "red"}}, fieldValidation="Strict")
    assert status == 422
    assert 'strict decoding error: unknown field "spec.colour"' in told["message"]
    assert (await widgets.create(WIDGETS, given, fieldValidation="Some"))[0] == 422


async def test_duplicate_fields(widgets: KubeClient) -> None:
    text = '{"apiVersion":"lab.example.com/v1","kind":"Widget","metadata":{"name":"%s"},"spec":{"size":1,"size":2}}'
    status, told = await widgets.ask("POST", WIDGETS, text % "a", fieldValidation="Strict")
    assert status == 400
    assert 'strict decoding error: duplicate field "spec.size"' in told["message"]
    status, made = await widgets.ask("POST", WIDGETS, text % "a")
    assert (status, made["spec"]["size"]) == (201, 2)
    assert "duplicate field" in widgets.last_headers["Warning"]


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({}, "spec.size", "Required value"),
        ({"size": "1"}, "spec.size", 'Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": None}, "spec.size", 'Invalid value: "null": spec.size in body must be of type integer: "null"'),
        ({"size": 0}, "spec.size", "Invalid value: 0: spec.size in body should be greater than or equal to 1"),
        ({"size": 10}, "spec.size", "Invalid value: 10: spec.size in body should be less than or equal to 9"),
        ({"size": 1, "mode": "ajar"}, "spec.mode", 'Unsupported value: "ajar": supported values: "open", "close"'),
        ({"size": 1, "name": "abcdef"}, "spec.name", "Too long: may not be more than 5 bytes"),
        ({"size": 1, "name": "A"}, "spec.name", "Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"),
        ({"size": 1, "ports": []}, "spec.ports", "Invalid value: 0: spec.ports in body should have at least 1 items"),
        (
            {"size": 1, "ports": [{"number": n} for n in (1, 2, 3, 4)]},
            "spec.ports",
            "Too many: 4: must have at most 3 items",
        ),
        ({"size": 1, "ports": [{}]}, "spec.ports[0].number", "Required value"),
        (
            {"size": 1, "ports": [{"number": 1}, {"number": 1}]},
            "spec.ports",
            'Invalid value: "array": port number must be unique',
        ),
        ({"size": 1, "parents": [{"type": "a"}, {"type": "a"}]}, "spec.parents[1]", 'Duplicate value: {"type":"a"}'),
        ({"size": 1, "tags": ["a", "a"]}, "spec.tags[1]", 'Duplicate value: "a"'),
        ({"size": 1, "picker": {}}, "spec.picker", 'Invalid value: "object": port is required'),
        (
            {"size": 1, "picker": {"kind": "X", "namespace": "kube-system"}},
            "spec.picker",
            "Invalid value: \"object\": failed rule: !has(self.__namespace__) || self.__namespace__ != 'kube-system'",
        ),
        (
            {"size": 1, "share": True},
            "spec.share",
            'Invalid value: "boolean": spec.share in body must be of type integer,string: "boolean"',
        ),
        (
            {"size": 1, "labels": {}},
            "spec.labels",
            "Invalid value: 0: spec.labels in body should have at least 1 properties",
        ),
        (
            {"size": 1, "labels": {"a": 1}},
            "spec.labels.a",
            'Invalid value: "integer": spec.labels.a in body must be of type string: "integer"',
        ),
    ],
)
async def test_wrong_values(widgets: KubeClient, spec: Json, field: str, message: str) -> None:
    status, told = await widgets.create(WIDGETS, widget("w", **spec))
    assert (status, told["reason"]) == (422, "Invalid")
    assert causes(told) == [(field, message)]
    assert told["message"].startswith('Widget.lab.example.com "w" is invalid: ')
    assert f"{field}: {message}" in told["message"]


async def test_rules_that_look_at_the_old_value(widgets: KubeClient) -> None:
    await widgets.create(WIDGETS, widget("w", size=1, fixed="a"))
    status, told = await widgets.merge(f"{WIDGETS}/w", {"spec": {"fixed": "b"}})
    assert (status, causes(told)) == (422, [("spec.fixed", 'Invalid value: "string": is immutable')])
    assert (await widgets.merge(f"{WIDGETS}/w", {"spec": {"fixed": None}}))[0] == 200


async def test_a_wrong_value_that_is_left_as_it_was(widgets: KubeClient) -> None:
    await widgets.create(WIDGETS, widget("w", size=5))
    _, definition = await widgets.get(f"{CRDS}/widgets.lab.example.com")
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["size"]["maximum"] = 3
    assert (await widgets.update(f"{CRDS}/widgets.lab.example.com", definition))[0] == 200
    assert (await widgets.merge(f"{WIDGETS}/w", {"spec": {"mode": "open"}}))[0] == 200
    assert (await widgets.merge(f"{WIDGETS}/w", {"spec": {"size": 4}}))[0] == 422


async def test_metadata_that_cannot_be_read(widgets: KubeClient) -> None:
    given = widget("w", size=1)
    given["metadata"]["labels"] = {"a": 1}
    status, told = await widgets.create(WIDGETS, given)
    assert status == 400
    assert (
        "json: cannot unmarshal number into Go struct field Widget.metadata.labels.a of type string" in told["message"]
    )


async def test_two_versions_of_one_kind(kube: KubeClient) -> None:
    definition = crd()
    first = definition["spec"]["versions"][0]
    definition["spec"]["versions"].append({**first, "name": "v2", "storage": False, "deprecated": True})
    await kube.create(CRDS, definition)
    await kube.create(WIDGETS, widget("w", size=1))
    later = WIDGETS.replace("/v1/", "/v2/")
    _, shown = await kube.get(f"{later}/w")
    assert (shown["apiVersion"], shown["spec"]) == ("lab.example.com/v2", {"size": 1})
    assert kube.last_headers["Warning"] == '299 - "lab.example.com/v2 Widget is deprecated"'
    _, shown["spec"]["size"] = 0, 2
    assert (await kube.update(f"{later}/w", shown))[1]["apiVersion"] == "lab.example.com/v2"
    async with kube.watch(WIDGETS) as watch:
        _, value = await watch.event()
        assert (value["apiVersion"], value["spec"]) == ("lab.example.com/v1", {"size": 2})


def changed(path: str, value: Any) -> Json:
    """A CRD with one field set; None removes it."""
    definition: Json = crd(schema=SCHEMA)
    *steps, last = path.split("/")
    here: Any = definition
    for step in steps:
        here = here[int(step)] if step.isdigit() else here[step]
    here[last] = value
    if value is None:
        del here[last]
    return definition


OPEN_API = "spec/versions/0/schema/openAPIV3Schema"
SPEC = f"{OPEN_API}/properties/spec"
ANY: Json = {"type": "object"}
TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("metadata/name", "gadgets.lab.example.com", 'must be spec.names.plural+"."+spec.group'),
        ("spec/scope", None, "spec.scope: Required value"),
        ("spec/scope", "World", 'spec.scope: Unsupported value: "World"'),
        ("spec/versions", [], "spec.versions: Required value"),
        ("spec/versions/0/storage", False, "must have exactly one version marked as storage version"),
        (
            "spec/versions/0/schema",
            None,
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ),
        (f"{OPEN_API}/type", "string", "must be object at the root"),
        (
            SPEC,
            {"properties": {}},
            "openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields",
        ),
        (SPEC, {"type": "thing"}, 'properties[spec].type: Unsupported value: "thing"'),
        (SPEC, {"type": "array"}, "properties[spec].items: Required value: must be specified"),
        (
            SPEC,
            {**ANY, "properties": {"a": TEXT}, "additionalProperties": TEXT},
            "additionalProperties and properties are mutual exclusive",
        ),
        (
            SPEC,
            {**ANY, "x-kubernetes-validations": [{"rule": "self.a +"}]},
            "x-kubernetes-validations[0].rule: Invalid value",
        ),
        (SPEC, {**ANY, "x-kubernetes-validations": [{"rule": "other == 1"}]}, "undeclared reference to 'other'"),
        (SPEC, {"type": "string", "default": 3}, "properties[spec].default: Invalid value: 3"),
    ],
)
async def test_definitions_that_are_refused(kube: KubeClient, path: str, value: Any, words: str) -> None:
    status, told = await kube.create(CRDS, changed(path, value))
    assert status == 422, told
    assert words in told["message"]


async def test_groups_of_the_project_need_an_approval(kube: KubeClient) -> None:
    definition = crd()
    definition["metadata"]["name"] = "widgets.inference.networking.k8s.io"
    definition["spec"]["group"] = "inference.networking.k8s.io"
    status, told = await kube.create(CRDS, definition)
    assert status == 422
    assert (
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have"
        in told["message"]
    )
    definition["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/pull/1"}
    assert (await kube.create(CRDS, definition))[0] == 201
