"""docs/settings.md is what the flags say."""

import pytest

from epp.app.describe_flags import PAGE, main, page
from epp.app.flags import FLAGS
from tests.support.compiled import on_sources


@on_sources
def test_the_document_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m epp.app.describe_flags --write"


def test_every_flag_has_exactly_one_row_and_those_of_a_cluster_one_more() -> None:
    rows = [line.split(" | ")[0] for line in page().splitlines() if line.startswith("| `")]
    names = [row.strip("| `").rpartition("--")[2] for row in rows]
    for_a_cluster = [flag.name for flag in FLAGS if flag.without_cluster]
    assert sorted(names) == sorted([*(flag.name for flag in FLAGS), *for_a_cluster])


def test_every_row_has_as_many_cells_as_its_head() -> None:
    columns = 0
    for line in page().splitlines():
        bars = line.replace(r"\|", "").count("|")
        if line.startswith("| Flag"):
            columns = bars
        assert not line.startswith("|") or bars == columns, line


def test_without_write_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out == page()
