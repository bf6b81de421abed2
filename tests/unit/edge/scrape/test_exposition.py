"""Series found in text pages; prometheus_client's own parser is the oracle."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from epp.core.domain.errors import InvalidInput
from epp.edge.scrape.exposition import MetricSpec, Sample, SeriesReader, parse_metric_spec

SPEC = MetricSpec("app:queue")


def samples(page: bytes, spec: MetricSpec) -> tuple[Sample, ...]:
    """As one finds them on a first page."""
    return SeriesReader(spec).read(page)


def values(page: bytes, spec: MetricSpec = SPEC) -> list[float]:
    return [sample.value for sample in samples(page, spec)][::-1]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"app:queue 3", 3.0),
        (b"app:queue 3.0", 3.0),
        (b"app:queue 3e0", 3.0),
        (b"app:queue +3E-1", 0.3),
        (b"app:queue -2", -2.0),
        (b"app:queue\t7", 7.0),
        (b'app:queue{a="b"} 4', 4.0),
        (b'app:queue {a="b",} 4', 4.0),
        (b'app:queue{a="b"}4', 4.0),
        (b"app:queue{} 4", 4.0),
        (b'app:queue{a="}"} 5', 5.0),
        (b'app:queue{a="\\"} 9"} 5', 5.0),
        (b"app:queue 6 1700000000000", 6.0),
        (b'app:queue{a="b"} 6 # {trace_id="x"} 1.0', 6.0),
        (b"app:queue 8\r", 8.0),
    ],
)
def test_reads_a_value_wherever_the_line_stands(line: bytes, value: float) -> None:
    for page in (line, line + b"\n", b"# TYPE app:queue gauge\n" + line + b"\nother 1\n"):
        assert values(page) == [value], page


@pytest.mark.parametrize(
    "line",
    [
        b"app:queue",
        b"app:queue ",
        b"app:queue NaN",
        b"app:queue +Inf",
        b"app:queue inf",
        b"app:queue 1e999",
        b"app:queue 1_000",
        b"app:queue 0x10",
        b"app:queue 1.2.3",
        b"app:queue three",
        b'app:queue{a="b" 3',
        b'app:queue{a="b} 3',
        b"app:queue " + b"1" * 50,
        b"app:queue_length 3",
        b"my_app:queue 3",
        b"# HELP app:queue 3",
        b"app:queue\n3",
    ],
)
def test_passes_over_what_is_not_a_finite_sample_of_exactly_this_name(line: bytes) -> None:
    assert values(line + b"\n") == []


def test_finds_a_name_behind_lines_of_longer_names() -> None:
    page = b"app:queue_a 1\napp:queue 2\napp:queue_b 3\n"
    assert values(page) == [2.0]


def test_gives_every_line_of_the_group() -> None:
    page = b'x 1\napp:queue{e="0"} 1\napp:queue{e="1"} NaN\napp:queue{e="2"} 4\ny 1\n'
    assert values(page) == [1.0, 4.0]


def test_resolves_escapes_in_labels() -> None:
    page = rb'app:queue{a="quote \" slash \\ line \n end",b="x=\"y\",z"} 1' + b"\n"
    (sample,) = samples(page, SPEC)
    assert sample.labels == {"a": 'quote " slash \\ line \n end', "b": 'x="y",z'}


def test_a_spec_with_labels_chooses_among_the_series() -> None:
    page = b'app:queue{kind="waiting",m="a"} 1\napp:queue{kind="running",m="a"} 2\napp:queue 3\n'
    assert values(page, MetricSpec("app:queue", (("kind", "running"),))) == [2.0]
    assert values(page, MetricSpec("app:queue", (("kind", "running"), ("m", "b")))) == []


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("app:queue", MetricSpec("app:queue")),
        (" app:queue ", MetricSpec("app:queue")),
        ("app:queue{}", MetricSpec("app:queue")),
        ("q{type=waiting}", MetricSpec("q", (("type", "waiting"),))),
        ('q{type="waiting", m = a}', MetricSpec("q", (("type", "waiting"), ("m", "a")))),
    ],
)
def test_parses_specs(text: str, spec: MetricSpec) -> None:
    assert parse_metric_spec(text, "--metric") == spec


@pytest.mark.parametrize("text", ["", "7up", "q{", "q{type}", "q{type=a", "q}", "q{type=a}x", "a b"])
def test_refuses_what_is_no_spec_and_names_the_flag(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--metric: "):
        parse_metric_spec(text, "--metric")


label_names = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).filter(lambda name: not name.startswith("__"))
label_values = st.text(st.sampled_from(string.ascii_letters + ' ,={}"\\\n#é'), max_size=12)
numbers = st.one_of(st.integers(-5, 10**9).map(float), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf]))
series = st.tuples(st.dictionaries(label_names, label_values, max_size=4), numbers)


@given(st.lists(series, max_size=6), st.lists(st.sampled_from(["app:queue_max 1", 'other{a="app:queue 5"} 1', "# x"])))
def test_agrees_with_the_full_parser(group: list[tuple[dict[str, str], float]], others: list[str]) -> None:
    lines = ["# TYPE app:queue gauge"]
    for labels, value in group:
        shown = ",".join(f'{name}="{escaped(text)}"' for name, text in labels.items())
        lines.append(f"app:queue{{{shown}}} {value!r}" if labels else f"app:queue {value!r}")
    page = "\n".join([*others, *lines, *others]) + "\n"
    expected = [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "app:queue" and math.isfinite(sample.value)
    ]
    found = [(sample.labels, sample.value) for sample in samples(page.encode(), SPEC)][::-1]
    assert found == expected


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


pieces = st.sampled_from([b"app:queue", b"{", b"}", b'"', b"\\", b"\n", b"\r\n", b" ", b"3", b"=", b",", b"a", b"\xff"])


@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=60).map(b"".join)))
def test_garbage_is_never_an_error(page: bytes) -> None:
    for sample in samples(page, SPEC):
        assert math.isfinite(sample.value)
        assert isinstance(sample.labels, dict)


OTHER_LINES = [
    b"# TYPE app:queue gauge",
    b"app:queue_max 1",
    b"b 5",
    b"",
    b"app:queu 1",
    b"x" * 300,
    b"y" * 700,
    SPEC.name.encode(),
]
GROUP_LINES = [b"app:queue 1", b"app:queue 12", b'app:queue{e="0"} 3', b'app:queue{e="1"} NaN', b"app:queue -4.5"]
others = st.lists(st.sampled_from(OTHER_LINES), max_size=4)
groups = st.lists(st.sampled_from(GROUP_LINES), max_size=3)
whole_pages = st.builds(
    lambda before, group, behind, end: b"\n".join([*before, *group, *behind]) + end,
    others,
    groups,
    others,
    st.sampled_from([b"", b"\n", b"2", b"\r\n"]),
)


@given(st.lists(whole_pages, min_size=1, max_size=8))
def test_what_is_remembered_of_one_page_never_changes_what_is_read_from_the_next(pages: list[bytes]) -> None:
    reader = SeriesReader(SPEC)
    for page in pages:
        for _ in range(2):
            assert reader.read(page) == samples(page, SPEC)


@pytest.mark.parametrize(
    ("page", "following"),
    [
        (b"a 1\napp:queue 1\nb 1\nc 1\n", b"a 1\napp:queue 1\napp:queue 2\nb 1\nc 1\n"),
        (b"a 1\napp:queue 1\nb 1\nc 1\n", b"app:queue 9\napp:queue 1\nb 1\nc 1\n"),
        (b"a 1\napp:queue 1\nb 1\nc 1\n", b"a 1\nb 1\nc 1\n"),
        (b"app:queue 1\nb 1234567890\n", b"app:queue 12\nb 1234567890\n"),
        (b"a 1\napp:queue 1", b"a 1\napp:queue 12"),
        (b"a 1\napp:queue 1\n" + b"b 1\n" * 10, b"a 1\n" * 1000 + b"app:queue 3\n" + b"b 1\n" * 10),
        (b"a 1\n" * 1000 + b"app:queue 3\n" + b"b 1\n" * 10, b"a 1\napp:queue 1\n" + b"b 1\n" * 10),
    ],
)
def test_a_changed_group_is_read_anew(page: bytes, following: bytes) -> None:
    reader = SeriesReader(SPEC)
    for each in (page, following, page):
        assert reader.read(each) == samples(each, SPEC)


def test_an_unchanged_group_is_the_same_object_wherever_other_numbers_change() -> None:
    reader = SeriesReader(SPEC)
    first = reader.read(b"a 1\n# TYPE app:queue gauge\napp:queue 1\nother_metric 1\nb 17\n")
    assert first
    assert reader.read(b"a 2\n# TYPE app:queue gauge\napp:queue 1\nother_metric 1\nb 18\n") is first
