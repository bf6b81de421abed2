"""Whether a rendered object is one that an API server would take, without a server: refused fields, types, limits.

Built-in kinds go by the schemas of kubernetes-validate, those of manifests/crds by these with
their CEL rules, others by tests/chart/schemas.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
import yaml

from tests.support import crd_schema
from tests.support.helm_chart import ROOT, Object

SCHEMAS = ROOT / "tests" / "chart" / "schemas"
KUBERNETES = "1.37"
BUILT_IN_GROUPS = ("", "apps", "policy", "rbac.authorization.k8s.io")
Schema = Mapping[str, Any]


class InvalidObject(Exception):
    """What is wrong with an object, and where."""


def check_object(described: Object) -> None:
    """Raises InvalidObject, and LookupError for a kind that nobody describes."""
    group, _, _ = described["apiVersion"].rpartition("/")
    kind = described["kind"]
    if group in BUILT_IN_GROUPS:
        try:
            kubernetes_validate.validate(described, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise InvalidObject(f"{kind}: {error.message} at {error.path}") from error
        return
    if (described["apiVersion"], kind) in crd_schema.schemas():
        errors = crd_schema.object_errors(described)
    else:
        found = jsonschema.Draft202012Validator(written_schema(kind.lower())).iter_errors(described)
        errors = [f"{error.json_path}: {error.message}" for error in found]
    if errors:
        raise InvalidObject(f"{kind}: {'; '.join(errors)}")


@cache
def written_schema(name: str) -> Schema:
    """Of a kind in lower case; raises LookupError."""
    path = SCHEMAS / f"{name}.yaml"
    if not path.exists():
        raise LookupError(f"no schema for {name}: add {path.relative_to(ROOT)}")
    schema: Schema = yaml.safe_load(path.read_text())
    return schema
