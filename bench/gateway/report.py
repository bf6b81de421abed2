"""Writes what a run found: JSON with everything, tables in Markdown, a plot; in docs/ between two markers."""

from pathlib import Path

import msgspec

from bench.gateway.findings import Findings
from bench.gateway.plot import draw, lines_of
from bench.gateway.tables import all_tables
from epp.app.whole_file import replace_file

PAGE, PLOT, JSON = "performance.md", "performance.svg", "performance.json"
BEGIN = "<!-- Written by `make bench ARGS=--write-docs` from here to the end marker. -->"
END = "<!-- End of what is written. -->"


class ReportError(Exception):
    """The page in docs/ has no place for the figures."""


def write_report(findings: Findings, folder: Path, *, docs: Path | None) -> str:
    """Files in `folder`, and in `docs` where that is given; what to say about it.

    Raises ReportError when the page of `docs` has no markers, ValueError when there is too little to draw for it.
    """
    tables = all_tables(findings)
    replace_file(folder / JSON, msgspec.json.format(msgspec.json.encode(findings)))
    replace_file(folder / PAGE, tables.encode())
    lines = lines_of(findings)
    if lines:
        replace_file(folder / PLOT, draw(lines).encode())
    said = [tables, f"also in {folder}: {JSON}, {PAGE}{f', {PLOT}' if lines else ''}"]
    if docs is not None:
        page = docs / PAGE
        replace_file(page, between_markers(page.read_text(), tables).encode())
        replace_file(docs / PLOT, draw(lines).encode())
        said.append(f"written: {page}, {docs / PLOT}")
    return "\n".join(said) + "\n"


def between_markers(page: str, tables: str) -> str:
    """The page with its figures replaced; raises ReportError."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ReportError(f"{PAGE} has no lines {BEGIN!r} and {END!r} to put the figures between")
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"
