"""Edits of a body leave everything else as the client wrote it."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from epp.core.protocol.body_edit import with_text, without_field

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(['"model":', '"priority": 1', '{"model":"x"}', "\\", '"', "}"])
)
keys = st.text("abc", max_size=3) | st.sampled_from(["model", "priority"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
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
FIELD = ['"model"', r'"mod\u0065l"', r'"\u006D\u006fdel"']
other_names = st.sampled_from(["priority", "Model", "model ", "mode", "é", '"', "\\"]).map(json.dumps)
names = st.sampled_from(FIELD) | other_names
gaps = st.sampled_from(["", " ", "\n  ", "\r\n\t"])
members = st.tuples(gaps, names, gaps, gaps, raw_values, gaps)


def spelled(listed: list[tuple[str, str, str, str, str, str]], gap: str) -> bytes:
    """An object with these members, each name and value with the white space around it."""
    return f"{gap}{{{','.join(f'{a}{name}{b}:{c}{raw}{d}' for a, name, b, c, raw, d in listed)}}}{gap}".encode()


def pairs(body: bytes) -> list[tuple[str, object]]:
    """The members at the top in order, also those of the same name."""
    found: list[tuple[str, object]] = json.JSONDecoder(object_pairs_hook=list).decode(body.decode().strip())
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(members, max_size=5), gaps)
def test_a_field_gets_its_new_value_and_every_other_byte_stays(
    listed: list[tuple[str, str, str, str, str, str]], gap: str
) -> None:
    body = spelled(listed, gap)
    is_there = any(name in FIELD for _, name, *_ in listed)

    edited = with_text(body, "model", 'the "target"', is_there=is_there)

    replaced = [(a, name, b, c, r'"the \"target\""' if name in FIELD else raw, d) for a, name, b, c, raw, d in listed]
    if is_there:
        assert edited == spelled(replaced, gap)
        assert with_text(body, "model", 'the "target"', is_there=False) == edited, "found without being told"
    else:
        assert pairs(edited) == [("model", 'the "target"'), *pairs(body)]
        assert edited.replace(b'"model":"the \\"target\\""' + (b"," if listed else b""), b"", 1) == body


@settings(max_examples=300, deadline=None)
@given(st.lists(members, max_size=5), gaps)
def test_a_field_goes_and_every_other_member_stays_to_the_byte(
    listed: list[tuple[str, str, str, str, str, str]], gap: str
) -> None:
    left = [member for member in listed if member[1] not in FIELD]
    assume(len(left) < len(listed))

    edited = without_field(spelled(listed, gap), "model")

    assert pairs(edited) == pairs(spelled(left, gap))
    position = 0
    for _, name, before, after, raw, _ in left:
        member = f"{name}{before}:{after}{raw}".encode()
        position = edited.index(member, position) + len(member)


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"priority":1}', b"{}"),
        (b'{"prior\\u0069ty":1,"a":1}', b'{"a":1}'),
        (b'{"priority":1,"a":{"priority":2},"priority":3}', b'{"a":{"priority":2}}'),
        (b'{"a":1,"priority":1,"priority":2}', b'{"a":1}'),
        (b'{"a":1,"priority":1,"priority":2, "b":2}', b'{"a":1,"b":2}'),
        (b'{ "priority" : 1 , "priority" : [2] }', b"{  }"),
        (b'{"a":1,"a":2,"priority":1}', b'{"a":1,"a":2}'),
        (b'{"a":"\\"priority\\":1","b":["priority"],"priority":1}', b'{"a":"\\"priority\\":1","b":["priority"]}'),
        (b'{"\xff":1,"priority":1}', b'{"\xff":1}'),
    ],
    ids=["alone", "escaped", "twice and nested", "at the end", "in the middle", "only", "twice", "text", "not UTF-8"],
)
def test_fields_that_are_taken_out(body: bytes, edited: bytes) -> None:
    assert without_field(body, "priority") == edited


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b'{"model":"a"}', b'{"model":"b"}'),
        (b'{"model":"a","model":"c"}', b'{"model":"b","model":"b"}'),
        (b'{"model":"a","mod\\u0065l":"c"}', b'{"model":"b","mod\\u0065l":"b"}'),
        (b'{"x":{"model":"a"},"model" : "a"}', b'{"x":{"model":"a"},"model" : "b"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"b"}'),
        (b'{"model":"a\\"b\\\\"}', b'{"model":"b"}'),
    ],
    ids=["alone", "twice", "escaped", "nested", "text", "value with escapes"],
)
def test_values_that_are_replaced(body: bytes, edited: bytes) -> None:
    assert with_text(body, "model", "b", is_there=True) == edited


@pytest.mark.parametrize(
    ("body", "edited"),
    [
        (b"{}", b'{"model":"b"}'),
        (b' { "prompt":"x" }', b' { "model":"b","prompt":"x" }'),
        (b'{"model":null,"prompt":"x"}', b'{"model":"b","prompt":"x"}'),
        (b'{"model":{"a":["}"]} ,"prompt":"x"}', b'{"model":"b" ,"prompt":"x"}'),
        (b'{"metadata":{"model":"m"}}', b'{"model":"b","metadata":{"model":"m"}}'),
    ],
    ids=["nothing", "absent", "null", "no name", "nested"],
)
def test_values_that_were_not_there(body: bytes, edited: bytes) -> None:
    assert with_text(body, "model", "b", is_there=False) == edited
