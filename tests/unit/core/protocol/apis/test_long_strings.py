"""One long string of a body is cut out before decoding; nobody can tell from what comes of it."""

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest
from epp.core.protocol.apis.anthropic import read_messages
from epp.core.protocol.apis.long_strings import MARGIN_BYTES, MARK, cuts_of, decoded, decoded_without
from epp.core.protocol.apis.openai import read_chat_completions, read_completions
from epp.core.protocol.apis.openai_fields import Fields, decode_fields

PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 10_000


def chat(content: object, **fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode()


def shown(fields: Fields) -> dict[str, object]:
    found = {name: getattr(fields, name) for name in fields.__struct_fields__}
    return {name: bytes(value) if isinstance(value, msgspec.Raw) else value for name, value in found.items()}


def assert_quick(body: bytes) -> None:
    """Something is cut out of it, and the fields are those of the whole."""
    for data in (body, memoryview(b"before" + body + b"after")[6:-5]):
        assert sum(end - begin for begin, end in cuts_of(data)) > len(body) / 2 - 1_000
        found = decoded_without(decode_fields, data)
        assert found is not None
        assert shown(found) == shown(decode_fields(data))


def assert_whole(body: bytes) -> None:
    """It is left to the decoder as it is."""
    assert decoded_without(decode_fields, body) is None


def test_a_picture_is_not_read() -> None:
    assert_quick(chat([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]))


def test_text_without_quotation_marks_is_not_read() -> None:
    assert_quick(chat("two\nlines, \\ and ümlauts " * 5_000, stream=True, max_tokens=7))
    assert_quick(json.dumps({"prompt": "p" * 100_000, "model": "m", "priority": 3}, indent=2).encode())
    assert_quick(json.dumps({"prompt": ["short", "ü" * 100_000], "model": "m"}, ensure_ascii=False).encode())


def test_what_a_quotation_mark_cuts_in_the_middle_is_read() -> None:
    assert cuts_of(chat('she said "no" ' * 10_000)) == []
    assert cuts_of(chat(("a" * 30_000 + '"') * 20)) == []
    assert cuts_of(chat("short")) == []


def test_several_strings_are_passed_over() -> None:
    pictures = [{"type": "image_url", "image_url": {"url": PICTURE + "p" * 997 * number}} for number in range(20)]
    body = chat(pictures, tools=[{"description": "t" * 100_000}], max_tokens=5)
    assert len(cuts_of(body)) == 21
    assert_quick(body)
    read = read_chat_completions(body)
    assert bytes(read.prompt.data).endswith(bytes(decode_fields(body).messages))


def test_all_bodies_of_json_are_read_so() -> None:
    """Anthropic's as an example of fields that are decoded elsewhere."""
    body = chat([{"type": "image", "source": {"type": "base64", "data": PICTURE}}], max_tokens=9)
    assert_quick(body)
    found = read_messages(body)
    assert (found.model, found.max_tokens) == ("m", 9)
    assert PICTURE.encode() in bytes(found.prompt.data)
    assert decoded(decode_fields, b'{"model":"m"}').model == "m"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"prompt":[' + b"1234," * 20_000 + b'5],"model":"m"}', id="token ids"),
        pytest.param(b'{"model":"m"' + b" " * 100_000 + b',"prompt":"x"}', id="white space after a string"),
        pytest.param(b'{"model":"m",' + b"\n" * 100_000 + b'"prompt":"x"}', id="white space before a string"),
        pytest.param(json.dumps({"model": "m" * 100_000, "prompt": "x"}).encode(), id="a field that is decoded"),
        pytest.param(json.dumps({"user": "u" * 100_000, "prompt": "x"}).encode(), id="a field that nobody reads"),
        pytest.param(chat("x" * 100_000)[:-3] + b',"user":"' + MARK + b'"}]}', id="a body with the mark"),
        pytest.param(chat("\n" * 60_000), id="nothing but escapes, even where a cut might begin"),
        pytest.param(b"x" * 100_000, id="no quotation mark"),
        pytest.param(b'"' + b"x" * 100_000, id="one quotation mark"),
        pytest.param(b'"prompt' * 20_000, id="quotation marks and no JSON"),
        pytest.param(chat("x" * 100_000)[:-1], id="no end"),
        pytest.param(chat("x" * 100_000) + b"}", id="two ends"),
        pytest.param(b'{"model":"m"garbage' + b"x" * 100_000 + b'","prompt":"x"}', id="garbage between strings"),
    ],
)
def test_other_bodies_are_decoded_as_they_are(body: bytes) -> None:
    assert_whole(body)


def test_a_body_full_of_marks_is_decoded_as_it_is() -> None:
    body = chat("x" * 100_000)[:-3] + b',"user":"' + MARK * 50_000 + b'"}]}'
    assert len(cuts_of(body)) == 1
    assert_whole(body)
    assert json.loads(bytes(read_chat_completions(body).prompt.data))[0]["user"] == MARK.decode() * 50_000


def test_a_malformed_body_is_refused_with_the_place_in_the_whole_of_it() -> None:
    body = chat("x" * 100_000) + b"}"
    with pytest.raises(msgspec.DecodeError) as plain:
        decode_fields(body)
    with pytest.raises(BadRequest, match=re.escape(str(plain.value))):
        read_chat_completions(body)


def test_the_prompt_is_that_of_the_client() -> None:
    assert (
        bytes(read_chat_completions(chat(PICTURE)).prompt.data)
        == json.dumps(json.loads(chat(PICTURE))["messages"]).encode()
    )
    completions = read_completions(json.dumps({"prompt": PICTURE, "model": "m"}).encode())
    assert bytes(completions.prompt.data) == json.dumps(PICTURE).encode()


LONG_TEXTS = st.builds(
    lambda piece, times, start, end: start + piece * times + end,
    st.text('ab ü😀\\\n"\t,:[]{}', min_size=1, max_size=12),
    st.integers(1, 12_000),
    st.text('",:]}\\ u0041', max_size=8),
    st.text('",:]}\\ u0041', max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.text(max_size=5) | LONG_TEXTS,
            "prompt": LONG_TEXTS | st.lists(st.integers(0, 99_999), max_size=30),
            "messages": st.lists(st.fixed_dictionaries({"content": LONG_TEXTS}), max_size=3),
            "tools": LONG_TEXTS,
            "user": LONG_TEXTS,
            "max_tokens": st.integers(0, 9),
        },
    ),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.integers(0, 3),
)
def test_nobody_can_tell(fields: dict[str, object], ensure_ascii: bool, indent: int | None, padding: int) -> None:
    text = json.dumps(fields, ensure_ascii=ensure_ascii, indent=indent) + " " * padding
    body = text.encode("utf-8", "surrogatepass")
    found = decoded_without(decode_fields, body)
    if found is not None:
        assert shown(found) == shown(decode_fields(body))


@given(st.integers(0, 2 * MARGIN_BYTES), st.sampled_from(["\\u00e9", "\\n", "\\\\", "\\ud83d\\ude00"]))
def test_no_escape_is_cut_into_two(shift: int, escape: str) -> None:
    text = "x" * shift + escape * 3 + "y" * 100_000 + escape * 3 + "z" * shift
    body = ('{"prompt":"' + text + '"}').encode()
    ((begin, end),) = cuts_of(body)
    for part in (body[len('{"prompt":"') : begin], body[begin:end], body[end : -len('"}')]):
        json.loads(b'"' + part + b'"')
    assert_quick(body)
