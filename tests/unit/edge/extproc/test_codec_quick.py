"""Messages that are read without the library mean what the library makes of them."""

import pytest
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from epp._pb.core_pb2 import HeaderMap, HeaderValue
from epp._pb.ext_proc_pb2 import HttpHeaders, ProcessingRequest, ProtocolConfiguration
from epp.edge.extproc import codec
from epp.edge.extproc.codec import LONGEST_REMEMBERED, MalformedMessage, decode

SUBSET = "x-gateway-destination-endpoint-subset"
SERVED = "x-gateway-destination-endpoint-served"


@st.composite
def body_messages(draw: st.DrawFn) -> bytes:
    """A message with a body, as an encoder writes it, or with one byte changed and its end cut off."""
    message = ProcessingRequest()
    part = message.request_body if draw(st.booleans()) else message.response_body
    part.SetInParent()
    part.body, part.end_of_stream = draw(st.binary(max_size=300)), draw(st.booleans())
    behind = draw(st.one_of(st.sampled_from([b"", b"\x42\x00", b"\x50\x01", b"\x42\x02\x0a\x00"]), metadata_parts()))
    data = bytearray(message.SerializeToString() + behind)
    if draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        del data[draw(st.integers(3, 320)) :]
    return bytes(data)


NAMES = st.sampled_from([":path", ":status", "content-type", "x-request-id", "x-long", "x-long"])
VALUES = st.one_of(st.binary(max_size=20), st.sampled_from([b"200", b"", b"a" * 200, "\u00fc".encode("latin-1")]))
ADDRESSES = st.sampled_from(["10.0.0.1:8000", "10.0.0.1, 10.0.0.2:80,", "", "1" * LONGEST_REMEMBERED])


@st.composite
def metadata_parts(draw: st.DrawFn) -> bytes:
    """A metadata_context with what the picker looks for, or with something else in its place."""
    message = ProcessingRequest()
    message.metadata_context.SetInParent()
    for namespace, key in draw(st.sets(st.sampled_from([("envoy.lb", SERVED), ("envoy.lb.subset_hint", SUBSET)]))):
        values = Struct()
        values.update({key: draw(st.one_of(ADDRESSES, st.lists(ADDRESSES, max_size=3), st.integers(0, 3)))})
        message.metadata_context.filter_metadata[namespace].CopyFrom(values)
    return message.SerializeToString()


@st.composite
def header_messages(draw: st.DrawFn) -> bytes:
    """A message with headers and further fields in any order, now and then twice or damaged."""
    headers = HttpHeaders(
        headers=HeaderMap(
            headers=[HeaderValue(key=key, raw_value=value) for key, value in draw(st.lists(st.tuples(NAMES, VALUES)))]
        ),
        end_of_stream=draw(st.booleans()),
    )
    modes = st.integers(0, 7)
    config = ProtocolConfiguration()
    config.request_body_mode, config.response_body_mode = draw(modes), draw(modes)  # type: ignore[assignment]
    is_request = draw(st.booleans())
    first = ProcessingRequest(request_headers=headers) if is_request else ProcessingRequest(response_headers=headers)
    others = [
        draw(metadata_parts()),
        ProcessingRequest(protocol_config=config).SerializeToString(),
        ProcessingRequest(observability_mode=True).SerializeToString(),
        ProcessingRequest(attributes={"a": Struct()}).SerializeToString(),
    ]
    behind = draw(st.lists(st.sampled_from(others), max_size=3))
    data = bytearray(first.SerializeToString() + b"".join(behind))
    if draw(st.integers(0, 3)) == 0:
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
        del data[draw(st.integers(1, 400)) :]
    return bytes(data)


def in_the_librarys_words(data: bytes) -> object:
    message = ProcessingRequest.FromString(data)
    kind = message.WhichOneof("request")
    if kind is None:
        raise MalformedMessage("without content")
    return codec._DECODERS[kind](message)


@given(data=st.one_of(body_messages(), header_messages()), as_view=st.booleans())
@settings(max_examples=800, deadline=None)
def test_messages_are_read_as_the_library_reads_them(data: bytes, as_view: bool) -> None:
    try:
        expected = in_the_librarys_words(data)
    except (DecodeError, MalformedMessage):
        with pytest.raises(MalformedMessage):
            decode(memoryview(data) if as_view else data)
    else:
        assert decode(memoryview(data) if as_view else data) == expected


def test_most_messages_need_no_library() -> None:
    headers = HttpHeaders(headers=HeaderMap(headers=[HeaderValue(key=":status", raw_value=b"200")]))
    message = ProcessingRequest(response_headers=headers)
    message.metadata_context.filter_metadata["envoy.lb"].update({SERVED: "10.0.0.1:8000"})
    event = codec._plain_headers(message.SerializeToString(), 0x1A)
    assert event is not None
    assert event == decode(message.SerializeToString())
    assert event.headers == {":status": "200"}


@pytest.mark.parametrize("tag", [0x22, 0x2A])
def test_nor_do_most_pieces_of_a_body(tag: int) -> None:
    """Envoy repeats its metadata with every piece of an answer."""
    message = ProcessingRequest()
    part = message.request_body if tag == 0x22 else message.response_body
    part.body = b"data: 1\n\n"
    message.metadata_context.filter_metadata["envoy.lb"].update({SERVED: "10.0.0.1:8000"})
    event = codec._plain_body(message.SerializeToString(), tag)
    assert event is not None
    assert event == decode(message.SerializeToString())
    assert event.data == b"data: 1\n\n"
