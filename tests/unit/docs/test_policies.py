"""docs/policies has one page per type of plugin, and its examples load."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import msgspec
import pytest

from epp.core.config.catalogue import PluginKind, PluginType
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.not_built import NOT_BUILT, PAGE
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.session_token import SessionKey

PAGES = Path(__file__).parents[3] / "docs" / "policies"
ELSEWHERE = frozenset((PluginKind.PARSER, PluginKind.REQUEST_HEADERS))
"""a parser is all said by its name, and these writers of headers do nothing"""
TYPES = tuple(plugin for plugin in CATALOGUE.types if plugin.kinds - ELSEWHERE)
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([A-Za-z.]+)` +\| (.*?) +\|", re.MULTILINE)


NOT_BUILT_ROW = re.compile(r"^\| `([a-z-]+)` +\| (.*?) +\| (.*?) +\|", re.MULTILINE)
LINK = re.compile(r"\[([a-z-]+)\]\(([a-z-]+)\.md\)")


def page_of(plugin: PluginType) -> str:
    return (PAGES / f"{plugin.name}.md").read_text(encoding="utf-8")


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def settings_of(kind: Any, path: str = "") -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """The parameters at any depth, as they are written; structs that only hold others are left out."""
    for option in get_args(kind) if isinstance(kind, UnionType) or get_args(kind) else (kind,):
        if isinstance(option, type) and issubclass(option, msgspec.Struct):
            for field in msgspec.structs.fields(option):
                inner = list(settings_of(field.type, f"{path}{field.encode_name}."))
                if not inner or "tuple" in str(field.type):
                    yield path + field.encode_name, field
                yield from inner


def test_every_type_has_a_page_and_every_page_a_type() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {Path(PAGE).stem}
    assert sorted(pages) == sorted(plugin.name for plugin in TYPES)


def test_the_page_of_what_is_not_built_says_what_the_code_says() -> None:
    rows = NOT_BUILT_ROW.findall((PAGES.parents[1] / PAGE).read_text(encoding="utf-8"))
    assert [name for name, _, _ in rows] == list(NOT_BUILT)
    for name, why, instead in rows:
        assert why == NOT_BUILT[name].why
        links = LINK.findall(instead)
        assert tuple(text for text, _ in links) == NOT_BUILT[name].instead
        assert all(text == target and text in CATALOGUE.names for text, target in links), name


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_is_not_built_is_a_mistake_that_says_so(name: str) -> None:
    text = f"apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: {name}\n"
    with pytest.raises(ConfigurationError, match=rf":4: plugins\[0\]\.type: {name} is not built here: .*{PAGE}"):
        load_config(text, "epp.yaml", CATALOGUE)
    assert CATALOGUE.find(name) is None


@pytest.mark.parametrize("plugin", TYPES, ids=lambda plugin: plugin.name)
def test_the_examples_load_and_use_the_plugin(plugin: PluginType) -> None:
    examples = EXAMPLE.findall(page_of(plugin))
    assert examples
    for example in examples:
        config = load_config(example, f"{plugin.name}.md", CATALOGUE)
        build_policy(config, SessionKey(b"k" * 32))
        assert plugin.name in [settings.type for settings in config.plugins]
        useless = [notice for notice in config.notices if "no effect" in notice.text]
        assert not useless or plugin.without_effect


@pytest.mark.parametrize("plugin", TYPES, ids=lambda plugin: plugin.name)
def test_the_parameters_are_those_of_the_code(plugin: PluginType) -> None:
    page = page_of(plugin)
    assert page.startswith(f"# {plugin.name}\n")
    assert section(page, "Formula").strip()
    assert all(kind.value in page for kind in plugin.kinds)
    rows = dict(ROW.findall(section(page, "Parameters")))
    fields = dict(settings_of(plugin.parameters))
    assert sorted(rows) == sorted(fields)
    for name, field in fields.items():
        assert rows[name].startswith("required") == field.required, name
        if isinstance(field.default, bool | int | float):
            assert number_of(rows[name]) == float(field.default), name
        elif isinstance(field.default, str) and field.default:
            assert rows[name] == f"`{field.default}`", name


def number_of(cell: str) -> float:
    """Of a cell such as `16`, `200ms` or `true`."""
    text = cell.split("`")[1]
    if text.endswith("ms"):
        return float(text[:-2]) / 1000.0
    return float(text == "true") if text in ("true", "false") else float(text)


@pytest.mark.parametrize("plugin", TYPES, ids=lambda plugin: plugin.name)
def test_a_parameter_without_effect_is_said_to_have_none(plugin: PluginType) -> None:
    table = section(page_of(plugin), "Parameters")
    for name in plugin.inert_fields:
        assert re.search(rf"^\| `([a-zA-Z.]*\.)?{name}` .*without effect", table, re.MULTILINE), name
