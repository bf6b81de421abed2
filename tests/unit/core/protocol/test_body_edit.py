"""Cutting a field out of a body leaves everything else as the client wrote it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest
from epp.core.protocol.apis.openai import read_completions
from epp.core.protocol.body_edit import without_field

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
)
raw_values = st.one_of(
    st.builds(
        lambda value, spaced, ascii_only: json.dumps(
            value, ensure_ascii=ascii_only, separators=(" , ", " : ") if spaced else (",", ":")
        ),
        values,
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from(["1.50", "-0", "1E5", "0.1000", "1e400", '"\\u0041"', '"\\/"', '{"priority": 1}', "[ ]"]),
)
names = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(["priority", "Priority", "priority "])
gaps = st.sampled_from(["", " ", "\n  ", "\r\n\t"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(names, raw_values, max_size=6), gaps, st.booleans())
def test_every_other_member_stays_to_the_byte(members: dict[str, str], gap: str, ascii_names: bool) -> None:
    spelled = [f"{json.dumps(name, ensure_ascii=ascii_names)}{gap}:{gap}{raw}" for name, raw in members.items()]
    body = f"{gap}{{{gap}{f'{gap},{gap}'.join(spelled)}{gap}}}{gap}".encode()

    edited = without_field(body, "priority").decode()

    members.pop("priority", None)
    assert edited == "{" + ",".join(f"{_shortest(name)}:{raw}" for name, raw in members.items()) + "}"
    expected = {name: json.loads(raw) for name, raw in members.items()}
    assert json.loads(edited) == expected, "as the model server parses it"


def _shortest(name: str) -> str:
    """A name with the only escapes that JSON demands."""
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    return '"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in name) + '"'


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"priority":1}', b"{}"),
        (b"{}", b"{}"),
        (b'{"prior\\u0069ty":1,"a":1}', b'{"a":1}'),
        (b'{"priority":1,"a":{"priority":2},"priority":3}', b'{"a":{"priority":2}}'),
        (b'{"a":1,"a":2,"priority":1}', b'{"a":2}'),
    ],
    ids=["alone", "absent", "escaped", "twice and nested", "other name twice"],
)
def test_edges(body: bytes, edited: bytes) -> None:
    assert without_field(body, "priority") == edited
    assert without_field(memoryview(body), "priority") == edited


def test_a_name_that_is_not_utf8_is_refused() -> None:
    body = b'{"model":"m","prompt":"x","\xff":1,"priority":1}'
    assert read_completions(body).claimed_priority == 1, "names that are skipped are not looked at"
    with pytest.raises(BadRequest, match="UTF-8"):
        without_field(body, "priority")
