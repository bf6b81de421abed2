"""Files of a report, and the place of its figures in docs/performance.md."""

from pathlib import Path

import msgspec
import pytest

from bench.gateway.findings import Findings
from bench.gateway.report import BEGIN, END, JSON, PAGE, PLOT, ReportError, between_markers, write_report
from tests.support.bench_findings import findings, usual_findings

DOCS = Path(__file__).resolve().parents[4] / "docs"


def test_a_report_holds_everything_that_was_found(tmp_path: Path) -> None:
    said = write_report(usual_findings(), tmp_path, docs=None)
    assert msgspec.json.decode((tmp_path / JSON).read_bytes(), type=Findings) == usual_findings()
    assert (tmp_path / PAGE).read_text() in said
    assert (tmp_path / PLOT).read_text().startswith("<svg")
    assert str(tmp_path) in said


def test_a_part_has_no_plot(tmp_path: Path) -> None:
    write_report(findings(), tmp_path, docs=None)
    assert not (tmp_path / PLOT).exists()


def test_the_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / PAGE
    page.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nmore\n")
    for _ in range(2):
        write_report(usual_findings(), tmp_path / "..", docs=tmp_path)
        text = page.read_text()
        assert text.startswith(f"# Title\n\n{BEGIN}\n\nMeasured 2026-01-31")
        assert text.endswith(f"\n{END}\n\nmore\n")
        assert "old" not in text
    assert (tmp_path / PLOT).exists()


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ReportError, match=r"performance\.md has no lines"):
        between_markers("# Title\n", "figures")


def test_the_page_of_this_project_has_its_markers_and_figures() -> None:
    text = (DOCS / PAGE).read_text()
    assert between_markers(text, "figures") != text
    assert "### Targets" in text
    assert (DOCS / PLOT).read_text().startswith("<svg")
