"""docs/tutorials.md and the READMEs of the folders tell of the same steps and files."""

import re
from pathlib import Path

import pytest

from tests.support.manifest_files import MULTI, ROOT, SINGLE

SECTIONS = {
    SINGLE: ("## Serve an LLM with GKE Inference Gateway", (SINGLE,)),
    MULTI: ("## Set up the multi-cluster GKE Inference Gateway", (MULTI / "gke-west", MULTI / "gke-east")),
}
tutorials = pytest.mark.parametrize("folder", SECTIONS, ids=lambda folder: folder.name)


def steps(text: str) -> dict[int, str]:
    """Rows of tables by the number that they begin with; several rows of a number together."""
    found: dict[int, str] = {}
    for number, row in re.findall(r"^\| (\d+)\b(.*)$", text, re.MULTILINE):
        found[int(number)] = found.get(int(number), "") + row
    return found


def section(folder: Path) -> str:
    title, _ = SECTIONS[folder]
    page = (ROOT / "docs" / "tutorials.md").read_text()
    return page.partition(f"{title}")[2].partition("\n## ")[0]


@tutorials
def test_steps_are_numbered_alike(folder: Path) -> None:
    readme = (folder / "README.md").read_text().partition("## Slips")[0]
    assert steps(section(folder)).keys() == steps(readme).keys() == set(range(1, 11))


@tutorials
def test_every_file_is_told_of_at_its_step_and_no_other(folder: Path) -> None:
    _, clusters = SECTIONS[folder]
    files = {path.name for cluster in clusters for path in cluster.glob("[01]*.yaml")}
    told = {
        (number, name) for number, row in steps(section(folder)).items() for name in re.findall(r"`(\d\d-[^`]+)`", row)
    }
    assert {name for _, name in told} == files
    # The pool's file has the annotation of the step after it, too.
    assert {(number, name) for number, name in told if int(name[:2]) != number} <= {(6, "05-inference-pool.yaml")}


@tutorials
def test_every_step_says_what_works_without_a_cluster(folder: Path) -> None:
    rows = [row for row in section(folder).splitlines() if row.startswith("| ") and not row.startswith("| step")]
    assert len(rows) >= 15
    for row in rows:
        last = row.replace("\\|", "").rstrip("| ").rpartition("|")[2].strip()
        assert last == "Ctrl-C" or last.startswith(("**yes**", "**no**", "-")), row
        assert last != "**no**", "what is missing?"
