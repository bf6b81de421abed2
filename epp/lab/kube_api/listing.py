"""Lists: which objects, from which version, in which pages."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence

import msgspec

from epp.lab.kube_api.options import ListOptions
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.selectors import Condition, field_condition, label_condition
from epp.lab.kube_api.status import bad_request, expired, too_large_version
from epp.lab.kube_api.storage import Key, Shelf, Store, Stored, TooOld

TOO_OLD_TO_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
TOO_OLD = "The resourceVersion for the provided list is too old."


class Page(msgspec.Struct, frozen=True):
    """A part of a list. `remaining` is None where it is not told."""

    items: Sequence[Stored]
    revision: int
    continue_token: str = ""
    remaining: int | None = None


class _Token(msgspec.Struct, frozen=True):
    rv: int
    start: Key
    v: str = "meta.k8s.io/v1"


def selection(resource: Resource, options: ListOptions) -> Condition | None:
    """Both selectors together, None where there are none; raises ApiError 400."""
    conditions = []
    if options.label_selector:
        conditions.append(label_condition(options.label_selector))
    if options.field_selector:
        conditions.append(field_condition(options.field_selector, resource.storage_key, resource.selectable))
    if not conditions:
        return None
    return lambda value: all(condition(value) for condition in conditions)


def list_page(store: Store, resource: Resource, namespace: str, options: ListOptions) -> Page:
    """The page that a client asks for; raises ApiError 400, 410 or 504.

    Without a version it is the latest state; `0` is any state, and then all of it, whatever the limit; another one is
    at least that state, or exactly that with `Exact` or with a limit and no match.
    """
    shelf = store.shelf(resource.storage_key)
    condition = selection(resource, options)
    if options.continue_token:
        if options.revision:
            raise bad_request("specifying resource version is not allowed when using continue")
        token = _read_token(options.continue_token)
        return _page(
            store, shelf, namespace, condition, limit=options.limit, token=token, inconsistent_from=token.start
        )
    if options.revision and options.revision > store.revision:
        raise too_large_version(options.revision, store.revision)
    exact = options.match == "Exact" or (options.revision and options.limit and not options.match)
    revision = options.revision if exact and options.revision else store.revision
    limit = 0 if options.revision == 0 else options.limit
    return _page(store, shelf, namespace, condition, limit=limit, token=_Token(revision, ("", "")))


def _page(
    store: Store,
    shelf: Shelf,
    namespace: str,
    condition: Condition | None,
    *,
    limit: int,
    token: _Token,
    inconsistent_from: Key | None = None,
) -> Page:
    # A token with version -1 goes on in the latest state: what a client gets with the 410 of an old token.
    revision = token.rv if token.rv >= 0 else store.revision
    try:
        objects = shelf.objects if revision == store.revision else shelf.at(revision)
    except TooOld as error:
        if inconsistent_from is None:
            raise expired(TOO_OLD) from error
        raise expired(TOO_OLD_TO_CONTINUE, _written(_Token(-1, inconsistent_from))) from error
    keys = sorted(key for key in objects if namespace in ("", key[0]) and key >= token.start)
    items: list[Stored] = []
    for index, key in enumerate(keys):
        if limit and len(items) == limit:
            left = None if condition else len(keys) - index
            return Page(items, revision, _written(_Token(revision, key)), left)
        if condition is None or condition(objects[key].value):
            items.append(objects[key])
    return Page(items, revision)


def _written(token: _Token) -> str:
    return urlsafe_b64encode(msgspec.json.encode(token)).rstrip(b"=").decode()


def _read_token(text: str) -> _Token:
    try:
        return msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (Base64Error, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise bad_request(f"continue key is not valid: {error}") from error
