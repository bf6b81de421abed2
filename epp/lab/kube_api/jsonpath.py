"""The part of JSONPath that printer columns use: fields, indices, `[*]`, and filters `[?(@.type=="Ready")]`."""

import re
from typing import Any

_STEP = re.compile(
    r"\.(?P<name>(?:[^.\[\\]|\\.)+)"
    r"|\[(?P<index>-?\d+)\]"
    r"|\[(?P<quote>['\"])(?P<quoted>[^'\"]*)(?P=quote)\]"
    r"|(?P<all>\[\*\])"
    r"|\[\?\(@\.(?P<field>[^=!]+?)\s*==\s*['\"]?(?P<value>[^'\")]*)['\"]?\)\]"
)


class BadPath(ValueError):
    """No path that can be read."""


def found_at(value: Any, path: str) -> list[Any]:
    """Everything that a path leads to; raises BadPath."""
    path = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    path = path if path.startswith((".", "[")) else f".{path}"
    here, at = [value], 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise BadPath(f"{path[at:]!r} is no step of a path")
        at = step.end()
        here = [found for each in here for found in _taken(each, step)]
    return here


def _taken(value: Any, step: re.Match[str]) -> list[Any]:
    name = step["quoted"] if step["quote"] else step["name"]
    if name is not None:
        name = name.replace("\\", "")
        return [value[name]] if isinstance(value, dict) and name in value else []
    if not isinstance(value, list):
        return list(value.values()) if step["all"] and isinstance(value, dict) else []
    if step["index"] is not None:
        return value[int(step["index"]) :][:1]
    if step["all"]:
        return list(value)
    wanted = step["value"]
    return [each for each in value if any(_text(found) == wanted for found in found_at(each, step["field"]))]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
