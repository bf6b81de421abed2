"""What names, labels and annotations may look like, with the texts in which a server says so."""

import re
from collections.abc import Iterator
from typing import Any

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.status import Cause, required, wrong_value

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_LABEL_1035 = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?")

_NOT_A_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NOT_A_1035_LABEL = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_NOT_A_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_NOT_QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_NOT_A_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_MOST_ANNOTATION_BYTES = 256 * 1024


def name_problem(resource: Resource, name: str) -> str:
    """Why this resource cannot have this name; "" when it can."""
    if resource.group == "rbac.authorization.k8s.io":
        return next((f"may not contain '{mark}'" for mark in "/%" if mark in name), "")
    if resource.plural == "namespaces" and not resource.group:
        return _label_problem(name, _LABEL, _NOT_A_LABEL)
    if resource.plural == "services" and not resource.group:
        return _label_problem(name, _LABEL_1035, _NOT_A_1035_LABEL)
    if len(name) > 253:
        return "must be no more than 253 characters"
    return "" if _SUBDOMAIN.fullmatch(name) else _NOT_A_SUBDOMAIN


def _label_problem(name: str, pattern: re.Pattern[str], text: str) -> str:
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if pattern.fullmatch(name) else text


def metadata_problems(resource: Resource, value: Json) -> Iterator[Cause]:
    """What is wrong with the metadata of an object that shall be written."""
    metadata = metadata_of(value)
    name = metadata.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif problem := name_problem(resource, name):
        yield wrong_value("metadata.name", name, problem)
    yield from _label_problems(metadata.get("labels") or {})
    yield from _annotation_problems(metadata.get("annotations") or {})
    for finalizer in metadata.get("finalizers") or ():
        if problem := _key_problem(str(finalizer)):
            yield wrong_value("metadata.finalizers", finalizer, problem)
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                yield wrong_value(f"metadata.ownerReferences[{index}].{field}", "", f"{field} must not be empty")


def _label_problems(labels: dict[str, Any]) -> Iterator[Cause]:
    for key, text in labels.items():
        if problem := _key_problem(key):
            yield wrong_value("metadata.labels", key, problem)
        if len(text) > 63:
            yield wrong_value("metadata.labels", text, "must be no more than 63 characters")
        elif not _VALUE.fullmatch(text):
            yield wrong_value("metadata.labels", text, _NOT_A_VALUE)


def _annotation_problems(annotations: dict[str, Any]) -> Iterator[Cause]:
    for key in annotations:
        if problem := _key_problem(key.lower()):
            yield wrong_value("metadata.annotations", key, problem)
    if sum(len(key.encode()) + len(text.encode()) for key, text in annotations.items()) > _MOST_ANNOTATION_BYTES:
        text = f"Too long: may not be more than {_MOST_ANNOTATION_BYTES} bytes"
        yield Cause("metadata.annotations", "FieldValueTooLong", text)


def _key_problem(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return f"prefix part {_NOT_A_SUBDOMAIN}"
    if len(name) > 63:
        return "name part must be no more than 63 characters"
    return "" if _QUALIFIED.fullmatch(name) else _NOT_QUALIFIED
