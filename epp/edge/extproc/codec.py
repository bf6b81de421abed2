"""ext_proc messages to events, commands to ext_proc messages."""

from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct

from epp._pb.core_pb2 import HeaderMap, HeaderValueOption, Metadata
from epp._pb.ext_proc_pb2 import (
    CommonResponse,
    HeaderMutation,
    HttpBody,
    HttpHeaders,
    ProcessingRequest,
    ProcessingResponse,
)
from epp._pb.processing_mode_pb2 import ProcessingMode
from epp.core.domain.decision import MetadataNumber
from epp.core.domain.errors import PickerError
from epp.core.protocol.commands import (
    Continue,
    ExtendTimeout,
    Mutation,
    OverrideMode,
    Phase,
    SendBody,
    SendRouting,
)
from epp.core.protocol.events import (
    BodyMode,
    Event,
    Headers,
    ProtocolConfig,
    RequestBodyChunk,
    RequestHeaders,
    RequestTrailers,
    ResponseBodyChunk,
    ResponseHeaders,
    ResponseTrailers,
)
from epp.core.protocol.headers import DESTINATION, DESTINATION_SCORES
from epp.edge.extproc.refusals import HttpError
from epp.edge.extproc.transport import Message as WireMessage

METADATA_NAMESPACE = "envoy.lb"
SERVED_KEY = "x-gateway-destination-endpoint-served"
SUBSET_NAMESPACE = "envoy.lb.subset_hint"
SUBSET_KEY = "x-gateway-destination-endpoint-subset"
OVERWRITE = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


class MalformedMessage(PickerError):
    """The peer sent bytes that are not a ProcessingRequest, or one without content."""


def decode(data: WireMessage) -> Event:
    """The event of one ProcessingRequest; raises MalformedMessage."""
    try:
        message = ProcessingRequest.FromString(bytes(data))
    except DecodeError as error:
        raise MalformedMessage(f"not a ProcessingRequest: {error}") from error
    kind = message.WhichOneof("request")
    if kind is None:
        raise MalformedMessage("a ProcessingRequest without headers, body or trailers")
    return _DECODERS[kind](message)


def _request_headers(message: ProcessingRequest) -> RequestHeaders:
    content: HttpHeaders = message.request_headers
    protocol = None
    if message.HasField("protocol_config"):
        config = message.protocol_config
        protocol = ProtocolConfig(_body_mode(config.request_body_mode), _body_mode(config.response_body_mode))
    return RequestHeaders(
        headers=_headers(content.headers),
        end_of_stream=content.end_of_stream,
        subset=_subset(message),
        protocol=protocol,
        observed_only=message.observability_mode,
    )


def _body_mode(number: int) -> BodyMode:
    try:
        return BodyMode(number)
    except ValueError as error:
        raise MalformedMessage(f"body mode {number} of protocol_config is not one of this ext_proc version") from error


def _request_body(message: ProcessingRequest) -> RequestBodyChunk:
    content: HttpBody = message.request_body
    return RequestBodyChunk(content.body, content.end_of_stream, _subset(message))


def _request_trailers(_: ProcessingRequest) -> RequestTrailers:
    return RequestTrailers()


def _response_headers(message: ProcessingRequest) -> ResponseHeaders:
    content: HttpHeaders = message.response_headers
    served = ""
    if message.HasField("metadata_context"):
        value = _metadata(message.metadata_context, METADATA_NAMESPACE, SERVED_KEY)
        served = value if isinstance(value, str) else ""
    return ResponseHeaders(_headers(content.headers), content.end_of_stream, served)


def _response_body(message: ProcessingRequest) -> ResponseBodyChunk:
    content: HttpBody = message.response_body
    return ResponseBodyChunk(content.body, content.end_of_stream)


def _response_trailers(message: ProcessingRequest) -> ResponseTrailers:
    return ResponseTrailers(_headers(message.response_trailers.trailers))


_DECODERS: dict[str, Callable[[ProcessingRequest], Event]] = {
    "request_headers": _request_headers,
    "request_body": _request_body,
    "request_trailers": _request_trailers,
    "response_headers": _response_headers,
    "response_body": _response_body,
    "response_trailers": _response_trailers,
}


def _headers(header_map: HeaderMap) -> Headers:
    headers: Headers = {}
    for header in header_map.headers:
        raw = header.raw_value
        value = raw.decode("latin-1") if raw else header.value
        key = header.key
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


def _metadata(metadata: Metadata, namespace: str, key: str) -> str | list[str] | None:
    """A string or a list of strings of the filter metadata; None for anything else."""
    if namespace not in metadata.filter_metadata:
        return None
    fields = metadata.filter_metadata[namespace].fields
    if key not in fields:
        return None
    value = fields[key]
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "list_value":
        return [item.string_value for item in value.list_value.values if item.HasField("string_value")]
    return None


def _subset(message: ProcessingRequest) -> tuple[str, ...] | None:
    """The subset hint as a list, or as one string with commas."""
    if not message.HasField("metadata_context"):
        return None
    value = _metadata(message.metadata_context, SUBSET_NAMESPACE, SUBSET_KEY)
    if value is None:
        return None
    entries = value.split(",") if isinstance(value, str) else value
    return tuple(stripped for entry in entries if (stripped := entry.strip()))


def _continue(phase: Phase) -> bytes:
    response = ProcessingResponse()
    answer: Message = getattr(response, phase.value)
    answer.SetInParent()
    return response.SerializeToString()


_CONTINUE = {phase: _continue(phase) for phase in Phase}


def encode_continue(command: Continue) -> bytes:
    """One constant message per phase, unless something of the response or of the gateway's metadata is changed."""
    if command.body is None and not (command.set_headers or command.remove_headers or command.metadata):
        return _CONTINUE[command.phase]
    response = ProcessingResponse()
    if command.set_headers or command.remove_headers or command.body is not None:
        answer = response.response_headers if command.phase is Phase.RESPONSE_HEADERS else response.response_body
        _change_response(answer.response, command)
        if command.body is not None:
            answer.response.body_mutation.body = command.body
    else:
        plain: Message = getattr(response, command.phase.value)
        plain.SetInParent()
    _tell(response, command.metadata)
    return response.SerializeToString()


def _change_response(target: CommonResponse, command: Continue | OverrideMode) -> None:
    _set_headers(target.header_mutation, command.set_headers)
    target.header_mutation.remove_headers.extend(command.remove_headers)


def _tell(response: ProcessingResponse, metadata: Iterable[MetadataNumber]) -> None:
    for told in metadata:
        values: Struct = response.dynamic_metadata.fields[told.namespace].struct_value
        values.fields[told.key].number_value = told.number


def encode_routing(command: SendRouting) -> bytes:
    """Header mutation and dynamic metadata, with the same destinations in both (proposal 004)."""
    response = ProcessingResponse()
    if command.phase is Phase.REQUEST_TRAILERS:
        response.request_trailers.SetInParent()
    else:
        answer = response.request_headers if command.phase is Phase.REQUEST_HEADERS else response.request_body
        common = answer.response
        common.clear_route_cache = command.mutation.clear_route_cache
        _mutate(common.header_mutation, command.mutation)
        if command.body is not None:
            common.body_mutation.body = bytes(command.body)
    values: Struct = response.dynamic_metadata.fields[METADATA_NAMESPACE].struct_value
    values.fields[DESTINATION].string_value = command.destinations
    if command.scores:
        scores: Struct = values.fields[DESTINATION_SCORES].struct_value
        for destination, score in command.scores:
            scores.fields[destination].number_value = score
    return response.SerializeToString()


def _mutate(target: HeaderMutation, mutation: Mutation) -> None:
    _set_headers(target, mutation.set_headers)
    if mutation.remove_headers:
        target.remove_headers.extend(mutation.remove_headers)


def _set_headers(target: HeaderMutation, headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        option = target.set_headers.add()
        option.append_action = OVERWRITE
        option.header.key = name
        option.header.raw_value = value.encode("latin-1", "replace")


def encode_body(command: SendBody) -> bytes:
    """One piece of a full-duplex body."""
    response = ProcessingResponse()
    answer = response.request_body if command.phase is Phase.REQUEST_BODY else response.response_body
    piece = answer.response.body_mutation.streamed_response
    piece.body = bytes(command.data)
    piece.end_of_stream = command.end_of_stream
    _tell(response, command.metadata)
    return response.SerializeToString()


def encode_override(command: OverrideMode) -> bytes:
    """Answer to response headers that turns the response body on for this request."""
    response = ProcessingResponse()
    response.response_headers.SetInParent()
    if command.set_headers or command.remove_headers:
        _change_response(response.response_headers.response, command)
    mode = response.mode_override
    mode.response_header_mode = ProcessingMode.SEND
    mode.response_body_mode = command.response_body.value  # type: ignore[assignment]  # same numbers
    mode.response_trailer_mode = ProcessingMode.SEND
    return response.SerializeToString()


def encode_extension(command: ExtendTimeout) -> bytes:
    """More time for the answer to the current message."""
    response = ProcessingResponse()
    response.override_message_timeout.FromMilliseconds(int(command.wait_s * 1000))
    return response.SerializeToString()


def encode_refusal(error: HttpError) -> bytes:
    """An immediate response."""
    response = ProcessingResponse()
    immediate = response.immediate_response
    immediate.status.code = error.status  # type: ignore[assignment]  # open enum: any HTTP code travels
    _set_headers(immediate.headers, error.headers)
    immediate.body = error.body
    if error.grpc_status is not None:
        immediate.grpc_status.status = error.grpc_status
    immediate.details = "endpoint_picker"
    return response.SerializeToString()
