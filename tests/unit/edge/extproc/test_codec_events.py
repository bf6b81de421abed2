"""ext_proc messages become events; whatever else arrives is a MalformedMessage."""

from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import example, given, settings
from hypothesis import strategies as st

from epp._pb.core_pb2 import HeaderMap, HeaderValue
from epp._pb.ext_proc_pb2 import (
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProcessingRequest,
    ProcessingResponse,
    ProtocolConfiguration,
)
from epp._pb.processing_mode_pb2 import ProcessingMode
from epp.core.protocol.events import (
    BodyMode,
    ProtocolConfig,
    RequestBodyChunk,
    RequestHeaders,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
)
from epp.edge.extproc.codec import MalformedMessage, decode

SUBSET = "x-gateway-destination-endpoint-subset"
SERVED = "x-gateway-destination-endpoint-served"


def header_map(*headers: tuple[str, bytes]) -> HeaderMap:
    return HeaderMap(headers=[HeaderValue(key=key, raw_value=value) for key, value in headers])


def begun(**fields: object) -> RequestHeaders:
    """The event of a request_headers message with these further fields."""
    message = ProcessingRequest(request_headers=HttpHeaders(headers=header_map((":method", b"GET"))))
    for name, value in fields.items():
        if isinstance(value, Message):
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    event = decode(message.SerializeToString())
    assert isinstance(event, RequestHeaders)
    return event


def headers_of(*headers: HeaderValue) -> dict[str, str]:
    message = ProcessingRequest(request_headers=HttpHeaders(headers=HeaderMap(headers=list(headers))))
    event = decode(message.SerializeToString())
    assert isinstance(event, RequestHeaders)
    return event.headers


def with_metadata(message: ProcessingRequest, namespace: str, fields: dict[str, Any]) -> bytes:
    struct = Struct()
    struct.update(fields)
    message.metadata_context.filter_metadata[namespace].CopyFrom(struct)
    return message.SerializeToString()


def test_request_headers() -> None:
    fields = header_map((":method", b"POST"), (":path", b"/v1/completions"), ("x-request-id", b"r"))
    message = ProcessingRequest(request_headers=HttpHeaders(headers=fields))
    assert decode(message.SerializeToString()) == RequestHeaders(
        {":method": "POST", ":path": "/v1/completions", "x-request-id": "r"}, end_of_stream=False
    )
    message.request_headers.end_of_stream = True
    assert decode(message.SerializeToString()) == RequestHeaders(
        {":method": "POST", ":path": "/v1/completions", "x-request-id": "r"}, end_of_stream=True
    )


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (ProcessingRequest(request_headers=HttpHeaders()), RequestHeaders({}, False)),
        (ProcessingRequest(request_body=HttpBody(body=b"{}")), RequestBodyChunk(b"{}", False)),
        (ProcessingRequest(request_body=HttpBody(end_of_stream=True)), RequestBodyChunk(b"", True)),
        (ProcessingRequest(request_trailers=HttpTrailers()), RequestTrailers()),
        (ProcessingRequest(response_headers=HttpHeaders(end_of_stream=True)), ResponseHeaders({}, True, "")),
        (ProcessingRequest(response_body=HttpBody(body=b"\xff")), ResponseBodyChunk(b"\xff", False)),
        (ProcessingRequest(response_body=HttpBody(body=b"x", end_of_stream=True)), ResponseBodyChunk(b"x", True)),
        (ProcessingRequest(response_trailers=HttpTrailers()), ResponseTrailers()),
        (
            ProcessingRequest(response_trailers=HttpTrailers(trailers=header_map(("grpc-status", b"14")))),
            ResponseTrailers({"grpc-status": "14"}),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_message(message: ProcessingRequest, event: object) -> None:
    assert decode(message.SerializeToString()) == event


def test_response_headers_say_who_served() -> None:
    message = ProcessingRequest(response_headers=HttpHeaders(headers=header_map((":status", b"200"))))
    data = with_metadata(message, "envoy.lb", {SERVED: "10.0.0.2:8000", "other": 1})
    assert decode(data) == ResponseHeaders({":status": "200"}, False, "10.0.0.2:8000")


@pytest.mark.parametrize(
    ("namespace", "fields"),
    [
        ("envoy.lb", {}),
        ("envoy.lb", {"other": "10.0.0.2:8000"}),
        ("envoy.lb", {SERVED: 5}),
        ("envoy.lb", {SERVED: None}),
        ("envoy.lb", {SERVED: ["10.0.0.2:8000"]}),
        ("envoy.lb.subset_hint", {SERVED: "10.0.0.2:8000"}),
    ],
)
def test_response_headers_that_do_not_say_who_served(namespace: str, fields: dict[str, Any]) -> None:
    data = with_metadata(ProcessingRequest(response_headers=HttpHeaders()), namespace, fields)
    assert decode(data) == ResponseHeaders({}, False, "")


def test_looking_for_metadata_adds_none() -> None:
    """Reading a key of a protobuf map creates it."""
    message = ProcessingRequest(response_headers=HttpHeaders())
    message.metadata_context.filter_metadata["other"].update({"a": 1})
    before = message.SerializeToString()
    decode(before)
    assert message.SerializeToString() == before


def test_raw_value_counts_more_than_value() -> None:
    assert headers_of(HeaderValue(key="a", value="old", raw_value=b"new")) == {"a": "new"}
    assert headers_of(HeaderValue(key="a", value="only")) == {"a": "only"}
    assert headers_of(HeaderValue(key="a")) == {"a": ""}


def test_bytes_of_a_header_survive() -> None:
    every_byte = bytes(range(256))
    assert headers_of(HeaderValue(key="a", raw_value=every_byte))["a"].encode("latin-1") == every_byte


def test_a_repeated_header_is_joined_by_commas() -> None:
    first, second = HeaderValue(key="accept", raw_value=b"a"), HeaderValue(key="accept", raw_value=b"b,c")
    other, empty = HeaderValue(key="x", raw_value=b"1"), HeaderValue(key="accept")
    assert headers_of(first, other, second) == {"accept": "a,b,c", "x": "1"}
    assert headers_of(first, empty, second) == {"accept": "a,,b,c"}


@pytest.mark.parametrize(
    ("hint", "subset"),
    [
        (["10.0.0.1:8000", "10.0.0.2:8000"], ("10.0.0.1:8000", "10.0.0.2:8000")),
        ([" 10.0.0.1 ", "", "  "], ("10.0.0.1",)),
        ("10.0.0.1:8000", ("10.0.0.1:8000",)),
        ("10.0.0.1:8000, [::1]:8000 ,", ("10.0.0.1:8000", "[::1]:8000")),
        ([], ()),
        ("", ()),
        ([5, None, "10.0.0.1"], ("10.0.0.1",)),
        (5, None),
        (None, None),
        ({"a": 1}, None),
        (True, None),
    ],
    ids=repr,
)
def test_the_subset_hint_is_a_list_or_a_string_with_commas(hint: object, subset: tuple[str, ...] | None) -> None:
    headers = ProcessingRequest(request_headers=HttpHeaders())
    body = ProcessingRequest(request_body=HttpBody())
    for message, event in ((headers, RequestHeaders({}, False, subset)), (body, RequestBodyChunk(b"", False, subset))):
        assert decode(with_metadata(message, "envoy.lb.subset_hint", {SUBSET: hint})) == event


def test_without_its_own_namespace_and_key_there_is_no_hint() -> None:
    message = ProcessingRequest(request_headers=HttpHeaders())
    message.metadata_context.SetInParent()
    assert decode(message.SerializeToString()) == RequestHeaders({}, False, None)
    assert decode(with_metadata(message, "envoy.lb", {SUBSET: ["10.0.0.1"]})) == RequestHeaders({}, False, None)
    assert decode(with_metadata(message, "envoy.lb.subset_hint", {"x": ["10.0.0.1"]})) == RequestHeaders({}, False)


@pytest.mark.parametrize("mode", list(BodyMode))
def test_protocol_config(mode: BodyMode) -> None:
    config = ProtocolConfiguration(
        request_body_mode=ProcessingMode.BodySendMode.Name(mode),
        response_body_mode=ProcessingMode.FULL_DUPLEX_STREAMED,
    )
    assert begun(protocol_config=config).protocol == ProtocolConfig(mode, BodyMode.FULL_DUPLEX_STREAMED)


def test_an_absent_protocol_config_is_not_one_of_zeros() -> None:
    assert begun().protocol is None
    assert begun(protocol_config=ProtocolConfiguration()).protocol == ProtocolConfig(BodyMode.NONE, BodyMode.NONE)


def test_observability_mode() -> None:
    assert begun(observability_mode=True).observed_only
    assert not begun().observed_only


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "without headers, body or trailers"),
        (b"\x50\x01", "without headers, body or trailers"),
        (b"\xff", "not a ProcessingRequest"),
        (b"hello", "not a ProcessingRequest"),
        (b"\x12\x7f", "not a ProcessingRequest"),
        (b"\x12\x06\x0a\x04\x0a\x02\x0a\xff", "not a ProcessingRequest"),
        (b"\x12\x00\x5a\x02\x08\x07", "body mode 7"),
        (b"\x12\x00\x5a\x02\x10\x63", "body mode 99"),
    ],
    ids=["empty", "only observability", "no tag", "text", "cut short", "bad inside", "request mode", "response mode"],
)
def test_malformed_messages_say_what_is_wrong(data: bytes, what: str) -> None:
    with pytest.raises(MalformedMessage, match=what):
        decode(data)


def test_a_header_name_that_is_not_utf8_is_malformed() -> None:
    good = ProcessingRequest(request_headers=HttpHeaders(headers=header_map(("abcd", b"1")))).SerializeToString()
    with pytest.raises(MalformedMessage):
        decode(good.replace(b"abcd", b"ab\xff\xfe"))


def test_metadata_nested_without_end_is_malformed() -> None:
    assert decode(nested_hint(10)) == RequestHeaders({}, False, ())
    with pytest.raises(MalformedMessage):
        decode(nested_hint(200))


def nested_hint(depth: int) -> bytes:
    """Request headers whose subset hint is a list in a list in a list."""
    value = b""
    for _ in range(depth):
        value = field(6, field(1, value))  # Value.list_value, ListValue.values
    struct = field(1, field(1, SUBSET.encode()) + field(2, value))
    metadata = field(1, field(1, b"envoy.lb.subset_hint") + field(2, struct))
    return field(2, b"") + field(8, metadata)


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


SEEDS = [
    ProcessingRequest(request_headers=HttpHeaders(headers=header_map((":path", b"/v1/completions")))),
    ProcessingRequest(request_body=HttpBody(body=b'{"model":"m"}', end_of_stream=True)),
    ProcessingRequest(response_headers=HttpHeaders(headers=header_map((":status", b"200")))),
    ProcessingRequest(
        request_headers=HttpHeaders(),
        protocol_config=ProtocolConfiguration(request_body_mode=ProcessingMode.BUFFERED),
    ),
]
for seed in SEEDS:
    with_metadata(seed, "envoy.lb.subset_hint", {SUBSET: ["10.0.0.1:8000"], "a": {"b": [1, None, True]}})
    with_metadata(seed, "envoy.lb", {SERVED: "10.0.0.1:8000"})


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=64))
@example(ProcessingResponse(mode_override=ProcessingMode()).SerializeToString())
def test_random_bytes_are_an_event_or_malformed(data: bytes) -> None:
    decode_or_refuse(data)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 500),
)
def test_damaged_messages_are_an_event_or_malformed(
    message: ProcessingRequest, damages: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(message.SerializeToString())
    for place, value in damages:
        data[place % len(data)] = value
    decode_or_refuse(bytes(data))
    decode_or_refuse(bytes(data[:length]))


def decode_or_refuse(data: bytes) -> None:
    try:
        decode(data)
    except MalformedMessage as error:
        assert str(error)
