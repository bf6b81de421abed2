"""Strategic merge patch, for built-in kinds: lists are merged by their keys, as the schemas say.

Understood: `$patch: replace | delete | merge`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`,
`$retainKeys`. Without schemas the merge keys of the common fields of pods, services and conditions are used.
"""

from collections.abc import Sequence
from typing import Any

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.schema import OBJECT_META, Schema
from epp.lab.kube_api.status import bad_request

DIRECTIVE = "$patch"
DELETE_FROM = "$deleteFromPrimitiveList/"
ORDER = "$setElementOrder/"
RETAIN = "$retainKeys"
_KEY_OF = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "hostAliases": "ip",
}
"""where there is no schema"""


class StrategicMerge:
    """Patches objects of one kind."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema

    def patched(self, value: Json, patch: Json) -> Json:
        """The patched object; raises ApiError 400 for a patch that makes no sense."""
        return self._object(value, patch, self._schema, at_root=True)

    def _object(self, value: Json, patch: Json, schema: Schema | None, *, at_root: bool = False) -> Json:
        directive = patch.get(DIRECTIVE)
        if directive == "replace":
            return {name: part for name, part in patch.items() if name != DIRECTIVE}
        if directive == "delete":
            return {}
        if directive not in (None, "merge"):
            raise bad_request(f"unknown patch type {directive!r}")
        merged = dict(value)
        if RETAIN in patch:
            merged = {name: part for name, part in merged.items() if name in patch[RETAIN]}
        for name, change in patch.items():
            if name in (DIRECTIVE, RETAIN) or name.startswith(ORDER):
                continue
            if name.startswith(DELETE_FROM):
                field = name.removeprefix(DELETE_FROM)
                merged[field] = [each for each in merged.get(field) or () if each not in change]
            elif change is None:
                merged.pop(name, None)
            else:
                below = OBJECT_META if at_root and name == "metadata" else schema.child(name) if schema else None
                merged[name] = self._field(name, merged.get(name), change, below)
        for name, order in patch.items():
            if name.startswith(ORDER):
                field = name.removeprefix(ORDER)
                below = schema.child(field) if schema else None
                merged[field] = _ordered(merged.get(field) or [], order, _merge_key(field, below))
        return merged

    def _field(self, name: str, value: Any, change: Any, schema: Schema | None) -> Any:
        if isinstance(change, dict):
            return self._object(value if isinstance(value, dict) else {}, change, schema)
        if not isinstance(change, list):
            return change
        before = value if isinstance(value, list) else []
        strategy = str(schema.raw.get("x-kubernetes-patch-strategy") or "") if schema else ""
        key = _merge_key(name, schema)
        if key:
            return self._keyed(name, before, change, schema, key)
        if "merge" in strategy or (schema is not None and schema.list_type == "set"):
            return [*before, *(each for each in change if each not in before)]
        return change

    def _keyed(self, name: str, value: list[Any], patch: list[Any], schema: Schema | None, key: str) -> list[Any]:
        """A list of objects that are known by one of their fields."""
        if any(isinstance(each, dict) and each.get(DIRECTIVE) == "replace" for each in patch):
            return [each for each in patch if not (isinstance(each, dict) and DIRECTIVE in each)]
        merged = list(value)
        items = schema.items if schema else None
        for change in patch:
            if not isinstance(change, dict) or key not in change:
                raise bad_request(f"map: {change} does not contain declared merge key: {key} (field {name})")
            at = next((i for i, each in enumerate(merged) if each.get(key) == change[key]), None)
            if change.get(DIRECTIVE) == "delete":
                merged = [each for each in merged if each.get(key) != change[key]]
            elif at is None:
                merged.append(self._object({}, change, items))
            else:
                merged[at] = self._object(merged[at], change, items)
        return merged


def _merge_key(name: str, schema: Schema | None) -> str:
    if schema is not None:
        if "merge" not in str(schema.raw.get("x-kubernetes-patch-strategy") or "") and schema.list_type != "map":
            return ""
        return str(schema.raw.get("x-kubernetes-patch-merge-key") or "".join(schema.map_keys[:1]))
    return _KEY_OF.get(name, "")


def _ordered(value: list[Any], order: Sequence[Any], key: str) -> list[Any]:
    """In the order that the patch wants; what it does not name keeps its place behind what stood before it."""
    wanted = [each.get(key) if key and isinstance(each, dict) else each for each in order]

    def rank(item: Any) -> int:
        name = item.get(key) if key and isinstance(item, dict) else item
        return wanted.index(name) if name in wanted else -1

    named = sorted((each for each in value if rank(each) >= 0), key=rank)
    return [*named, *(each for each in value if rank(each) < 0)]
