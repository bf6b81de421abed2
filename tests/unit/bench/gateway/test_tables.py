"""Figures in Markdown."""

from bench.gateway.tables import all_tables, cpu_table, latency_table, overload_table, rest_table, table
from tests.support.bench_findings import findings, usual_findings

FOUND = usual_findings().findings


def test_cpu_is_grouped_by_prompt() -> None:
    lines = cpu_table(FOUND).splitlines()
    assert lines[2] == "| 0.8 KB | no picker | 500 |  | 1.000 |  |  |  | 0.2 | 0 |"
    assert lines[3] == "| 0.8 KB | grpcio | 500 | 1.600 | 1.000 | 1.60 | 70 | 3.0 | 0.2 | 0 |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 0.8 KB"] * 4 + ["| 220 KB"] * 2


def test_latency_is_what_is_added() -> None:
    lines = latency_table(FOUND).splitlines()
    assert lines[2:] == [
        "| 0.8 KB | no picker | 300 | 1.00 | 3.00 | 2.00 | 4.00 | 0.2 | 0 |",
        "| 0.8 KB | native | 300 | +1.50 | -0.25 | +1.50 | -0.25 | 0.2 | 0 |",
    ]


def test_overload_and_rest() -> None:
    assert overload_table(FOUND).splitlines()[2] == "| 0.8 KB | native | 1,000 | 500 | 2 | 4 | 70 | 0 |"
    assert rest_table(FOUND).splitlines()[2:] == [
        "| native | 10 s after a load of 1 MB prompts |  | 150 (60 + 90) |",
        "| native | idle, 10 pods | 0.013 | 65 |",
    ]


def test_the_machine_is_named_and_empty_tables_are_left_out() -> None:
    text = all_tables(usual_findings())
    assert text.startswith("Measured 2026-01-31 12:00 UTC on Some CPU, 2 cores, 24 GiB, with Python 3.11.7 and Envoy ")
    assert "### Problems" not in text
    assert "| native, 2 workers | not available | --workers: this version / serves from one process |" in text
    assert "| decide, 10 pods, 2 KB | 61.2 | 0.00670 |" in text
    assert "### Overload" not in all_tables(findings())


def test_a_table_without_rows() -> None:
    assert table(("a", "b"), []) == ""
