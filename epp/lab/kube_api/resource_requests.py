"""The verbs on resources: from a parsed request to an answer. Authorisation has been done before."""

from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from epp.lab.kube_api.body import read_json, read_object
from epp.lab.kube_api.json_object import Json, metadata_of
from epp.lab.kube_api.listing import list_page
from epp.lab.kube_api.machinery import Machinery
from epp.lab.kube_api.options import DeleteOptions, WriteOptions, delete_options, list_options, write_options
from epp.lab.kube_api.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, json_patch, merge_patch
from epp.lab.kube_api.representation import Representation, wanted_form
from epp.lab.kube_api.request_info import RequestInfo
from epp.lab.kube_api.resources import REVIEWS, Resource
from epp.lab.kube_api.responses import answer
from epp.lab.kube_api.status import (
    PageNotFound,
    bad_request,
    invalid,
    method_not_allowed,
    not_found,
    required,
    unsupported_media_type,
)
from epp.lab.kube_api.storage import Stored
from epp.lab.kube_api.strategic_merge import StrategicMerge
from epp.lab.kube_api.token_requests import TokenRequests
from epp.lab.kube_api.users import User
from epp.lab.kube_api.writes import Outcome, Target


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a resource, with everything that its verb needs."""

    info: RequestInfo
    resource: Resource
    query: Mapping[str, str]
    content_type: str
    accept: str
    user: User
    user_agent: str
    body: bytes

    @property
    def target(self) -> Target:
        """What it is about."""
        return Target(
            resource=self.resource,
            namespace=self.info.namespace if self.resource.namespaced else "",
            name=self.info.name,
            subresource=self.info.subresource,
        )


def find_resource(machinery: Machinery, info: RequestInfo) -> Resource:
    """The resource of a request; raises PageNotFound, or ApiError 405 for a verb that it does not have."""
    resource = machinery.catalogue.find(info.group, info.version, info.resource)
    if resource is None or (info.subresource and info.subresource not in resource.subresources):
        raise PageNotFound
    of_a_collection = info.verb in ("list", "watch", "deletecollection")
    misplaced = bool(info.namespace) and info.resource != "namespaces"
    if misplaced is not resource.namespaced and not (resource.namespaced and (of_a_collection or not info.name)):
        raise PageNotFound
    verbs = resource.verbs
    if info.subresource:
        verbs = ("create",) if info.subresource == "token" else ("get", "patch", "update")
    of_an_object = info.verb != "create" or info.subresource == "token"
    if info.verb not in verbs or (not of_a_collection and bool(info.name) is not of_an_object):
        raise method_not_allowed(info.verb, resource.plural, resource.group)
    return resource


class ResourceRequests:
    """Carries out every verb but watch."""

    def __init__(self, machinery: Machinery, clock: Callable[[], float]) -> None:
        self._machinery = machinery
        self._clock = clock
        self._token_requests = TokenRequests(machinery.store, machinery.tokens, clock)
        self._verbs: Mapping[str, Callable[[Call], web.Response]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def representation(self, call: Call) -> Representation:
        """The form that the client asked for; raises ApiError 400 or 406."""
        return Representation(call.resource, wanted_form(call.accept, call.query), self._clock)

    def carry_out(self, call: Call) -> web.Response:
        """The answer; raises ApiError."""
        return self._verbs[call.info.verb](call)

    def _get(self, call: Call) -> web.Response:
        target = call.target
        stored = self._machinery.store.get(call.resource.storage_key, target.key)
        if stored is None:
            raise not_found(call.resource.plural, call.resource.group, target.name)
        return answer(self.representation(call).one(stored), warnings=_deprecation(call))

    def _list(self, call: Call) -> web.Response:
        page = list_page(
            self._machinery.store, call.resource, call.target.namespace, list_options(call.query, watch=False)
        )
        return answer(self.representation(call).page(page), warnings=_deprecation(call))

    def _create(self, call: Call) -> web.Response:
        body, twice = read_object(call.body, call.content_type)
        if call.resource.storage_key in REVIEWS:
            review = self._machinery.reviews.answer(call.resource, call.info.namespace, body, call.user)
            return answer(msgspec.json.encode(review), 201)
        if call.info.subresource == "token":
            return answer(msgspec.json.encode(self._token_requests.answer(call.target, body)), 201)
        if call.resource.namespaced and not call.info.namespace:
            raise bad_request("an empty namespace may not be set during creation")
        options = self._strict(call, twice)
        return self._written(call, self._machinery.writes.create(call.target, body, options), twice)

    def _update(self, call: Call) -> web.Response:
        body, twice = read_object(call.body, call.content_type)
        if call.info.subresource == "finalize":
            return self._finalize(call, body)
        options = self._strict(call, twice)
        return self._written(call, self._machinery.writes.update(call.target, body, options), twice)

    def _patch(self, call: Call) -> web.Response:
        options = write_options(call.query, call.user_agent)
        if call.content_type == APPLY_PATCH:
            return self._apply(call, options)
        change = self._change(call)
        return self._written(call, self._machinery.writes.patch(call.target, change, options), ())

    def _apply(self, call: Call, options: WriteOptions) -> web.Response:
        if not call.query.get("fieldManager"):
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        body, twice = read_object(call.body, call.content_type)
        if twice and options.field_validation == "Strict":
            raise bad_request(f"error decoding YAML: strict decoding error: {', '.join(twice)}")
        return self._written(call, self._machinery.apply.apply(call.target, body, options), twice)

    def _change(self, call: Call) -> Callable[[Json], Json]:
        accepted = [JSON_PATCH, MERGE_PATCH, *(() if call.resource.custom else (STRATEGIC_PATCH,))]
        if call.content_type not in accepted:
            raise unsupported_media_type([*accepted, APPLY_PATCH])
        patch, _ = read_json(call.body)
        if call.content_type == JSON_PATCH:
            return lambda value: json_patch(value, patch)
        if not isinstance(patch, dict):
            raise bad_request("error decoding patch: the patch is no JSON object")
        if call.content_type == STRATEGIC_PATCH:
            strategic = StrategicMerge(self._machinery.schemas.of(call.resource.api_version, call.resource.kind))
            return lambda value: strategic.patched(value, patch)
        return lambda value: merge_patch(value, patch)

    def _delete(self, call: Call) -> web.Response:
        body = read_object(call.body, call.content_type)[0] if call.body else {}
        options = delete_options(call.query, body)
        told = self._machinery.deletion.delete(call.resource, call.target.key, options)
        return answer(self.representation(call).value(told))

    def _delete_collection(self, call: Call) -> web.Response:
        body = read_object(call.body, call.content_type)[0] if call.body else {}
        options = delete_options(call.query, body)
        page = list_page(
            self._machinery.store, call.resource, call.target.namespace, list_options(call.query, watch=False)
        )
        for stored in page.items:
            self._delete_one(call.resource, stored, options)
        return answer(self.representation(call).page(page))

    def _delete_one(self, resource: Resource, stored: Stored, options: DeleteOptions) -> None:
        metadata = metadata_of(stored.value)
        key = (metadata.get("namespace", ""), metadata["name"])
        if self._machinery.store.get(resource.storage_key, key) is not None:
            self._machinery.deletion.delete(resource, key, options)

    def _finalize(self, call: Call, body: Json) -> web.Response:
        """Of a namespace: sets spec.finalizers."""
        stored = self._machinery.store.get("/namespaces", call.target.key)
        if stored is None:
            raise not_found("namespaces", "", call.target.name)
        changed = {**stored.value, "spec": body.get("spec") or {}}
        written = self._machinery.store.put("/namespaces", call.target.key, changed)
        done = self._machinery.deletion.finish(call.resource, call.target.key, written)
        return answer(msgspec.json.encode(done.value))

    def _strict(self, call: Call, twice: tuple[str, ...]) -> WriteOptions:
        options = write_options(call.query, call.user_agent)
        if twice and options.field_validation == "Strict":
            kind = call.resource.kind
            problem = f"strict decoding error: {', '.join(twice)}"
            raise bad_request(f'{kind} in version "{call.resource.version}" cannot be handled as a {kind}: {problem}')
        return options

    def _written(self, call: Call, outcome: Outcome, twice: tuple[str, ...]) -> web.Response:
        quiet = call.query.get("fieldValidation") == "Ignore"
        warnings = [*_deprecation(call), *outcome.warnings, *(() if quiet else twice)]
        body = self.representation(call).value(outcome.value)
        return answer(body, 201 if outcome.created else 200, warnings=warnings)


def _deprecation(call: Call) -> tuple[str, ...]:
    return (call.resource.warning,) if call.resource.warning else ()
