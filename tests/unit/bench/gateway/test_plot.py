"""The picture is well-formed, and a point is where its figures are."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from bench.gateway.plot import LABEL_STEP, Line, draw, lines_of
from tests.support.bench_findings import findings, usual_findings

SVG = "{http://www.w3.org/2000/svg}"


def test_lines_are_what_was_measured_with_two_sizes() -> None:
    lines = lines_of(usual_findings())
    assert [line.label for line in lines] == ["picker, grpcio", "picker, native", "Envoy, with native"]
    assert lines[1].points == ((800.0, 0.4), (220_000.0, 0.9))
    assert [line.is_dashed for line in lines] == [False, False, True]


def test_more_is_higher_and_larger_is_to_the_right() -> None:
    root = ET.fromstring(draw(lines_of(usual_findings())))  # noqa: S314  our own text
    drawn = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert len(drawn) == 3
    (left, low), (right, high) = [tuple(map(float, spot.split(","))) for spot in drawn[1]]
    assert left < right
    assert high < low, "y grows downwards"
    assert {"0.8 KB", "220 KB", "picker, native"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_labels_do_not_cover_one_another() -> None:
    lines = [Line(f"line {number}", "#000", ((1.0, 1.0), (10.0, 1.0 + number / 1000))) for number in range(5)]
    root = ET.fromstring(draw(lines))  # noqa: S314  our own text
    labels = sorted(float(text.get("y", 0)) for text in root.iter(f"{SVG}text") if (text.text or "").startswith("line"))
    assert all(below - above > LABEL_STEP - 0.2 for above, below in itertools.pairwise(labels))


def test_markup_in_a_label_is_text() -> None:
    ET.fromstring(draw([Line("a < b & c", "#000", ((1.0, 1.0), (2.0, 2.0)))]))  # noqa: S314  our own text


def test_nothing_to_draw() -> None:
    assert lines_of(findings()) == []
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([])
