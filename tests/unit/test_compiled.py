"""What is compiled: the list in pyproject.toml, and which of both the tests run on."""

import ast
import importlib
import tomllib
from pathlib import Path

import pytest

from tests.support.compiled import IS_COMPILED

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["modules"]


def test_the_list_is_sorted_and_names_files() -> None:
    assert sorted(set(MODULES)) == MODULES
    assert [path for path in MODULES if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("path", MODULES)
def test_no_class_depends_on_what_mypyc_drops(path: str) -> None:
    """Keywords of a class statement, and the types of a struct's fields; see epp.core.domain.value."""
    classes = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.ClassDef)]
    assert [node.name for node in classes if node.keywords] == []
    assert [node.name for node in classes if "msgspec.Struct" in map(ast.unparse, node.bases)] == []


def test_no_class_of_the_sources_derives_from_a_compiled_one() -> None:
    """Python refuses that when such a class is made, which may be late."""
    compiled = {path.removesuffix(".py").replace("/", ".") for path in MODULES}
    native = {name for path in MODULES for name in plain_classes(ROOT / path)}
    found = []
    for path in (ROOT / "epp").rglob("*.py"):
        tree = ast.parse(path.read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module in compiled]
        imported = {alias.name for node in imports for alias in node.names} & native
        if str(path.relative_to(ROOT)) not in MODULES and "_pb" not in path.parts:
            classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
            found += [f"{path.name}: {node.name}" for node in classes if imported & set(map(ast.unparse, node.bases))]
    assert found == []


def plain_classes(path: Path) -> set[str]:
    """Those that are no structs."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    return {node.name for node in classes if not {"Value", "Leaf"} & set(map(ast.unparse, node.bases))}


@pytest.mark.parametrize("path", MODULES)
def test_the_tests_run_on_what_they_are_meant_to_run_on(path: str) -> None:
    """`make test-compiled` sets EPP_EXPECT_COMPILED, so that it cannot run on the sources by mistake."""
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    expected = ".so" if IS_COMPILED else ".py"
    assert Path(str(module.__file__)).suffix == expected
