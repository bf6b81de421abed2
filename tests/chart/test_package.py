"""The chart as a package: metadata, its page, and what a newcomer reads in values.yaml."""

import re
import tarfile
from pathlib import Path

import yaml

from epp import __version__
from tests.support.chart_readme import PAGE, table, values, with_table
from tests.support.helm_chart import CHART, ROOT, run_helm

SEMANTIC_VERSION = re.compile(r"\d+\.\d+\.\d+")


def metadata() -> dict[str, str]:
    described: dict[str, str] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return described


def test_the_application_is_this_version_of_the_picker() -> None:
    assert metadata()["appVersion"] == __version__
    assert metadata()["name"] == CHART.name
    assert SEMANTIC_VERSION.fullmatch(metadata()["version"])


def test_it_can_be_packed_and_installed_from_the_package(tmp_path: Path) -> None:
    run_helm("package", str(CHART), "--destination", str(tmp_path))
    package = tmp_path / f"inferencepool-{metadata()['version']}.tgz"
    with tarfile.open(package) as archive:
        packed = {Path(name).relative_to("inferencepool") for name in archive.getnames()}
    kept = {path.relative_to(CHART) for path in CHART.rglob("*") if path.is_file() and path.name != ".helmignore"}
    assert packed - {Path(".helmignore")} == kept
    rendered = run_helm("template", "pool", str(package), "--set=inferencePool.modelServers.matchLabels.app=vllm")
    assert "kind: InferencePool" in rendered


def test_it_brings_no_resource_definitions() -> None:
    assert not (CHART / "crds").exists()


def test_the_table_of_values_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert table() in page, "run: python -m tests.support.chart_readme --write"
    assert with_table(page) == page


def test_every_value_is_named_in_the_values_file() -> None:
    """With its default, or in a comment."""
    text = (CHART / "values.yaml").read_text()
    missing = [each.path for each in values() if not re.search(rf"\b{each.path.rpartition('.')[2]}\b", text)]
    assert missing == []


def test_every_group_of_values_has_a_comment() -> None:
    """Above it, or, where it is only a place, above the values in it."""
    lines = (CHART / "values.yaml").read_text().splitlines()
    bare = [
        line.strip()
        for above, line in zip(["", *lines], lines, strict=False)
        if re.match(r"[a-zA-Z]", line) and not above.startswith("#")
    ]
    assert set(bare) <= {"provider:", "gke:"}


def test_the_commands_of_the_page_name_the_chart() -> None:
    commands = re.findall(r"helm install [^`]+?(?=\n\n|```)", PAGE.read_text())
    assert len(commands) == 5
    for command in commands:
        assert str(CHART.relative_to(ROOT)) in command
