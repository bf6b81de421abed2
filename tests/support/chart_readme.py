"""The table of values in the chart's README, made from values.schema.json (what) and values.yaml (defaults).

python -m tests.support.chart_readme --write     writes the table anew
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from tests.support.helm_chart import CHART

PAGE = CHART / "README.md"
BEGIN = "<!-- made by python -m tests.support.chart_readme --write -->\n"
END = "<!-- end of the table -->\n"
OF_HELM = "global"


class Value(msgspec.Struct, frozen=True):
    """A value that the chart takes; default None: it is not set."""

    path: str
    default: Any
    meaning: str


def values() -> Iterator[Value]:
    """In the order of the schema."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    properties = {name: each for name, each in schema["properties"].items() if name != OF_HELM}
    yield from _below("", {**schema, "properties": properties}, defaults)


def table() -> str:
    """In Markdown, with the marks around it."""
    rows = [f"| `{each.path}` | {_default(each.default)} | {each.meaning} |\n" for each in values()]
    return "".join([BEGIN, "\n| Value | Default | Meaning |\n|---|---|---|\n", *rows, "\n", END])


def with_table(page: str) -> str:
    """The page with a new table in the place of the old one."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + table() + after


def _below(path: str, schema: Mapping[str, Any], defaults: Any) -> Iterator[Value]:
    for name, each in schema["properties"].items():
        default = defaults.get(name) if isinstance(defaults, dict) else None
        if "properties" in each:
            yield from _below(f"{path}{name}.", each, default)
        else:
            yield Value(path + name, default, each["description"])


def _default(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) and value else json.dumps(value)
    return f"`{text}`"


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.chart_readme", description="the table of values")
    parser.add_argument("--write", action="store_true", required=True, help="write the README")
    parser.parse_args(arguments)
    PAGE.write_text(with_table(PAGE.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
