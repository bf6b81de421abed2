"""Bodies in Kubernetes' protobuf form, which client-go sends for built-in kinds since 1.32.

Four bytes of magic, an envelope with kind and version, and the object in proto2. Only the kinds that kubectl and helm
send through typed clients are known here; others are refused with 415, as a server refuses what it cannot read.
Field numbers: generated.proto of k8s.io/api and k8s.io/apimachinery.
"""

import datetime as dt
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from epp.core.protocol.protobuf_fields import MalformedProtobuf, fields
from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.status import bad_request, unsupported_media_type

PROTOBUF_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_INT64 = 1 << 63

_TABLES: Mapping[str, str] = {
    "ObjectMeta": "1 name, 2 generateName, 3 namespace, 4 selfLink, 5 uid, 6 resourceVersion, 7 generation int, "
    "8 creationTimestamp time, 9 deletionTimestamp time, 10 deletionGracePeriodSeconds int, 11 labels map, "
    "12 annotations map, 13 ownerReferences list OwnerReference, 14 finalizers list",
    "OwnerReference": "1 kind, 3 name, 4 uid, 5 apiVersion, 6 controller bool, 7 blockOwnerDeletion bool",
    "DeleteOptions": "1 gracePeriodSeconds int, 2 preconditions Preconditions, 3 orphanDependents bool, "
    "4 propagationPolicy, 5 dryRun list",
    "Preconditions": "1 uid, 2 resourceVersion",
    "Namespace": "1 metadata ObjectMeta, 2 spec NamespaceSpec",
    "NamespaceSpec": "1 finalizers list",
    "Secret": "1 metadata ObjectMeta, 2 data bytes-map, 3 type, 4 stringData map, 5 immutable bool",
    "ConfigMap": "1 metadata ObjectMeta, 2 data map, 3 binaryData bytes-map, 4 immutable bool",
    "ServiceAccount": "1 metadata ObjectMeta, 4 automountServiceAccountToken bool",
    "Role": "1 metadata ObjectMeta, 2 rules list PolicyRule",
    "ClusterRole": "1 metadata ObjectMeta, 2 rules list PolicyRule",
    "PolicyRule": "1 verbs list, 2 apiGroups list, 3 resources list, 4 resourceNames list, 5 nonResourceURLs list",
    "RoleBinding": "1 metadata ObjectMeta, 2 subjects list Subject, 3 roleRef RoleRef",
    "ClusterRoleBinding": "1 metadata ObjectMeta, 2 subjects list Subject, 3 roleRef RoleRef",
    "Subject": "1 kind, 2 apiGroup, 3 name, 4 namespace",
    "RoleRef": "1 apiGroup, 2 kind, 3 name",
    "TokenRequest": "1 metadata ObjectMeta, 2 spec TokenRequestSpec",
    "TokenRequestSpec": "1 audiences list, 3 boundObjectRef BoundObjectReference, 4 expirationSeconds int",
    "BoundObjectReference": "1 kind, 2 apiVersion, 3 name, 4 uid",
    "TokenReview": "1 metadata ObjectMeta, 2 spec TokenReviewSpec",
    "TokenReviewSpec": "1 token, 2 audiences list",
    "SelfSubjectReview": "1 metadata ObjectMeta",
    "SelfSubjectAccessReview": "1 metadata ObjectMeta, 2 spec AccessReviewSpec",
    "SubjectAccessReview": "1 metadata ObjectMeta, 2 spec AccessReviewSpec",
    "LocalSubjectAccessReview": "1 metadata ObjectMeta, 2 spec AccessReviewSpec",
    "AccessReviewSpec": "1 resourceAttributes ResourceAttributes, 2 nonResourceAttributes NonResourceAttributes, "
    "3 user, 4 groups list, 6 uid",
    "ResourceAttributes": "1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name",
    "NonResourceAttributes": "1 path, 2 verb",
    "SelfSubjectRulesReview": "1 metadata ObjectMeta, 2 spec RulesReviewSpec",
    "RulesReviewSpec": "1 namespace",
    "Lease": "1 metadata ObjectMeta, 2 spec LeaseSpec",
    "LeaseSpec": "1 holderIdentity, 2 leaseDurationSeconds int, 3 acquireTime microtime, 4 renewTime microtime, "
    "5 leaseTransitions int, 6 strategy, 7 preferredHolder",
}
"""number, name and type of each field; a field without a type is a text. Fields that only servers write are left out"""

Field = tuple[str, str, str]
"""name, type, and of a list the type of its items"""


def _table(text: str) -> dict[int, Field]:
    found: dict[int, Field] = {}
    for each in text.split(", "):
        number, name, *types = each.split()
        kind, of, *_ = [*types, "", ""]
        found[int(number)] = (name, kind, of)
    return found


_FIELDS = {kind: _table(text) for kind, text in _TABLES.items()}
_FIELDS["TypeMeta"] = {1: ("apiVersion", "", ""), 2: ("kind", "", "")}


def read_protobuf(raw: bytes) -> Json:
    """The object of a body; raises ApiError 400, or 415 for a kind without a table."""
    if not raw.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(fields(raw[len(_MAGIC) :]))
        head = _message(envelope.get(1, b""), "TypeMeta")
        kind = head.get("kind", "")
        if kind not in _FIELDS:
            raise unsupported_media_type(["application/json", "application/yaml"])
        return {**head, **_message(envelope.get(2, b""), kind)}
    except (MalformedProtobuf, UnicodeDecodeError, TypeError) as error:
        raise bad_request(f"couldn't decode the protobuf body: {error}") from error


def _message(raw: Any, kind: str) -> Json:
    """A message as JSON has it: empty texts, lists and messages are left out, as there."""
    found: Json = {}
    table = _FIELDS[kind]
    for number, value in fields(raw):
        if number not in table:
            continue
        name, type_, of = table[number]
        if type_ == "list":
            found.setdefault(name, []).append(_message(value, of) if of else _text(value))
        elif type_.endswith("map"):
            key, item = _pair(value, in_base64=type_ == "bytes-map")
            found.setdefault(name, {})[key] = item
        else:
            one = _SCALARS[type_](value) if type_ in _SCALARS else _message(value, type_)
            if one not in ("", None, {}):
                found[name] = one
    return found


def _pair(raw: Any, *, in_base64: bool) -> tuple[str, str]:
    parts = dict(fields(raw))
    value = parts.get(2, b"")
    return _text(parts.get(1, b"")), b64encode(bytes(value)).decode() if in_base64 else _text(value)


def _text(raw: Any) -> str:
    return bytes(raw).decode()


def _int(value: Any) -> int:
    return int(value) - 2 * _INT64 if value >= _INT64 else int(value)


def _time(raw: Any) -> str | None:
    parts = dict(fields(raw))
    if not parts:
        return None
    when = dt.datetime.fromtimestamp(_int(parts.get(1, 0)), dt.UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _microtime(raw: Any) -> str | None:
    parts = dict(fields(raw))
    seconds = _time(raw)
    return None if seconds is None else f"{seconds[:-1]}.{_int(parts.get(2, 0)) // 1000:06d}Z"


_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "": _text,
    "int": _int,
    "bool": bool,
    "time": _time,
    "microtime": _microtime,
}
