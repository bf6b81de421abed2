"""Reviews: questions that are answered and never stored. Who has this token? May this user do that?"""

from collections.abc import Callable, Mapping
from typing import Any

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.rbac import Rbac
from epp.lab.kube_api.reading import without_nulls
from epp.lab.kube_api.request_info import RequestInfo
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.shapes import check_shape
from epp.lab.kube_api.status import Cause, bad_request, invalid, required
from epp.lab.kube_api.tokens import API_AUDIENCE, Tokens
from epp.lab.kube_api.users import User


class Reviews:
    """Answers every kind of review."""

    def __init__(self, tokens: Tokens, rbac: Rbac) -> None:
        self._tokens = tokens
        self._rbac = rbac
        self._answers: Mapping[str, Callable[[Json, User], Json]] = {
            "TokenReview": self._token,
            "SelfSubjectReview": lambda _, user: {"userInfo": _user_info(user)},
            "SubjectAccessReview": self._subject_access,
            "LocalSubjectAccessReview": self._subject_access,
            "SelfSubjectAccessReview": self._self_access,
            "SelfSubjectRulesReview": self._rules,
        }

    def answer(self, resource: Resource, namespace: str, body: Json, user: User) -> Json:
        """The review with its status; raises ApiError 400 or 422."""
        given = body.get("kind", resource.kind)
        if given != resource.kind or body.get("apiVersion", resource.api_version) != resource.api_version:
            raise bad_request(f'{given} in version "{resource.version}" cannot be handled as a {resource.kind}')
        check_shape(resource.kind, resource.version, body)
        spec = without_nulls(body.get("spec") or {})
        if resource.kind == "LocalSubjectAccessReview":
            asked = (spec.get("resourceAttributes") or {}).get("namespace", "")
            if asked != namespace:
                text = f'Invalid value: "{asked}": must match metadata.namespace'
                cause = Cause("spec.resourceAttributes.namespace", "FieldValueInvalid", text)
                raise invalid(resource.kind, resource.group, "", [cause])
        status = self._answers[resource.kind](spec, user)
        reviewed = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata_of(body)}
        return {**reviewed, **({"spec": spec} if spec else {}), "status": status}

    def _token(self, spec: Json, _: User) -> Json:
        token = spec.get("token") or ""
        if not token:
            return {"error": "the token was not given", "user": {}}
        found = self._tokens.check(token)
        wanted = tuple(spec.get("audiences") or (API_AUDIENCE,))
        if found is None:
            return {"error": "[invalid bearer token, token lookup failed]", "user": {}}
        shared = [audience for audience in wanted if audience in found.audiences]
        if not shared:
            return {"error": f"token audiences {list(found.audiences)} is invalid for {list(wanted)}", "user": {}}
        told = {"audiences": shared} if spec.get("audiences") else {}
        return {"authenticated": True, "user": _user_info(found.user), **told}

    def _subject_access(self, spec: Json, _: User) -> Json:
        if not spec.get("user") and not spec.get("groups"):
            text = "at least one of user or group must be specified"
            raise invalid("SubjectAccessReview", "authorization.k8s.io", "", [required("spec.user", text)])
        asked = User(spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "")
        return self._access(spec, asked)

    def _self_access(self, spec: Json, user: User) -> Json:
        return self._access(spec, user)

    def _access(self, spec: Json, user: User) -> Json:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            cause = Cause("spec.resourceAttributes", "FieldValueInvalid", f"Invalid value: null: {text}")
            raise invalid("SubjectAccessReview", "authorization.k8s.io", "", [cause])
        request = _request_of(resource) if resource is not None else _path_of(path or {})
        grant = self._rbac.allows(user, request)
        if grant is None:
            return {"allowed": False}
        return {"allowed": True, **({"reason": grant.reason} if grant.reason else {})}

    def _rules(self, spec: Json, user: User) -> Json:
        namespace = spec.get("namespace") or ""
        if not namespace:
            raise bad_request("no namespace on request")
        rules = list(self._rbac.rules_of(user, namespace))
        return {
            "incomplete": False,
            "resourceRules": [
                _rule(rule, "apiGroups", "resources", "resourceNames") for rule in _about(rules, "resources")
            ],
            "nonResourceRules": [_rule(rule, "nonResourceURLs") for rule in _about(rules, "nonResourceURLs")],
        }


def _about(rules: list[Mapping[str, Any]], field: str) -> list[Mapping[str, Any]]:
    return [rule for rule in rules if rule.get(field)]


def _rule(rule: Mapping[str, Any], *fields: str) -> Json:
    return {field: rule[field] for field in ("verbs", *fields) if rule.get(field)}


def _user_info(user: User) -> Json:
    info: Json = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": user.extra}
    return {name: value for name, value in info.items() if value}


def _request_of(attributes: Json) -> RequestInfo:
    return RequestInfo(
        verb=attributes.get("verb") or "",
        path="",
        group=attributes.get("group") or "",
        version=attributes.get("version") or "",
        resource=attributes.get("resource") or "*",
        subresource=attributes.get("subresource") or "",
        namespace=attributes.get("namespace") or "",
        name=attributes.get("name") or "",
    )


def _path_of(attributes: Json) -> RequestInfo:
    return RequestInfo(verb=attributes.get("verb") or "", path=attributes.get("path") or "")
