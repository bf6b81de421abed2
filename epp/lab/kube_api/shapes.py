"""The shape of what this server itself looks into, so that a wrong type is a 400 here too, with and without schemas.

Only types are told, of the fields that the code of this package reads; everything else passes.
"""

from typing import Any

from epp.lab.kube_api.reading import undecodable
from epp.lab.kube_api.schema import Schema
from epp.lab.kube_api.status import bad_request

Raw = dict[str, Any]
_TEXT: Raw = {"type": "string"}
_INT: Raw = {"type": "integer"}
_NUMBER: Raw = {"type": "number"}
_FLAG: Raw = {"type": "boolean"}
_TEXTS: Raw = {"type": "array", "items": _TEXT}
_MAP: Raw = {"type": "object", "additionalProperties": _TEXT}
_OBJECT: Raw = {"type": "object"}


def _object(**fields: Raw) -> Raw:
    return {"type": "object", "properties": {name.replace("__", "-"): raw for name, raw in fields.items()}}


def _list(items: Raw) -> Raw:
    return {"type": "array", "items": items}


_RULE = _object(verbs=_TEXTS, apiGroups=_TEXTS, resources=_TEXTS, resourceNames=_TEXTS, nonResourceURLs=_TEXTS)
_REQUIREMENT = _object(key=_TEXT, operator=_TEXT, values=_TEXTS)
_SELECTOR = _object(matchLabels=_MAP, matchExpressions=_list(_REQUIREMENT))
_CONTAINERS = _list(_object(name=_TEXT, image=_TEXT))
_POD_SPEC = _object(
    containers=_CONTAINERS, initContainers=_CONTAINERS, nodeName=_TEXT, terminationGracePeriodSeconds=_INT
)
_TEMPLATE = _object(metadata=_object(labels=_MAP), spec=_POD_SPEC)
_WORKLOAD = _object(spec=_object(selector=_SELECTOR, template=_TEMPLATE))
_ROLE_REF = _object(kind=_TEXT, name=_TEXT, apiGroup=_TEXT)
_SUBJECT = _object(kind=_TEXT, name=_TEXT, namespace=_TEXT, apiGroup=_TEXT)
_BINDING = _object(roleRef=_ROLE_REF, subjects=_list(_SUBJECT))
_ROLE = _object(rules=_list(_RULE), aggregationRule=_object(clusterRoleSelectors=_list(_SELECTOR)))
_PORT = _object(port=_INT, name=_TEXT, protocol=_TEXT)
_ACCESS = _object(
    spec=_object(
        user=_TEXT,
        groups=_TEXTS,
        uid=_TEXT,
        namespace=_TEXT,
        resourceAttributes=_object(**dict.fromkeys(("namespace", "verb", "group", "resource", "name"), _TEXT)),
        nonResourceAttributes=_object(path=_TEXT, verb=_TEXT),
    )
)
_NAMES = _object(plural=_TEXT, singular=_TEXT, kind=_TEXT, listKind=_TEXT, shortNames=_TEXTS, categories=_TEXTS)
_COLUMN = _object(name=_TEXT, type=_TEXT, jsonPath=_TEXT, format=_TEXT, description=_TEXT, priority=_INT)
_SCHEMA = {"$ref": "#/$defs/Schema"}
_VALIDATION = _object(rule=_TEXT, message=_TEXT, messageExpression=_TEXT, reason=_TEXT, fieldPath=_TEXT)
_SCHEMA_FIELDS = _object(
    type=_TEXT,
    format=_TEXT,
    pattern=_TEXT,
    properties={"type": "object", "additionalProperties": _SCHEMA},
    items=_SCHEMA,
    required=_TEXTS,
    enum=_list({}),
    allOf=_list(_SCHEMA),
    anyOf=_list(_SCHEMA),
    oneOf=_list(_SCHEMA),
    **{"not": _SCHEMA},
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties"), _INT),
    **dict.fromkeys(("maximum", "minimum", "multipleOf"), _NUMBER),
    **dict.fromkeys(("nullable", "exclusiveMaximum", "exclusiveMinimum", "uniqueItems"), _FLAG),
    x__kubernetes__list__type=_TEXT,
    x__kubernetes__map__type=_TEXT,
    x__kubernetes__list__map__keys=_TEXTS,
    x__kubernetes__validations=_list(_VALIDATION),
    x__kubernetes__preserve__unknown__fields=_FLAG,
    x__kubernetes__int__or__string=_FLAG,
    x__kubernetes__embedded__resource=_FLAG,
)
_VERSION = _object(
    name=_TEXT,
    served=_FLAG,
    storage=_FLAG,
    deprecated=_FLAG,
    deprecationWarning=_TEXT,
    schema=_object(openAPIV3Schema=_SCHEMA),
    subresources=_object(status=_OBJECT),
    additionalPrinterColumns=_list(_COLUMN),
    selectableFields=_list(_object(jsonPath=_TEXT)),
)
_CRD = _object(
    spec=_object(group=_TEXT, scope=_TEXT, names=_NAMES, versions=_list(_VERSION), conversion=_object(strategy=_TEXT)),
    status=_object(storedVersions=_TEXTS, conditions=_list(_object(type=_TEXT, lastTransitionTime=_TEXT))),
)
_BOUND = _object(kind=_TEXT, name=_TEXT)
_RAW: dict[str, Raw] = {
    "CustomResourceDefinition": _CRD,
    "Pod": _object(spec=_POD_SPEC, status=_object(phase=_TEXT, containerStatuses=_list(_OBJECT))),
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"), _WORKLOAD),
    "Service": _object(spec=_object(ports=_list(_PORT), clusterIP=_TEXT, type=_TEXT)),
    "Secret": _object(type=_TEXT, data=_MAP, stringData=_MAP, immutable=_FLAG),
    "ConfigMap": _object(data=_MAP, binaryData=_MAP, immutable=_FLAG),
    "Namespace": _object(spec=_object(finalizers=_TEXTS), status=_object(phase=_TEXT)),
    "Lease": _object(spec=_object(leaseDurationSeconds=_INT, leaseTransitions=_INT, holderIdentity=_TEXT)),
    **dict.fromkeys(("Role", "ClusterRole"), _ROLE),
    **dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), _BINDING),
    "TokenReview": _object(spec=_object(token=_TEXT, audiences=_TEXTS)),
    "TokenRequest": _object(spec=_object(audiences=_TEXTS, expirationSeconds=_INT, boundObjectRef=_BOUND)),
    **dict.fromkeys(("SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectAccessReview"), _ACCESS),
    "SelfSubjectRulesReview": _ACCESS,
}
_SHAPES = {kind: Schema(raw, {"Schema": _SCHEMA_FIELDS}) for kind, raw in _RAW.items()}


def shape_of(kind: str) -> Schema | None:
    """Of a built-in kind, None where the server looks at nothing but metadata."""
    return _SHAPES.get(kind)


def check_shape(kind: str, version: str, body: Raw) -> None:
    """Raises ApiError 400 for a built-in kind with a wrong type where this server looks."""
    shape = _SHAPES.get(kind)
    if shape is not None and (problem := undecodable(body, shape, kind)):
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}')
