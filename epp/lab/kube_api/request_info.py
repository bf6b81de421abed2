"""What a request asks for: the verb and the resource of a path, as authorisation and the audit log see them."""

from collections.abc import Mapping

import msgspec

from epp.lab.kube_api.selectors import name_in_field_selector

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
_OF_A_NAMESPACE = ("status", "finalize")
"""what may follow /namespaces/<name> without being a resource of the namespace"""


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed request line. Without `resource` it is a path like /healthz or /apis."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def resource_text(self) -> str:
        """`pods`, `pods/status`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def read_request(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """From the request line; unknown resources are resources, too, because authorisation comes first."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb=method.lower(), path=path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 2:
        namespace = rest[1]
        if len(rest) > 2 and not (len(rest) == 3 and rest[2] in _OF_A_NAMESPACE and not group):
            rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    subresource = "/".join([subresource, *rest[3:]]) if len(rest) > 3 else subresource
    verb = _VERBS.get(method, method.lower())
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
        if verb in ("list", "deletecollection"):
            name = name_in_field_selector(query.get("fieldSelector", ""))
        if verb == "list" and is_true(query.get("watch", "")):
            verb = "watch"
    return RequestInfo(
        verb=verb,
        path=path,
        group=group,
        version=version,
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def is_true(text: str) -> bool:
    """A boolean parameter."""
    return text.lower() in ("true", "1", "t")
