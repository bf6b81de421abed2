"""x-kubernetes-validations: rules in the Common Expression Language, evaluated as an API server does.

Of the Kubernetes libraries isSorted, sum, min, max, indexOf, lastIndexOf, find and findAll are here; a rule that uses
another one (url, ip, quantity, authorizer) fails with a message that says so.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import cel

from epp.lab.kube_api.schema import Raw, Schema
from epp.lab.kube_api.status import Cause

_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_ERRORS = (RuntimeError, TypeError, ValueError, KeyError, IndexError, OverflowError, ZeroDivisionError)
NOTHING = object()
"""no old value: rules with oldSelf do not count"""


def rule_problems(value: Any, old: Any, schema: Schema, path: str) -> Iterator[Cause]:
    """Every rule that does not hold for the value or for a part of it. `old` is NOTHING on creation."""
    if value is None:
        return
    if schema.rules:
        self_value = _converted(value, schema)
        for rule in schema.rules:
            cause = _failed(rule, self_value, _converted(old, schema) if old is not NOTHING else NOTHING, schema, path)
            if cause is not None:
                yield cause
    if isinstance(value, dict):
        for name, part in value.items():
            below = schema.child(name)
            if below is not None:
                before = old.get(name, NOTHING) if isinstance(old, dict) else NOTHING
                yield from rule_problems(part, before, below, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list) and schema.items is not None:
        for index, each in enumerate(value):
            before = _same_item(each, old, schema)
            yield from rule_problems(each, before, schema.items, f"{path}[{index}]")


def _same_item(item: Any, old: Any, schema: Schema) -> Any:
    """The earlier form of an item of a list of type map; other lists have no such thing."""
    if schema.list_type != "map" or not isinstance(old, list):
        return NOTHING
    keys = [item.get(key) for key in schema.map_keys]
    return next((each for each in old if [each.get(key) for key in schema.map_keys] == keys), NOTHING)


def _failed(rule: Raw, value: Any, old: Any, schema: Schema, path: str) -> Cause | None:
    text = str(rule["rule"])
    variables: dict[str, Any] = {"self": value}
    if rule.get("optionalOldSelf"):
        variables["oldSelf"] = cel.OptionalValue.none() if old is NOTHING else cel.OptionalValue.of(old)
    elif "oldSelf" in compiled(text).variables():
        if old is NOTHING:
            return None
        variables["oldSelf"] = old
    try:
        result = compiled(text).execute(_context(variables))
    except _ERRORS as error:
        problem = f"rule evaluation error: {error}"
    else:
        if result is True:
            return None
        problem = _message(rule, variables)
    field = path + str(rule.get("fieldPath") or "")
    return Cause(
        field.lstrip("."), str(rule.get("reason") or "FieldValueInvalid"), f'Invalid value: "{schema.type}": {problem}'
    )


def _message(rule: Raw, variables: dict[str, Any]) -> str:
    if rule.get("messageExpression"):
        try:
            return str(compiled(str(rule["messageExpression"])).execute(_context(variables)))
        except _ERRORS:
            pass  # as a real server: the fixed message stands in for one that cannot be made
    return str(rule.get("message") or f"failed rule: {rule['rule']}")


@cache
def compiled(text: str) -> "cel.Program":
    """A rule, parsed once; raises ValueError."""
    return cel.compile(text)


def _context(variables: dict[str, Any]) -> "cel.Context":
    return cel.Context(variables, _FUNCTIONS)


def _index_of(values: Any, wanted: Any) -> int:
    if isinstance(values, str):
        return values.find(wanted)
    return values.index(wanted) if wanted in values else -1


def _last_index_of(values: Any, wanted: Any) -> int:
    if isinstance(values, str):
        return values.rfind(wanted)
    return len(values) - 1 - values[::-1].index(wanted) if wanted in values else -1


def _find(text: str, pattern: str) -> str:
    found = re.search(pattern, text)
    return found[0] if found else ""


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "isSorted": lambda values: list(values) == sorted(values),
    "sum": sum,
    "min": min,
    "max": max,
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "find": _find,
    "findAll": lambda text, pattern: [found[0] for found in re.finditer(pattern, text)],
}


def _converted(value: Any, schema: Schema) -> Any:
    """A JSON value in CEL's types: numbers are doubles, dates are timestamps, names are escaped."""
    if isinstance(value, dict):
        return {
            (_escaped(name) if name in schema.properties else name): _converted(part, schema.child(name) or _ANY)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_converted(each, schema.items or _ANY) for each in value]
    if schema.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and schema.raw.get("format") == "date-time":
        return dt.datetime.fromisoformat(value)
    return value


_ANY = Schema({})


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for mark, escape in _ESCAPES:
        name = name.replace(mark, escape)
    return name


def rule_text_problem(rule: Raw) -> str:
    """Why a rule cannot be compiled; "" when it can."""
    try:
        program = compiled(str(rule.get("rule", "")))
        if rule.get("messageExpression"):
            compiled(str(rule["messageExpression"]))
    except ValueError as error:
        return str(error).splitlines()[0]
    unknown = set(program.variables()) - {"self", "oldSelf"} - _bound_names(str(rule["rule"]))
    return f"undeclared reference to '{min(unknown)}'" if unknown else ""


def _bound_names(text: str) -> set[str]:
    """Variables of comprehensions: `self.all(x, ...)`."""
    return set(
        re.findall(r"\.(?:all|exists|exists_one|map|filter|transformList|transformMap)\(\s*(\w+)\s*,", text)
    ) | set(
        re.findall(r"\.(?:all|exists|exists_one|existsOne|transformList|transformMap)\(\s*\w+\s*,\s*(\w+)\s*,", text)
    )
