"""Reads pieces of a document into typed structs and reports everything that does not fit, not just the first fault."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from epp.core.config.durations import Seconds, parse_duration
from epp.core.config.mistakes import Findings, did_you_mean
from epp.core.config.quantities import Quantity, parse_quantity
from epp.core.yaml import Path, located

T = TypeVar("T")


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Base of everything that is read from the file; names are camelCase there."""


def read(value: object, expected: type[T], path: Path, findings: Findings) -> T | None:
    """The `value` found at `path` as an `expected`; None when it has mistakes, all of which are then in `findings`."""
    before = len(findings.mistakes)
    path = tuple(path)
    cleaned = _clean(value, expected, path, findings)
    if len(findings.mistakes) > before:
        return None
    return _convert(cleaned, expected, path, findings)


def read_at(path: Path, expected: type[T], findings: Findings) -> T | None:
    """As `read`, for what the document has at `path`; None also when there is nothing."""
    value = value_at(path, findings)
    return None if value is None else read(value, expected, path, findings)


def read_entries(path: Path, expected: type[T], findings: Findings) -> Iterator[tuple[tuple[str | int, ...], T]]:
    """The good entries of the list at `path`, each with its own path; nothing when there is no list."""
    value = value_at(path, findings)
    if value is None:
        return
    if not isinstance(value, list):
        findings.mistake(path, f"expected a list, got {_kind(value)}")
        return
    for index, entry in enumerate(value):
        entry_path = (*path, index)
        good = read(entry, expected, entry_path, findings)
        if good is not None:
            yield entry_path, good


def check_keys(value: dict[str, Any], known: tuple[str, ...], path: Path, findings: Findings) -> None:
    """Reports the keys that are not `known`."""
    for key in value:
        if key not in known:
            findings.mistake(
                (*path, key), "unknown field", did_you_mean(key, known) if known else "there are none here"
            )


def value_at(path: Path, findings: Findings) -> object:
    """What the document has at `path`, None when there is nothing."""
    try:
        return findings.document.value_at(path)
    except (KeyError, IndexError, TypeError):
        return None


def _clean(value: object, expected: Any, path: tuple[str | int, ...], findings: Findings) -> object:
    """The value without nulls (they mean "not set", as in Go); reports what does not fit."""
    if isinstance(expected, UnionType):
        options = [option for option in get_args(expected) if option is not NoneType]
        if len(options) == 1:
            return _clean(value, options[0], path, findings)
    if isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        return _clean_struct(value, expected, path, findings)
    if get_origin(expected) is tuple:
        if not isinstance(value, list):
            findings.mistake(path, f"expected a list, got {_kind(value)}")
            return value
        inner = get_args(expected)[0]
        return [_clean(item, inner, (*path, index), findings) for index, item in enumerate(value)]
    if get_origin(expected) is Literal:
        words = [str(word) for word in get_args(expected)]
        if value not in words:
            findings.mistake(path, f"{value!r} is not one of {', '.join(words)}", did_you_mean(str(value), words))
        return value
    _convert(value, expected, path, findings)
    return value


def _clean_struct(
    value: object, expected: type[msgspec.Struct], path: tuple[str | int, ...], findings: Findings
) -> object:
    if not isinstance(value, dict):
        findings.mistake(path, f"expected a mapping, got {_kind(value)}")
        return value
    fields = msgspec.structs.fields(expected)
    check_keys(value, tuple(field.encode_name for field in fields), path, findings)
    cleaned = {}
    for field in fields:
        name = field.encode_name
        if value.get(name) is not None:
            cleaned[name] = _clean(value[name], field.type, (*path, name), findings)
        elif field.required:
            findings.mistake(path, f"the required field {name!r} is missing")
    return cleaned


def _convert(value: object, expected: type[T], path: tuple[str | int, ...], findings: Findings) -> T | None:
    try:
        return msgspec.convert(value, expected, dec_hook=_decode)
    except msgspec.ValidationError as error:
        problem, inner = located(error, value)
        findings.mistake((*path, *inner), problem)
        return None


def _decode(expected: type, value: object) -> object:
    if expected is Seconds:
        if isinstance(value, str):
            return parse_duration(value)
        raise ValueError(f"expected a duration such as 200ms, 5s or 1m30s, got {_kind(value)}")
    if expected is Quantity:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return parse_quantity(str(value))
        raise ValueError(f"expected a quantity such as 5000, 1G or 10Mi, got {_kind(value)}")
    raise NotImplementedError(f"fields of type {expected} cannot be read from YAML")


def _kind(value: object) -> str:
    kinds = {dict: "a mapping", list: "a list", str: "a text", bool: "a boolean", NoneType: "nothing"}
    return kinds.get(type(value), "a number")
