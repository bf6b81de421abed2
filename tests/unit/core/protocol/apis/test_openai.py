"""OpenAI request bodies: what is taken from them, what is refused, what is left for the model server to judge."""

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest
from epp.core.domain.request import ModelField, PromptKind
from epp.core.protocol.apis import openai_fields
from epp.core.protocol.apis.json_fields import integer_of, is_true, read_object, text_of
from epp.core.protocol.apis.openai import read_chat_completions, read_completions
from epp.core.protocol.apis.parsers import BodyReader
from epp.core.protocol.body import RequestBody

MESSAGES = b'[{"role":"user","content":"hi"}]'
WIDE = b" \n\t" * 50


def completion(members: bytes) -> RequestBody:
    """Body of a completion with these members beside model and prompt."""
    return read_completions(b'{"model":"m","prompt":"x",%s}' % members)


def chat(members: bytes) -> RequestBody:
    """Body of a chat completion with these members beside model and messages."""
    return read_chat_completions(b'{"model":"m","messages":%s,%s}' % (MESSAGES, members))


def refused(reader: BodyReader, body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        reader(body)
    assert caught.value.hint, "a refusal says what to do"
    return caught.value


BOTH = pytest.mark.parametrize("reader", [read_completions, read_chat_completions])


@BOTH
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"model=m",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{",
        b'{"model":"m"',
        b"{'model':'m'}",
        b'{"model":"m",}',
        b'{"model":"m"} x',
        b'{"model":"m"}{"model":"m"}',
        b"\xff\xfe",
        b'\xef\xbb\xbf{"model":"m"}',
        b'{"model":"m","n":NaN}',
        b'{"model":"m","n":01}',
        b'{"model":"m","s":"line\nbreak"}',
        b'{"model":"m","s":"\\q"}',
        b'{"model":"m","\\ud800":1}',
        b'{"model":"m"}\x00',
    ],
)
def test_what_is_not_a_json_object_is_refused(reader: BodyReader, body: bytes) -> None:
    assert refused(reader, body).message.startswith("error unmarshaling request bodyMap: ")


@BOTH
@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
@pytest.mark.parametrize("field", [b"prompt", b"messages", b"model", b"other"])
def test_nesting_without_end_is_refused_and_does_not_crash(reader: BodyReader, opening: bytes, field: bytes) -> None:
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    for end in (b"", b"1" + closing * 100_000 + b"}"):
        refused(reader, b'{"model":"m","prompt":"x","%s":%s%s' % (field, opening * 100_000, end))


@pytest.mark.parametrize("model", [b"null", b"5", b'""', b"[]", b"{}", b"true", b'["m"]', b'"\xff"'])
def test_what_is_no_name_counts_as_no_model(model: bytes) -> None:
    for reader, rest in ((read_completions, b'"prompt":"x"'), (read_chat_completions, b'"messages":' + MESSAGES)):
        for body in (b'{"model":%s,%s}' % (model, rest), b"{%s}" % rest):
            read = reader(body)
            assert (read.model, read.model_field) == ("", ModelField.REQUIRED)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb'"caf\u00e9"', "café"),
        ('"café"'.encode(), "café"),
        (rb'"a\/b\"c\\"', 'a/b"c\\'),
        (rb'"\ud83d\ude00"', "😀"),
        (b'"food-review-1"', "food-review-1"),
    ],
)
def test_a_model_is_read_as_json_spells_it(written: bytes, name: str) -> None:
    assert read_completions(b'{"prompt":"x","model":%s}' % written).model == name


def test_names_of_fields_may_be_escaped_and_of_equal_ones_the_last_counts() -> None:
    body = rb'{"mod\u0065l":"a","prompt":"x","model":"b","prompt":"last"}'
    read = read_completions(body)
    assert read.model == "b"
    assert bytes(read.prompt.data) == b'"last"'
    assert json.loads(body)["model"] == "b", "as Python's parser in the model server has it"


@pytest.mark.parametrize(
    "prompt", [b'"Say hi"', rb'"\u00e9 \"q\""', b'["a","b"]', b'[ "a" ]', b"[" + WIDE + b'"a"]', b'["",1]']
)
def test_a_text_prompt_stays_as_it_was_written(prompt: bytes) -> None:
    read = read_completions(b'{"model":"m", "prompt" : %s , "n":1}' % prompt).prompt
    assert read.kind is PromptKind.TEXT
    assert bytes(read.data) == prompt


@pytest.mark.parametrize(
    ("prompt", "ids"),
    [
        (b"[1,2,3]", [1, 2, 3]),
        (b"[ 1 , 2 ]", [1, 2]),
        (b"[" + WIDE + b"7]", [7]),
        (b"[0,4294967295]", [0, 2**32 - 1]),
        (b"[[1,2],[3]]", [1, 2, 3]),
        (b"[" + WIDE + b"[1] ]", [1]),
        (b"[[]]", []),
        (b"[[],[5]]", [5]),
    ],
)
def test_token_ids_become_little_endian_words(prompt: bytes, ids: list[int]) -> None:
    read = read_completions(b'{"model":"m","prompt":%s}' % prompt).prompt
    assert read.kind is PromptKind.TOKEN_IDS
    assert np.frombuffer(read.data, dtype="<u4").tolist() == ids
    assert read.token_count == len(ids)


@pytest.mark.parametrize(
    "prompt",
    [
        b"null",
        b'""',
        b"[]",
        b"[" + WIDE + b"]",
        b"5",
        b"true",
        b"{}",
        b"[null]",
        b"[true]",
        b"[{}]",
        b"[-1]",
        b"[1,-1]",
        b"[4294967296]",
        b"[18446744073709551616]",
        b"[1%s]" % (b"0" * 400),
        b"[1.0]",
        b"[1,2.5]",
        b'[1,"a"]',
        b"[1,null]",
        b"[[1],2]",
        b"[[-1]]",
        b'[["a"]]',
        b"[[[1]]]",
    ],
)
def test_other_prompts_are_refused(prompt: bytes) -> None:
    refusal = refused(read_completions, b'{"model":"m","prompt":%s}' % prompt)
    assert refusal.message.startswith("invalid completions request: must have prompt field")
    assert refusal.param == "prompt"


def test_a_prompt_must_be_there() -> None:
    assert "must have prompt field" in refused(read_completions, b'{"model":"m"}').message
    assert "must have prompt field" in refused(read_completions, b'{"model":"m","messages":%s}' % MESSAGES).message


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES,
        b'[{"role":"user","content":[{"type":"text","text":"what is this"},{"type":"image_url","image_url":{}}]}]',
        b'[{"role":"tool","content":null}]',
        b"[" + WIDE + b"{}]",
        b"[1]",
    ],
    ids=["text", "parts", "tool", "wide", "left to the model server"],
)
def test_messages_stay_as_they_were_written(messages: bytes) -> None:
    read = read_chat_completions(b'{"messages": %s,"model":"m"}' % messages)
    assert read.prompt.kind is PromptKind.TEXT
    assert bytes(read.prompt.data) == messages


@pytest.mark.parametrize("messages", [b"null", b"[]", b"[ ]", b"[" + WIDE + b"]", b"{}", b'"hi"', b"5"])
def test_other_messages_are_refused(messages: bytes) -> None:
    refusal = refused(read_chat_completions, b'{"model":"m","messages":%s}' % messages)
    assert refusal.message == "invalid chat completions request: must have valid messages field"
    assert refusal.param == "messages"
    assert refused(read_chat_completions, b'{"model":"m","prompt":"x"}').param == "messages"


@pytest.mark.parametrize(
    "members",
    [
        b'"temperature":"0"',
        b'"temperature":null',
        b'"stream_options":5',
        b'"tools":{}',
        b'"cache_salt":5',
        b'"n":1e400',
        b'"unknown":[[["deep"]]]',
    ],
)
def test_the_rest_is_left_for_the_model_server_to_judge(members: bytes) -> None:
    assert completion(members) == completion(b'"n":1')
    assert chat(members).cache_salt == ""


@pytest.mark.parametrize(
    ("written", "streaming"), [(b"true", True), (b"false", False), (b"null", False), (b'"true"', False), (b"1", False)]
)
def test_stream(written: bytes, streaming: bool) -> None:
    assert completion(b'"stream" : %s ' % written).streaming is streaming
    assert completion(b'"n":1').streaming is False


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"16", 16),
        (b"0", 0),
        (b"-5", -5),
        (b"-0", 0),
        (b" 16\n", 16),
        (b"9" * 18, int("9" * 18)),
        (b"-" + b"9" * 18, -int("9" * 18)),
        (b"9" * 19, None),
        (b"-" + b"9" * 19, None),
        (b"9" * 5000, None),
        (b"16.0", None),
        (b"%s.5" % (b"9" * 18), None),
        (b"%s.5" % (b"9" * 25), None),
        (b"1e2", None),
        (b'"16"', None),
        (b"null", None),
        (b"true", None),
        (b"[1]", None),
    ],
)
def test_integers(written: bytes, value: int | None) -> None:
    assert completion(b'"max_tokens":%s' % written).max_tokens == value
    assert completion(b'"priority":%s' % written).claimed_priority == value


def test_max_completion_tokens_counts_more_than_max_tokens_in_chat_and_not_in_completions() -> None:
    assert chat(b'"max_tokens":1').max_tokens == 1
    assert chat(b'"max_completion_tokens":2').max_tokens == 2
    assert chat(b'"max_tokens":1,"max_completion_tokens":2').max_tokens == 2
    assert chat(b'"max_tokens":1,"max_completion_tokens":0').max_tokens == 0
    assert chat(b'"max_tokens":1,"max_completion_tokens":null').max_tokens == 1
    assert completion(b'"max_tokens":1,"max_completion_tokens":2').max_tokens == 1


def test_cache_salt() -> None:
    assert completion(b'"cache_salt":"tenant-1"').cache_salt == "tenant-1"
    assert completion(b'"cache_salt":"\xff"').cache_salt == ""


def test_a_body_of_20_mb_is_read_without_a_copy_of_it() -> None:
    prompt = b"lorem ipsum " * (20_000_000 // 12)
    body = b'{"model":"m","prompt":"%s","max_tokens":5}' % prompt
    tracemalloc.start()
    read = read_completions(body)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(read.prompt.data) == len(prompt) + 2
    assert read.max_tokens == 5
    assert peak_bytes < 1_000_000


@given(
    st.dictionaries(
        st.sampled_from(["model", "stream", "max_tokens", "max_completion_tokens", "cache_salt", "priority", "other"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(10**20), 10**20),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(max_size=8),
            st.sampled_from(["\\ud800", "base"]),
            st.lists(st.integers(), max_size=2),
        ),
    )
)
@settings(max_examples=300)
def test_fields_of_the_usual_types_mean_what_they_mean_one_by_one(given_fields: dict[str, object]) -> None:
    """What is read at once where every field has its type, and field by field where one has not."""
    data = json.dumps({**given_fields, "messages": [{"role": "user", "content": "hello"}]}).encode()
    at_once = read_chat_completions(data)
    raw = read_object(openai_fields.decode_raw_fields, data)
    assert at_once.model == text_of(raw.model)
    assert at_once.streaming == is_true(raw.stream)
    assert at_once.cache_salt == text_of(raw.cache_salt)
    assert at_once.claimed_priority == integer_of(raw.priority)
    limit = integer_of(raw.max_completion_tokens)
    assert at_once.max_tokens == (integer_of(raw.max_tokens) if limit is None else limit)
