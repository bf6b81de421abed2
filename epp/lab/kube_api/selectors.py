"""Label selectors and field selectors: text to a condition on objects, with the errors of a real server."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json, dig, labels_of
from epp.lab.kube_api.status import bad_request

Condition = Callable[[Json], bool]

_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_SET = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALITY = re.compile(r"(?P<key>[^=!<>\s]+)\s*(?P<operator>==|=|!=|>|<)\s*(?P<value>[^=!<>\s]*)")


class Requirement(msgspec.Struct, frozen=True):
    """One condition on a label: `in`, `notin`, `exists`, `!`, `gt`, `lt`."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels fulfil it."""
        present = self.key in labels
        match self.operator:
            case "in":
                return present and labels[self.key] in self.values
            case "notin":
                return not present or labels[self.key] not in self.values
            case "exists":
                return present
            case "!":
                return not present
            case _:
                return present and _compares(labels[self.key], self.operator, next(iter(self.values)))


def _compares(text: str, operator: str, bound: str) -> bool:
    if not re.fullmatch(r"-?\d+", text):
        return False
    return int(text) > int(bound) if operator == "gt" else int(text) < int(bound)


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k,l>3`; raises ApiError 400."""
    return tuple(_requirement(part, text) for part in _parts(text))


def _parts(text: str) -> list[str]:
    """Split at the commas outside of parentheses."""
    parts = re.split(r",(?![^()]*\))", text)
    return [part.strip() for part in parts] if text.strip() else []


def _requirement(part: str, whole: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return _checked(Requirement(found["key"], found["operator"], values), whole)
    if found := _EQUALITY.fullmatch(part):
        operator = {"!=": "notin", ">": "gt", "<": "lt"}.get(found["operator"], "in")
        if operator in ("gt", "lt") and not re.fullmatch(r"-?\d+", found["value"]):
            raise _unreadable(whole, f"for 'Gt', 'Lt' operators, the value must be an integer, not {found['value']!r}")
        return _checked(Requirement(found["key"], operator, frozenset((found["value"],))), whole)
    if part.startswith("!"):
        return _checked(Requirement(part[1:].strip(), "!"), whole)
    return _checked(Requirement(part, "exists"), whole)


def _checked(requirement: Requirement, whole: str) -> Requirement:
    if not _KEY.fullmatch(requirement.key):
        raise _unreadable(whole, f"{requirement.key!r} is no name of a label")
    for value in requirement.values:
        if len(value) > 63 or not _VALUE.fullmatch(value):
            raise _unreadable(whole, f"{value!r} is no value of a label")
    return requirement


def _unreadable(text: str, problem: str) -> Exception:
    return bad_request(f'unable to parse requirement: "{text}": {problem}')


def label_condition(text: str) -> Condition:
    """Of a `labelSelector` parameter; raises ApiError 400."""
    requirements = parse_label_selector(text)
    return lambda value: all(each.holds(labels_of(value)) for each in requirements)


def match_labels(selector: Mapping[str, Any]) -> Condition:
    """Of a LabelSelector object: matchLabels and matchExpressions; raises ApiError 400 for an unknown operator."""
    requirements = [
        Requirement(key, "in", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    for expression in selector.get("matchExpressions") or ():
        operator = operators.get(expression.get("operator", ""))
        if operator is None:
            raise bad_request(f"{expression.get('operator')!r} is not a valid label selector operator")
        requirements.append(
            Requirement(expression.get("key") or "", operator, frozenset(expression.get("values") or ()))
        )
    return lambda value: all(each.holds(labels_of(value)) for each in requirements)


FIELDS_OF_ALL = ("metadata.name", "metadata.namespace")
FIELDS_OF: Mapping[str, tuple[str, ...]] = {
    "/pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "/events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "reason",
        "type",
    ),
    "/secrets": ("type",),
    "/namespaces": ("status.phase",),
    "/nodes": ("spec.unschedulable",),
    "/services": ("spec.clusterIP", "spec.type"),
    "apps/replicasets": ("status.replicas",),
}
"""selectable fields by storage key, beyond those of all"""


def field_condition(text: str, storage_key: str, selectable: tuple[str, ...] = ()) -> Condition:
    """Of a `fieldSelector` parameter; raises ApiError 400 for a field that this resource cannot be selected by."""
    known = {*FIELDS_OF_ALL, *FIELDS_OF.get(storage_key, ()), *selectable}
    wanted = []
    for part in _parts(text):
        found = re.fullmatch(r"(?P<field>[^=!]+)(?P<operator>!=|==|=)(?P<value>[^=]*)", part)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        if found["field"] not in known:
            raise bad_request(f"field label not supported: {found['field']}")
        wanted.append((tuple(found["field"].split(".")), found["operator"] != "!=", found["value"]))
    return lambda value: all((_text(dig(value, *path)) == text) is equal for path, equal, text in wanted)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def name_in_field_selector(text: str) -> str:
    """The name in `metadata.name=x`, which authorisation looks at; "" without one."""
    found = re.search(r"(?:^|,)metadata\.name==?([^,=!]+)(?:,|$)", text)
    return found[1] if found else ""
