from pathlib import Path

from epp.edge.observe.describe import page

DOCUMENT = Path(__file__).parents[4] / "docs" / "metrics.md"


def test_the_document_is_what_the_catalogue_says() -> None:
    assert DOCUMENT.read_text() == page(), "run: python -m epp.edge.observe.describe > docs/metrics.md"
