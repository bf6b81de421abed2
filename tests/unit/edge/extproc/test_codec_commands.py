"""Commands become ext_proc messages."""

import pytest
from google.protobuf.json_format import MessageToDict

from epp._pb.core_pb2 import HeaderValueOption
from epp._pb.ext_proc_pb2 import HeaderMutation, ProcessingResponse
from epp._pb.processing_mode_pb2 import ProcessingMode
from epp.core.domain.decision import MetadataNumber
from epp.core.domain.errors import ResourceExhausted
from epp.core.protocol.commands import Continue, ExtendTimeout, Mutation, OverrideMode, Phase, SendBody, SendRouting
from epp.core.protocol.events import BodyMode
from epp.edge.extproc import encode
from epp.edge.extproc.refusals import HttpError, to_http

DESTINATION = "x-gateway-destination-endpoint"
BOTH = "10.0.0.1:8000,10.0.0.2:8000"


def parsed(data: bytes | encode.Encoded) -> ProcessingResponse:
    return ProcessingResponse.FromString(data if isinstance(data, bytes) else b"".join(data))


def routing(phase: Phase, body: bytes | memoryview | None = None) -> ProcessingResponse:
    mutation = Mutation(((DESTINATION, BOTH), ("x-request-id", "caf\xe9")), ("x-secret", "x-other"), True)
    return parsed(encode.encode_routing(SendRouting(phase, BOTH, mutation, body)))


def set_headers(mutation: HeaderMutation) -> dict[str, bytes]:
    for option in mutation.set_headers:
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        assert not option.HasField("append"), "the deprecated field would contradict append_action"
        assert not option.header.value, "Envoy refuses a header with both value and raw_value"
    return {option.header.key: option.header.raw_value for option in mutation.set_headers}


@pytest.mark.parametrize("phase", list(Phase))
def test_continue_answers_its_phase_and_says_nothing_else(phase: Phase) -> None:
    message = parsed(encode.encode_continue(Continue(phase)))
    assert message.WhichOneof("response") == phase.value
    assert [descriptor.name for descriptor, _ in message.ListFields()] == [phase.value]
    assert getattr(message, phase.value).ByteSize() == 0


@pytest.mark.parametrize(
    "encoded",
    [
        encode.encode_continue(Continue(Phase.RESPONSE_HEADERS, (("x-session-token", "t"),))),
        encode.encode_override(OverrideMode(BodyMode.STREAMED, (("x-session-token", "t"),))),
    ],
    ids=["continue", "override"],
)
def test_response_headers_may_get_more(encoded: bytes) -> None:
    added = parsed(encoded).response_headers.response.header_mutation.set_headers
    assert [(option.header.key, option.header.raw_value) for option in added] == [("x-session-token", b"t")]


@pytest.mark.parametrize("phase", [Phase.REQUEST_HEADERS, Phase.REQUEST_BODY])
def test_routing_has_the_destination_in_header_and_metadata(phase: Phase) -> None:
    message = routing(phase)
    assert message.WhichOneof("response") == phase.value
    common = getattr(message, phase.value).response
    assert common.clear_route_cache
    assert set_headers(common.header_mutation) == {DESTINATION: BOTH.encode(), "x-request-id": b"caf\xe9"}
    assert list(common.header_mutation.remove_headers) == ["x-secret", "x-other"]
    assert not common.HasField("body_mutation")
    assert message.dynamic_metadata == {"envoy.lb": {DESTINATION: BOTH}}
    assert not message.HasField("mode_override")


def test_routing_on_trailers_has_only_metadata() -> None:
    """Headers are on their way by then; Envoy refuses their mutation."""
    message = routing(Phase.REQUEST_TRAILERS)
    assert message.WhichOneof("response") == "request_trailers"
    assert message.request_trailers.ByteSize() == 0
    assert message.dynamic_metadata == {"envoy.lb": {DESTINATION: BOTH}}


@pytest.mark.parametrize("phase", [Phase.REQUEST_HEADERS, Phase.REQUEST_BODY, Phase.REQUEST_TRAILERS])
def test_routing_may_tell_the_scores_beside_the_destination(phase: Phase) -> None:
    scores = (("10.0.0.1:8000", 2.5), ("[fd00::1]:8000", 0.0))
    message = parsed(encode.encode_routing(SendRouting(phase, BOTH, Mutation(), scores=scores)))
    assert message.dynamic_metadata == {"envoy.lb": {DESTINATION: BOTH, f"{DESTINATION}-scores": dict(scores)}}


@pytest.mark.parametrize("body", [b'{"a":1}', memoryview(b'{"a":1}')], ids=["bytes", "view"])
def test_routing_may_replace_the_body(body: bytes | memoryview) -> None:
    assert routing(Phase.REQUEST_BODY, body).request_body.response.body_mutation.body == b'{"a":1}'


def test_routing_may_replace_the_body_by_nothing() -> None:
    mutation = routing(Phase.REQUEST_BODY, b"").request_body.response.body_mutation
    assert mutation.WhichOneof("mutation") == "body"


def test_a_header_value_that_no_header_can_hold_is_replaced() -> None:
    mutation = Mutation((("x-request-id", "日本"),))
    message = parsed(encode.encode_routing(SendRouting(Phase.REQUEST_HEADERS, "", mutation)))
    assert set_headers(message.request_headers.response.header_mutation) == {"x-request-id": b"??"}
    assert not message.request_headers.response.clear_route_cache


@pytest.mark.parametrize("phase", [Phase.REQUEST_BODY, Phase.RESPONSE_BODY])
@pytest.mark.parametrize("end_of_stream", [True, False])
@pytest.mark.parametrize("data", [b"", b"piece", memoryview(b"piece")], ids=["empty", "bytes", "view"])
def test_a_piece_of_a_body(phase: Phase, end_of_stream: bool, data: bytes | memoryview) -> None:
    message = parsed(encode.encode_body(SendBody(phase, data, end_of_stream)))
    assert message.WhichOneof("response") == phase.value
    mutation = getattr(message, phase.value).response.body_mutation
    assert mutation.WhichOneof("mutation") == "streamed_response"
    assert mutation.streamed_response.body == bytes(data)
    assert mutation.streamed_response.end_of_stream is end_of_stream


@pytest.mark.parametrize("mode", [BodyMode.STREAMED, BodyMode.BUFFERED])
def test_an_override_answers_the_response_headers_and_keeps_them_and_the_trailers(mode: BodyMode) -> None:
    message = parsed(encode.encode_override(OverrideMode(mode)))
    assert message.WhichOneof("response") == "response_headers"
    assert int(message.mode_override.response_body_mode) == mode.value
    assert message.mode_override.response_header_mode == ProcessingMode.SEND
    assert message.mode_override.response_trailer_mode == ProcessingMode.SEND


@pytest.mark.parametrize(("wait_s", "milliseconds"), [(0.001, 1), (31.0, 31_000), (0.25, 250), (119.9999, 119_999)])
def test_an_extension_answers_no_message(wait_s: float, milliseconds: int) -> None:
    message = parsed(encode.encode_extension(ExtendTimeout(wait_s)))
    assert message.WhichOneof("response") is None
    assert message.override_message_timeout.ToMilliseconds() == milliseconds


def test_a_refusal_is_an_immediate_response() -> None:
    error = to_http(ResourceExhausted("full", retry_after_s=1), "r-1")
    message = parsed(encode.encode_refusal(error))
    immediate = message.immediate_response
    assert immediate.status.code == 429
    assert immediate.body == error.body
    assert set_headers(immediate.headers) == {name: value.encode() for name, value in error.headers}
    assert immediate.details == "endpoint_picker"
    assert not immediate.HasField("grpc_status")


def test_a_refusal_of_a_grpc_request_names_the_grpc_status() -> None:
    error = to_http(ResourceExhausted("full", retry_after_s=1), "r-1", is_grpc=True)
    immediate = parsed(encode.encode_refusal(error)).immediate_response
    assert immediate.status.code == 429
    assert immediate.grpc_status.status == 8
    assert immediate.body == error.body


def test_any_status_travels_even_if_our_enum_has_no_name_for_it() -> None:
    message = parsed(encode.encode_refusal(HttpError(418, (), b"")))
    assert message.immediate_response.status.code == 418


def test_a_piece_of_a_response_may_be_replaced_and_its_length_set() -> None:
    command = Continue(Phase.RESPONSE_BODY, (("content-length", "4"),), body=b"body")
    common = parsed(encode.encode_continue(command)).response_body.response
    assert common.body_mutation.body == b"body"
    assert set_headers(common.header_mutation) == {"content-length": b"4"}


def test_a_piece_may_be_replaced_by_nothing() -> None:
    message = parsed(encode.encode_continue(Continue(Phase.RESPONSE_BODY, body=b"")))
    assert message.response_body.response.body_mutation.WhichOneof("mutation") == "body"


def test_a_header_of_the_response_may_be_removed() -> None:
    for message in (
        parsed(encode.encode_continue(Continue(Phase.RESPONSE_HEADERS, remove_headers=("content-length",)))),
        parsed(encode.encode_override(OverrideMode(BodyMode.STREAMED, remove_headers=("content-length",)))),
    ):
        mutation = message.response_headers.response.header_mutation
        assert list(mutation.remove_headers) == ["content-length"]


def test_numbers_for_the_gateway_are_dynamic_metadata() -> None:
    told = (MetadataNumber("envoy.lb", "cost", 8), MetadataNumber("billing", "tokens", -3))
    for message, kind in (
        (encode.encode_continue(Continue(Phase.RESPONSE_BODY, metadata=told)), "response_body"),
        (encode.encode_continue(Continue(Phase.RESPONSE_TRAILERS, metadata=told)), "response_trailers"),
        (encode.encode_body(SendBody(Phase.RESPONSE_BODY, b"x", True, told)), "response_body"),
    ):
        found = parsed(message)
        assert found.WhichOneof("response") == kind
        assert MessageToDict(found.dynamic_metadata) == {"envoy.lb": {"cost": 8.0}, "billing": {"tokens": -3.0}}
