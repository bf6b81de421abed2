"""The client's model name in a response, however the response is split into pieces."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from epp.core.protocol.model_rename import EventStreamRenamer, JsonRenamer, ModelRenamer

ALIAS = 'alias "é"'
WRITTEN = json.dumps(ALIAS, ensure_ascii=False).encode()
MakeRenamer = Callable[[str], ModelRenamer]


def passed(make: MakeRenamer, *pieces: bytes) -> bytes:
    """What comes out when these pieces go in."""
    renamer = make(ALIAS)
    return b"".join(renamer.feed(piece) for piece in pieces)


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def by_byte(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


# What servers write

texts = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ['"model":"target"', "\\", '"', "}{", "model", "\n", "data: {"]
)
names = st.sampled_from(["id", "model", "response", "message", "mode", "x\\", 'a"b', "choices"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=5)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")])
places = st.lists(st.integers(0, 10_000), max_size=8)


def renamed(answer: dict[str, Any], parents: tuple[str, ...]) -> dict[str, Any]:
    """The oracle: the first model that is a text, at the top or, in the order of the fields, inside a parent."""
    answer = dict(answer)
    for name, value in answer.items():
        if name == "model" and isinstance(value, str):
            return {**answer, name: ALIAS}
        if name in parents and isinstance(value, dict) and isinstance(value.get("model"), str):
            return {**answer, name: {**value, "model": ALIAS}}
    return answer


@settings(max_examples=300, deadline=None)
@given(objects, separators, st.booleans(), places)
def test_an_answer_is_renamed_at_the_top_and_nowhere_else(
    answer: dict[str, Any], separator: tuple[str, str], ascii_only: bool, where: list[int]
) -> None:
    body = json.dumps(answer, separators=separator, ensure_ascii=ascii_only).encode()
    whole = passed(JsonRenamer, body)
    assert json.loads(whole) == renamed(answer, ())
    assert passed(JsonRenamer, *cut(body, where)) == whole
    assert passed(JsonRenamer, *by_byte(body)) == whole


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(objects, separators, st.booleans(), st.sampled_from(["data: ", "data:", "event: a\ndata: "]))),
    st.sampled_from(["\n", "\r\n", "\r"]),
    places,
)
def test_every_event_is_renamed_on_its_own(
    events: list[tuple[dict[str, Any], tuple[str, str], bool, str]], line_end: str, where: list[int]
) -> None:
    lines = [
        prefix.replace("\n", line_end) + json.dumps(answer, separators=separator, ensure_ascii=ascii_only)
        for answer, separator, ascii_only, prefix in events
    ]
    body = "".join(f"{line}{line_end * 2}" for line in [*lines, ": ping", "data: [DONE]"]).encode()

    whole = passed(EventStreamRenamer, body)

    blocks = whole.decode().split(line_end * 2)
    assert blocks[-3:] == [": ping", "data: [DONE]", ""]
    for block, (answer, _, _, prefix) in zip(blocks, events, strict=False):
        given_back = json.loads(block.removeprefix(prefix.replace("\n", line_end)))
        assert given_back == renamed(answer, ("response", "message"))
    assert passed(EventStreamRenamer, *cut(body, where)) == whole
    assert passed(EventStreamRenamer, *by_byte(body)) == whole


fragments = st.lists(
    st.sampled_from(
        [
            b"data:",
            b" ",
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b"\\",
            b",",
            b":",
            b'"model"',
            b'"x"',
            b"1",
            b"\n",
            b"\r",
            b"\xff",
        ]
    )
    | st.binary(max_size=3),
    max_size=40,
)


@settings(max_examples=500, deadline=None)
@given(fragments, places)
@example([b"{", b'"model"', b":", b'"x\\'], [3])
@example([b"data:", b"{", b'"model"', b":", b'"x', b"\n", b"\n", b'data:{"model":"y"}'], [14])
def test_any_bytes_in_any_pieces_give_the_same(parts: list[bytes], where: list[int]) -> None:
    body = b"".join(parts)
    for make in (JsonRenamer, EventStreamRenamer):
        whole = passed(make, body)
        assert passed(make, *cut(body, where)) == whole
        assert passed(make, *by_byte(body)) == whole


@pytest.mark.parametrize(
    ("body", "renamed_body"),
    [
        (b'{"id":"1","model":"target","choices":[]}', b'{"id":"1","model":%s,"choices":[]}' % WRITTEN),
        (b'{ "model" : "target" }\n', b'{ "model" : %s }\n' % WRITTEN),
        (b'{"mod\\u0065l":"target"}', b'{"mod\\u0065l":%s}' % WRITTEN),
        (b'{"model":"tar\\"get\\\\"}', b'{"model":%s}' % WRITTEN),
        (b'{"choices":[{"model":"target"}],"model":"t"}', b'{"choices":[{"model":"target"}],"model":%s}' % WRITTEN),
        (b'{"text":"\\"model\\":\\"target\\"","model":null}', b'{"text":"\\"model\\":\\"target\\"","model":null}'),
        (b'{"message":{"model":"target"}}', b'{"message":{"model":"target"}}'),
        (b'["model","target"]', b'["model","target"]'),
        (b'"model"', b'"model"'),
        (b"", b""),
    ],
)
def test_answers(body: bytes, renamed_body: bytes) -> None:
    assert passed(JsonRenamer, body) == renamed_body


@pytest.mark.parametrize(
    ("body", "renamed_body"),
    [
        (
            b'event: response.created\ndata: {"response":{"tools":[{"model":"no"}],"model":"target"}}\n\n',
            b'event: response.created\ndata: {"response":{"tools":[{"model":"no"}],"model":%s}}\n\n' % WRITTEN,
        ),
        (
            b'data: {"type":"message_start","message":{"id":"m","model":"target"}}\n\n',
            b'data: {"type":"message_start","message":{"id":"m","model":%s}}\n\n' % WRITTEN,
        ),
        (b'data: {"other":{"model":"target"}}\n\n', b'data: {"other":{"model":"target"}}\n\n'),
        (b'id: {"model":"target"}\n\n', b'id: {"model":"target"}\n\n'),
        (b': {"model":"target"}\n\n', b': {"model":"target"}\n\n'),
        (b'data: {\ndata: "model":\ndata: "target"}\n\n', b'data: {\ndata: "model":\ndata: %s}\n\n' % WRITTEN),
        (b'data: {"a":\ndata: {"model":"target"}}\n\n', b'data: {"a":\ndata: {"model":"target"}}\n\n'),
        (b'data: {"model":"cut off\n\ndata: {}\n\n', b'data: {"model":%s\n\ndata: {}\n\n' % WRITTEN),
        (b'data:{"model":"target"}', b'data:{"model":%s}' % WRITTEN),
    ],
    ids=["responses", "anthropic", "elsewhere", "id", "comment", "data lines", "nested", "broken", "no line end"],
)
def test_events(body: bytes, renamed_body: bytes) -> None:
    assert passed(EventStreamRenamer, body) == renamed_body
    assert passed(EventStreamRenamer, *by_byte(body)) == renamed_body


def test_nothing_is_held_back() -> None:
    """A whole event leaves with the piece that completes it, and of the rest all but the old name."""
    renamer = EventStreamRenamer(ALIAS)
    assert renamer.feed(b'data: {"id":"1","mod') == b'data: {"id":"1","mod'
    assert renamer.feed(b'el":"tar') == b'el":' + WRITTEN
    assert renamer.feed(b"get") == b""
    assert renamer.feed(b'","text":"x"}\n\n') == b',"text":"x"}\n\n'


def test_a_piece_without_a_change_is_not_copied() -> None:
    piece = b'data: {"choices":[{"text":"x"}]}\n\n'
    assert EventStreamRenamer(ALIAS).feed(piece) is piece


def test_what_is_remembered_stays_small() -> None:
    renamer = EventStreamRenamer(ALIAS)
    for piece in (b'data: {"', b"n" * 100_000, b"n" * 100_000):
        renamer.feed(piece)
    assert len(renamer._object._name) <= 200
    renamer.feed(b'":' + b"[" * 100_000)
    assert renamer._object._depth == 100_001
