import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from epp.edge.observe import cells, families
from epp.edge.observe.exposition import OPENMETRICS, TEXT, Series, accepted_format, family_lines
from epp.edge.observe.families import Exposed, Family

COUNTER = Family("counter", "Things.", own=Exposed("things_total", (("kind", 0),)))
HISTOGRAM = Family("histogram", "Sizes.", own=Exposed("sizes", (("kind", 0),)), buckets=(1.0, 2.5))


def text(family: Family, *series: Series) -> str:
    (exposed,) = family.exposed(families.Dialect.GIE)
    return "".join(family_lines(family, exposed, series, TEXT))


def filled(*values: float) -> cells.Histogram:
    histogram = cells.Histogram(HISTOGRAM.buckets)
    for value in values:
        histogram.observe(value)
    return histogram


def test_a_counter() -> None:
    written = text(COUNTER, (("a",), 3), (("b",), 1.5))

    assert written.splitlines() == [
        "# HELP things_total Things.",
        "# TYPE things_total counter",
        'things_total{kind="a"} 3',
        'things_total{kind="b"} 1.5',
    ]


def test_a_histogram_without_and_with_labels() -> None:
    bare = Family("histogram", "Sizes.", own=Exposed("sizes"))

    assert text(bare, ((), filled(0.5, 2.0, 9.0))).splitlines()[2:] == [
        'sizes_bucket{le="1"} 1',
        'sizes_bucket{le="2.5"} 2',
        'sizes_bucket{le="+Inf"} 3',
        "sizes_sum 11.5",
        "sizes_count 3",
    ]
    assert 'sizes_bucket{kind="a",le="1"} 1' in text(HISTOGRAM, (("a",), filled(0.5)))


def test_series_that_the_labels_do_not_tell_apart_are_added_up() -> None:
    first, second = filled(0.5), filled(0.7, 2.0)

    assert 'things_total{kind="a"} 5\n' in text(COUNTER, (("a", "x"), 3), (("a", "y"), 2))
    assert 'sizes_count{kind="a"} 3\n' in text(HISTOGRAM, (("a", "x"), first), (("a", "y"), second))
    assert (first.counts, second.counts) == ([1, 0, 0], [1, 1, 0]), "what is counted stays as it is"


def test_a_family_without_a_value_is_not_mentioned() -> None:
    assert text(COUNTER) == ""
    assert text(HISTOGRAM, (("a",), filled())) == ""
    assert 'kind="a"' not in text(HISTOGRAM, (("a",), filled()), (("b",), filled(1.0)))


@pytest.mark.parametrize(
    ("value", "written"), [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1e-07, "1e-07"), (0.1, "0.1")]
)
def test_numbers_that_are_not_plain(value: float, written: str) -> None:
    assert text(COUNTER, (("a",), value)).endswith(f"}} {written}\n")


def test_label_values_are_escaped() -> None:
    assert text(COUNTER, (('a\\b\n"c"',), 1)).endswith('things_total{kind="a\\\\b\\n\\"c\\""} 1\n')


def test_help_texts_need_no_escaping() -> None:
    for family in vars(families).values():
        if isinstance(family, Family):
            assert not set(family.help) & set('\\\n"')


def test_prometheus_clients_own_page_of_the_same_numbers_says_the_same() -> None:
    registry = CollectorRegistry()
    counter = Counter("things", "Things.", ["kind"], registry=registry)
    histogram = Histogram("sizes", "Sizes.", ["kind"], registry=registry, buckets=HISTOGRAM.buckets)
    counter.labels('a"\\').inc(3)
    for value in (0.5, 1.0, 2.0, 9.0):
        histogram.labels("é\n").observe(value)
    ours = text(COUNTER, (('a"\\',), 3)) + text(HISTOGRAM, (("é\n",), filled(0.5, 1.0, 2.0, 9.0)))

    def said(page: str) -> set[tuple[str, frozenset[tuple[str, object]], float]]:
        return {
            (sample.name, frozenset((k, float(v) if k == "le" else v) for k, v in sample.labels.items()), sample.value)
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert said(ours) == said(generate_latest(registry).decode())


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", TEXT),
        ("application/openmetrics-text;version=0.0.1,text/plain;q=0.5", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3", OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
    ],
)
def test_the_format_follows_the_accept_header(accept: str, expected: object) -> None:
    assert accepted_format(accept) is expected
