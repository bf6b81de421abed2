"""What the one YAML loader accepts, what it refuses, and that it says where."""

import json
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.domain.errors import InvalidInput
from epp.core.yaml import DEFAULT, Document, YamlLimits, convert, field_path, load_documents

JSON_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | JSON_TEXTS,
    # YAML allows simple keys of at most 1,024 characters.
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=80), inner, max_size=4),
    max_leaves=20,
)


def load(text: str | bytes) -> Document:
    (document,) = load_documents(text, "file.yaml")
    return document


def refused(text: str | bytes, limits: YamlLimits = DEFAULT) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_documents(text, "file.yaml", limits=limits)
    return str(caught.value)


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("yes", True),
            ("On", True),
            ("TRUE", True),
            ("no", False),
            ("off", False),
            ("y", "y"),
            ("N", "N"),
            ("tRue", "tRue"),
            ("~", None),
            ("null", None),
            ("", None),
            ("0", 0),
            ("8000", 8000),
            ("-17", -17),
            ("+1", 1),
            ("017", 15),
            ("-017", -15),
            ("0o17", 15),
            ("00", 0),
            ("0x1F", 31),
            ("0b101", 5),
            ("1_000", 1000),
            ("18446744073709551615", 2**64 - 1),
            ("08", 8.0),
            ("1.5", 1.5),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("-1.5E-3", -0.0015),
            ("2026-01-01", "2026-01-01"),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("1:30", "1:30"),
            ("1.2.3", "1.2.3"),
            ("200ms", "200ms"),
            ("=", "="),
            ("0x", "0x"),
            ("'no'", "no"),
            ('"8000"', "8000"),
            ("!!str 8000", "8000"),
            ("!!int '8000'", 8000),
            ("!!float 8", 8.0),
            ("!!bool 'yes'", True),
            ("!!null ''", None),
            ("! 8000", "8000"),
        ],
    )
    def test_scalars_mean_what_they_mean_to_kubernetes(self, text: str, value: object) -> None:
        found = load(f"a: {text}\nb: 1\n").value_at(["a"])
        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        "text", [".nan", ".NaN", ".inf", "-.INF", "18446744073709551616", "-9223372036854775809", "1e999", "9" * 5000]
    )
    def test_numbers_without_a_json_form_are_refused(self, text: str) -> None:
        assert refused(f"x:\n  a: {text}\n").startswith("file.yaml:2: x.a: ")

    @pytest.mark.parametrize("tag", ["!!python/object:os.system", "!!binary", "!!timestamp", "!!set", "!mine"])
    def test_other_tags_are_refused(self, tag: str) -> None:
        assert "is not supported" in refused(f"a: {tag} x\n")

    @pytest.mark.parametrize("text", ["a: !!set {x: }\n", "a: !!seq {x: }\n", "!!map []\n", "a: !!int x\n"])
    def test_tags_that_do_not_fit_are_refused(self, text: str) -> None:
        assert "is not supported" in refused(text)

    @given(JSON_VALUES)
    def test_json_is_read_as_json(self, value: object) -> None:
        for text in (json.dumps({"v": value}, indent=2), json.dumps({"v": value}, indent="\t", ensure_ascii=True)):
            assert load(text).value == {"v": value}

    def test_json_escapes_outside_the_basic_plane(self) -> None:
        value = {"face": "😀", "text": "\\ud83d\\ude00", "both": "\\😀"}
        assert load(json.dumps(value)).value == value


class TestDocuments:
    def test_several_documents_each_with_its_first_line(self) -> None:
        documents = load_documents("# head\na: 1\n---\n---\n# nothing\n---\n\nb: 2\n--- [3]\n...\n", "f")

        assert [(document.value, document.line) for document in documents] == [({"a": 1}, 2), ({"b": 2}, 8), ([3], 9)]

    def test_bytes_with_a_byte_order_mark(self) -> None:
        assert load(b"\xef\xbb\xbfa: \xc3\xa4\n").value == {"a": "ä"}

    @pytest.mark.parametrize("text", ["", "\n", "---\n", "# only a comment\n", "null\n"])
    def test_nothing_in_it(self, text: str) -> None:
        assert load_documents(text, "f") == []

    def test_anchors_end_with_their_document(self) -> None:
        assert "the alias *x has no anchor before it" in refused("a: &x 1\n---\nb: *x\n")


class TestLines:
    TEXT = """\
# comment
metadata:
  labels: {app: vllm,
    app.io/name: x}
spec:
  targetPorts:
  - number: 8000
  -
    number: 8001
  text: |
    several
    lines
  last: 1
"""

    @pytest.mark.parametrize(
        ("path", "line"),
        [
            ([], 2),
            (["metadata"], 2),
            (["metadata", "labels", "app"], 3),
            (["metadata", "labels", "app.io/name"], 4),
            (["spec", "targetPorts"], 6),
            (["spec", "targetPorts", 0, "number"], 7),
            (["spec", "targetPorts", 1], 9),
            (["spec", "targetPorts", 1, "number"], 9),
            (["spec", "last"], 13),
            (["spec", "missing", "deeper"], 5),
            (["spec", "targetPorts", 7], 6),
            (["nowhere"], 2),
        ],
    )
    def test_line_of_a_path_or_its_nearest_ancestor(self, path: list[str | int], line: int) -> None:
        assert load(self.TEXT).line_of(path) == line

    def test_what_an_alias_repeats_has_the_lines_of_its_origin(self) -> None:
        document = load("a: &a\n  x: 1\nb: *a\nc:\n  <<: *a\n")

        assert document.line_of(["b"]) == 3
        assert document.line_of(["b", "x"]) == 2
        assert document.line_of(["c", "x"]) == 2

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    def test_every_entry_knows_its_line(self, gaps: list[int]) -> None:
        lines: list[str] = []
        expected = []
        for number, gap in enumerate(gaps):
            lines += ["# filler"] * gap
            lines.append(f"key{number}: {number}")
            expected.append(len(lines))
        document = load("\n".join(lines))
        assert [document.line_of([f"key{number}"]) for number in range(len(gaps))] == expected


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: 1\nb: {c: 1,\n  c: 2}\n", "file.yaml:3: b.c: the key occurs twice, on lines 2 and 3"),
            ('a: 1\n"a": 2\n', "file.yaml:2: a: the key occurs twice, on lines 1 and 2"),
            ("x:\n  8000: a\n", "file.yaml:2: x: the key is 8000, not a string; put it in quotes"),
            ("on: a\n", "file.yaml:1: the key is true, not a string; put it in quotes"),
            ("~: a\n", "file.yaml:1: the key is null, not a string; put it in quotes"),
            ("? [a, b]\n: c\n", "file.yaml:1: the key is a mapping or list, not a string; put it in quotes"),
            (
                "a:\n  [1,\n  2\n\n",
                (
                    "file.yaml:3: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence "
                    "that begins on line 2"
                ),
            ),
            ("a: b: c\n", "file.yaml:1: not valid YAML: mapping values are not allowed in this context"),
            (
                "a:\n\tb: c\n",
                "file.yaml:2: not valid YAML: found character that cannot start any token, while scanning",
            ),
            ("a: 1\nb: \x00\n", "file.yaml:2: not valid YAML: control characters are not allowed"),
            (b"a: 1\nb: \xff\n", "file.yaml:2: not UTF-8: byte 0xff"),
            ("a: 1\nb: \ud800\n", "file.yaml:2: half of a surrogate pair"),
            ("a: *nobody\n", "file.yaml:1: a: the alias *nobody has no anchor before it"),
            ("a: &a\n- *a\n", "file.yaml:2: a[0]: the alias *a refers to a value that contains it"),
            ("a: {<<: 1}\n", 'file.yaml:1: a["<<"]: a merge key takes a mapping or a list of mappings'),
            ("a: {<<: [{}, x]}\n", 'file.yaml:1: a["<<"]: a merge key takes a mapping or a list of mappings'),
            ("{a: 1", "file.yaml:1: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping"),
        ],
    )
    def test_says_where_and_what(self, text: str | bytes, message: str) -> None:
        assert refused(text).startswith(message)

    @given(st.text(max_size=200))
    def test_any_text_is_loaded_or_refused(self, text: str) -> None:
        try:
            load_documents(text, "f")
        except InvalidInput as error:
            assert error.source == "f"

    @given(st.text("ab:-[]{},&*!|>'\"#%?<\n \t1", max_size=60))
    def test_any_yaml_like_text_is_loaded_or_refused(self, text: str) -> None:
        try:
            load_documents(text, "f")
        except InvalidInput as error:
            assert error.source == "f"


class TestLimits:
    def test_size_in_bytes(self) -> None:
        limits = YamlLimits(text_bytes=10)

        assert load_documents("a: '1234'\n", "f", limits=limits)
        assert refused("a: 'äöüß'\n", limits) == "file.yaml: longer than 10 bytes"

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
    def test_depth(self, opening: str) -> None:
        closing = {"[": "]", "{a: ": "}"}.get(opening, "")
        assert load_documents(opening * 100 + "x" + closing * 100, "f") if opening != "? " else True
        assert "nested deeper than 100 levels" in refused(opening * 101 + "x" + closing * 101)

    def test_hostile_depth_is_refused_at_once(self) -> None:
        assert "nested deeper than 100 levels" in refused("[" * 1_000_000)

    def test_depth_counts_what_an_alias_brings_along(self) -> None:
        text = "a: &a [[[x]]]\nb: [[*a]]\n"

        assert load_documents(text, "f", limits=YamlLimits(depth=6))
        assert refused(text, YamlLimits(depth=5)) == "file.yaml:2: nested deeper than 5 levels"

    def test_billion_laughs(self) -> None:
        lines = ["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
        lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]

        assert refused("\n".join(lines)) == "file.yaml:6: l5[0]: aliases expand to more than 100000 values"

    def test_aliases_are_counted_with_everything_inside(self) -> None:
        text = "a: &a [1, 2, 3]\nb: [*a, *a]\n"

        assert load_documents(text, "f", limits=YamlLimits(alias_nodes=8))
        assert "aliases expand to more than 7 values" in refused(text, YamlLimits(alias_nodes=7))


class TestMergeKeys:
    def test_own_keys_win_then_the_earlier_mapping(self) -> None:
        document = load("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {y: 3, <<: [*a, *b]}\n")

        assert document.value_at(["c"]) == {"y": 3, "x": 1, "z": 2}
        assert document.value_at(["a"]) == {"x": 1, "y": 1}

    def test_in_quotes_it_is_an_ordinary_key(self) -> None:
        assert load("'<<': 1\n").value == {"<<": 1}


class Port(msgspec.Struct, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=1)]


class Spec(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    target_ports: tuple[Port, ...] = ()
    match_labels: dict[str, str] = {}
    nested: dict[str, dict[str, int]] = {}
    text: str | None = None


class TestConvert:
    def test_into_a_type(self) -> None:
        document = load("spec:\n  targetPorts: [{number: 8000}]\n")

        assert convert(document, Spec, ["spec"]) == Spec((Port(8000),))
        assert convert(document, int, ["spec", "targetPorts", 0, "number"]) == 8000

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("targetPorts:\n  - number: 1\n  - number: x", "6: spec.targetPorts[1].number: expected int, got str"),
            ("targetPorts:\n  - number: 0", "5: spec.targetPorts[0].number: expected int >= 1"),
            ("targetPorts:\n  - {}", "5: spec.targetPorts[0]: the required field 'number' is missing"),
            ("targetPorts:\n  - number: 1\n    port: 1", "6: spec.targetPorts[0].port: unknown field"),
            ("targetPorts: 5", "4: spec.targetPorts: expected array, got int"),
            (
                "matchLabels:\n    a: b\n    app.io/on: yes",
                '6: spec.matchLabels["app.io/on"]: expected str, got bool; put it in quotes',
            ),
            ("nested:\n    a: {b: x}", "4: spec.nested: expected int, got str"),
            ("text: 8000", "4: spec.text: expected str, got int; put it in quotes"),
        ],
    )
    def test_a_mistake_has_line_and_field(self, text: str, message: str) -> None:
        document = load(f"\n\nspec:\n  {text}\n")
        with pytest.raises(InvalidInput) as caught:
            convert(document, Spec, ["spec"])
        assert str(caught.value) == f"file.yaml:{message}"

    def test_a_mistake_at_the_root(self) -> None:
        with pytest.raises(InvalidInput, match=r"^file\.yaml:2: expected object, got array$"):
            convert(load("\n- 1\n"), Spec)

    def test_a_mistake_found_elsewhere(self) -> None:
        error = load("a:\n  b: 1\n").mistake(["a", "b"], "is too small")
        assert str(error) == "file.yaml:2: a.b: is too small"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("spec", "targetPorts", 0, "number"), "spec.targetPorts[0].number"),
        ((0, "a"), "[0].a"),
        (("metadata", "labels", "app.io/name"), 'metadata.labels["app.io/name"]'),
        (("max-loras",), "max-loras"),
        (("a", ""), 'a[""]'),
    ],
)
def test_field_path(path: tuple[str | int, ...], text: str) -> None:
    assert field_path(path) == text
