"""The reader of protobuf's wire format agrees with the protobuf library and survives everything else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.protocol.protobuf_fields import MOST_FIELDS, MalformedProtobuf, fields, uint32_list
from tests.support.grpc_messages import encoded

UINT32 = st.integers(0, 2**32 - 1)


def read(message: bytes) -> list[tuple[int, int | bytes]]:
    return [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(message)]


def ids_of(message: bytes) -> list[int]:
    """`input_ids` of a TokenizedInput."""
    parts = [value for number, value in fields(message) if number == 2]
    return [int(token) for token in np.frombuffer(uint32_list(parts), dtype="<u4")]


def test_numbers_strings_and_nested_messages() -> None:
    message = encoded("GenerateRequest", request_id="é", stream=True, sampling_params={"max_tokens": 300, "seed": -1})
    assert read(message) == [
        (1, "é".encode()),
        (4, encoded("SamplingParams", max_tokens=300, seed=-1)),
        (5, 1),
    ]
    assert read(encoded("SamplingParams", max_tokens=300, seed=-1)) == [(8, 300), (24, 2**64 - 1)]


def test_fixed_width_numbers_are_stepped_over() -> None:
    assert read(encoded("GenerateRequest", data_parallel_rank=1.5, stream=True)) == [(5, 1)]
    assert read(encoded("SamplingParams", temperature=0.5, max_tokens=1)) == [(8, 1)]


def test_nothing_is_copied() -> None:
    message = encoded("HttpBody", data=b"x" * 1000)
    [(_, value)] = fields(message)
    assert isinstance(value, memoryview)
    assert value.obj is message


@settings(deadline=None)
@given(st.lists(UINT32, max_size=50), st.text(max_size=20))
def test_token_ids_packed_and_not(ids: list[int], text: str) -> None:
    assert ids_of(encoded("TokenizedInput", input_ids=ids, original_text=text)) == ids
    assert ids_of(encoded("UnpackedInput", input_ids=ids, original_text=text)) == ids
    both = encoded("TokenizedInput", input_ids=ids) + encoded("UnpackedInput", input_ids=ids)
    assert ids_of(both + encoded("TokenizedInput", input_ids=ids)) == ids * 3


def test_a_number_over_32_bits_loses_the_rest_as_in_the_library() -> None:
    too_large = b"\x12\x0a" + b"\xff" * 9 + b"\x01"
    assert ids_of(too_large) == [2**32 - 1]


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        b"\x02\x00",
        b"\x0a",
        b"\x0a\x05abc",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\x80" * 10 + b"\x01",
        b"\x09\x00\x00\x00",
        b"\x0d\x00\x00",
        b"\x0b",
        b"\x0c",
        b"\x0e",
        b"\x0f",
        b"\xff\xff\xff\xff\xff\x01\x00",
    ],
    ids=bytes.hex,
)
def test_what_is_no_message(message: bytes) -> None:
    with pytest.raises(MalformedProtobuf):
        list(fields(message))


@pytest.mark.parametrize("packed", [b"\x80", b"\x01\x80", b"\x80" * 11 + b"\x01"], ids=bytes.hex)
def test_what_is_no_packed_list(packed: bytes) -> None:
    with pytest.raises(MalformedProtobuf):
        uint32_list([memoryview(packed)])


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_arbitrary_bytes_are_read_or_refused(message: bytes) -> None:
    try:
        found = list(fields(message))
    except MalformedProtobuf:
        return
    assert all(1 <= number < 2**29 for number, _ in found)


def test_fields_beyond_the_bound_are_not_looked_at() -> None:
    assert len(list(fields(b"\x08\x01" * (MOST_FIELDS + 1000)))) == MOST_FIELDS
