"""Role-based access control over the Role, ClusterRole and binding objects in the store."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.request_info import RequestInfo
from epp.lab.kube_api.selectors import match_labels
from epp.lab.kube_api.status import ApiError, forbidden, forbidden_path
from epp.lab.kube_api.storage import Store
from epp.lab.kube_api.users import User, service_account_of

GROUP = "rbac.authorization.k8s.io"
Rule = Mapping[str, Any]


class Grant(msgspec.Struct, frozen=True):
    """Why something is allowed."""

    reason: str


class Rbac:
    """Answers whether a user may do something; looks at the store each time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allows(self, user: User, request: RequestInfo) -> Grant | None:
        """The grant, None when nothing allows it. Roles only ever add."""
        if user.is_master:
            return Grant("")
        for rules, reason in self._roles_of(user, request.namespace):
            if any(rule_allows(rule, request) for rule in rules):
                return Grant(reason)
        return None

    def require(self, user: User, request: RequestInfo) -> None:
        """Raises ApiError 403 with the text of a real server."""
        if self.allows(user, request) is None:
            raise refusal(user, request)

    def rules_of(self, user: User, namespace: str) -> Iterator[Rule]:
        """All rules that hold for a user in a namespace."""
        if user.is_master:
            yield {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            yield {"verbs": ["*"], "nonResourceURLs": ["*"]}
        for rules, _ in self._roles_of(user, namespace):
            yield from rules

    def _roles_of(self, user: User, namespace: str) -> Iterator[tuple[list[Rule], str]]:
        yield from self._bound(user, "clusterrolebindings", "")
        if namespace:
            yield from self._bound(user, "rolebindings", namespace)

    def _bound(self, user: User, plural: str, namespace: str) -> Iterator[tuple[list[Rule], str]]:
        kind = "RoleBinding" if namespace else "ClusterRoleBinding"
        for (where, name), binding in self._store.shelf(f"{GROUP}/{plural}").objects.items():
            if where != namespace:
                continue
            subject = next((s for s in binding.value.get("subjects") or () if _is(user, s, namespace)), None)
            if subject is not None:
                role = binding.value["roleRef"]
                shown = f"{name}/{namespace}" if namespace else name
                reason = f'RBAC: allowed by {kind} "{shown}" of {role["kind"]} "{role["name"]}" to {_shown(subject)}'
                yield self.rules_in(role, namespace), reason

    def rules_in(self, role_ref: Mapping[str, Any], namespace: str) -> list[Rule]:
        """The rules of a role that a binding names; none for a role that is not there."""
        if role_ref.get("kind") == "Role":
            found = self._store.get(f"{GROUP}/roles", (namespace, role_ref["name"]))
        else:
            found = self._store.get(f"{GROUP}/clusterroles", ("", role_ref["name"]))
        return self._rules(found.value) if found else []

    def _rules(self, role: Json) -> list[Rule]:
        """Its own, and those of the roles that it aggregates."""
        rules = list(role.get("rules") or ())
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            condition = match_labels(selector)
            for other in self._store.shelf(f"{GROUP}/clusterroles").objects.values():
                if other.value is not role and condition(other.value) and metadata_of(other.value) != metadata_of(role):
                    rules += other.value.get("rules") or ()
        return rules


def rule_allows(rule: Rule, request: RequestInfo) -> bool:
    """Whether one rule covers the request."""
    if not _in(rule.get("verbs"), request.verb):
        return False
    if not request.resource:
        return any(_path_fits(pattern, request.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _in(rule.get("apiGroups"), request.group):
        return False
    wanted = {request.resource_text, "*"} | ({f"*/{request.subresource}"} if request.subresource else set())
    if not wanted & set(rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames") or ()
    return not names or request.name in names


def _in(allowed: Any, wanted: str) -> bool:
    return "*" in (allowed or ()) or wanted in (allowed or ())


def _path_fits(pattern: str, path: str) -> bool:
    return path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _is(user: User, subject: Mapping[str, Any], namespace: str) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return service_account_of(user.name) == (subject.get("namespace") or namespace, subject["name"])
        case _:
            return False


def _shown(subject: Mapping[str, Any]) -> str:
    if subject.get("kind") == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace", "")}"'
    return f'{subject.get("kind")} "{subject["name"]}"'


def refusal(user: User, request: RequestInfo) -> ApiError:
    """The 403 of a request that no rule covers."""
    if not request.resource:
        return forbidden_path(f'User "{user.name}" cannot {request.verb} path "{request.path}"')
    where = f'in the namespace "{request.namespace}"' if request.namespace else "at the cluster scope"
    problem = (
        f'User "{user.name}" cannot {request.verb} resource "{request.resource_text}" '
        f'in API group "{request.group}" {where}'
    )
    return forbidden(request.resource, request.group, request.name, problem)
