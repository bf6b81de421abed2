"""Whether a rendered object is one that an API server would take, without a server: refused fields, types, limits.

Built-in kinds go by the schemas of kubernetes-validate, those of manifests/crds by these, others by
tests/chart/schemas.
CEL rules of CRDs are not looked at here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
import yaml

from tests.support.helm_chart import ROOT, Object

CRDS = ROOT / "manifests" / "crds"
SCHEMAS = ROOT / "tests" / "chart" / "schemas"
KUBERNETES = "1.37"
BUILT_IN_GROUPS = ("", "apps", "policy", "rbac.authorization.k8s.io")
Schema = Mapping[str, Any]


class InvalidObject(Exception):
    """What is wrong with an object, and where."""


def check_object(described: Object) -> None:
    """Raises InvalidObject, and LookupError for a kind that nobody describes."""
    group, _, version = described["apiVersion"].rpartition("/")
    kind = described["kind"]
    if group in BUILT_IN_GROUPS:
        try:
            kubernetes_validate.validate(described, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise InvalidObject(f"{kind}: {error.message} at {error.path}") from error
        return
    schema = crd_schemas().get((group, version, kind)) or written_schema(kind.lower())
    found = jsonschema.Draft202012Validator(schema).iter_errors(described)
    errors = [f"{error.json_path}: {error.message}" for error in found]
    if errors:
        raise InvalidObject(f"{kind}: {'; '.join(errors)}")


@cache
def crd_schemas() -> Mapping[tuple[str, str, str], Schema]:
    """By group, version and kind; empty where there are no CRDs."""
    schemas = {}
    for path in sorted(CRDS.glob("*.yaml")):
        for crd in yaml.safe_load_all(path.read_text()):
            names, group = crd["spec"]["names"], crd["spec"]["group"]
            for version in crd["spec"]["versions"]:
                schema = _closed(version["schema"]["openAPIV3Schema"])
                schemas[group, version["name"], names["kind"]] = schema
    return schemas


def _closed(schema: Any) -> Any:
    """An API server cuts unknown fields out, or refuses them; here they are mistakes. Metadata is not described."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        closed["additionalProperties"] = False
        if "metadata" in closed["properties"]:
            closed["properties"]["metadata"] = {"type": "object"}
    return closed


@cache
def written_schema(name: str) -> Schema:
    """Of a kind in lower case; raises LookupError."""
    path = SCHEMAS / f"{name}.yaml"
    if not path.exists():
        raise LookupError(f"no schema for {name}: add {path.relative_to(ROOT)}")
    schema: Schema = yaml.safe_load(path.read_text())
    return schema
