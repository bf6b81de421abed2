"""The parameters of a request, read from its query and its DeleteOptions; raises ApiError for what cannot be."""

from collections.abc import Mapping

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.request_info import is_true
from epp.lab.kube_api.status import Cause, bad_request, forbidden_field, invalid

_GROUP_OF_OPTIONS = "meta.k8s.io"
FIELD_VALIDATION = ("Strict", "Warn", "Ignore")


class WriteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of create, update, patch."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of list and watch. `revision` is None where the client named none."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    revision: int | None = None
    match: str = ""
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout_s: float | None = None


class DeleteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Of delete and deletecollection."""

    dry_run: bool = False
    propagation: str = ""
    grace_s: int | None = None
    uid: str = ""
    resource_version: str = ""


def write_options(query: Mapping[str, str], user_agent: str) -> WriteOptions:
    """From the query; the field manager is the program's name unless it is told."""
    validation = query.get("fieldValidation") or "Warn"
    if validation not in FIELD_VALIDATION:
        cause = Cause("fieldValidation", "FieldValueNotSupported", f'Unsupported value: "{validation}"')
        raise invalid("CreateOptions", _GROUP_OF_OPTIONS, "", [cause])
    manager = query.get("fieldManager") or user_agent.partition("/")[0] or "unknown"
    if len(manager) > 128:
        raise invalid("PatchOptions", _GROUP_OF_OPTIONS, "", [Cause("fieldManager", "FieldValueTooLong", "Too long")])
    return WriteOptions(
        dry_run=_dry_run(query.get("dryRun", "")),
        field_manager=manager,
        field_validation=validation,
        force=is_true(query.get("force", "")),
    )


def _dry_run(text: str) -> bool:
    if text not in ("", "All"):
        cause = Cause("dryRun", "FieldValueNotSupported", f'Unsupported value: "{text}": supported values: "All"')
        raise invalid("CreateOptions", _GROUP_OF_OPTIONS, "", [cause])
    return text == "All"


def list_options(query: Mapping[str, str], *, watch: bool) -> ListOptions:
    """From the query."""
    initial = query.get("sendInitialEvents", "")
    options = ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=_count(query, "limit"),
        continue_token=query.get("continue", ""),
        revision=_revision(query.get("resourceVersion", "")),
        match=query.get("resourceVersionMatch", ""),
        bookmarks=is_true(query.get("allowWatchBookmarks", "")),
        initial_events=is_true(initial) if initial else None,
        timeout_s=float(_count(query, "timeoutSeconds")) or None,
    )
    problem = _watch_problem(options) if watch else _list_problem(options)
    if problem is not None:
        raise invalid("ListOptions", _GROUP_OF_OPTIONS, "", [problem])
    return options


def _watch_problem(options: ListOptions) -> Cause | None:
    if options.initial_events is None:
        if options.match:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            return forbidden_field("resourceVersionMatch", text)
        return None
    if options.match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        return forbidden_field("resourceVersionMatch", text)
    return None


def _list_problem(options: ListOptions) -> Cause | None:
    if options.initial_events is not None:
        return forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if not options.match:
        return None
    if options.continue_token:
        text = "resourceVersionMatch is forbidden when continue is provided"
        return forbidden_field("resourceVersionMatch", text)
    if options.revision is None:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        return forbidden_field("resourceVersionMatch", text)
    if options.match not in ("Exact", "NotOlderThan"):
        text = f'Unsupported value: "{options.match}": supported values: "Exact", "NotOlderThan", ""'
        return Cause("resourceVersionMatch", "FieldValueNotSupported", text)
    if options.match == "Exact" and options.revision == 0:
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        return forbidden_field("resourceVersionMatch", text)
    return None


def _count(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "")
    if not text:
        return 0
    if not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return max(int(text), 0)


def _revision(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def delete_options(query: Mapping[str, str], body: Json) -> DeleteOptions:
    """From the body where there is one, which wins, else from the query."""
    if body and body.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"{body['kind']} cannot be handled as DeleteOptions")
    preconditions = body.get("preconditions") or {}
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
    if propagation not in ("", "Orphan", "Background", "Foreground"):
        text = f'Unsupported value: "{propagation}": supported values: "Background", "Foreground", "Orphan"'
        cause = Cause("propagationPolicy", "FieldValueNotSupported", text)
        raise invalid("DeleteOptions", _GROUP_OF_OPTIONS, "", [cause])
    if body.get("orphanDependents") is not None:
        propagation = "Orphan" if body["orphanDependents"] else "Background"
    dry_run = (body.get("dryRun") or [query.get("dryRun", "")])[0]
    return DeleteOptions(
        dry_run=_dry_run(dry_run),
        propagation=propagation,
        grace_s=None if grace is None else int(grace),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
    )
