"""Commands to ext_proc messages. What every request needs is put together from parts that are made once.

The messages are small and always of the same shape, and protobuf's wire format is simple: the library would take
several times as long. What is rare goes through the library.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from epp._pb.core_pb2 import HeaderValueOption
from epp._pb.ext_proc_pb2 import CommonResponse, HeaderMutation, ProcessingResponse
from epp._pb.processing_mode_pb2 import ProcessingMode
from epp.core.domain.decision import MetadataNumber
from epp.core.protocol.commands import (
    Continue,
    ExtendTimeout,
    OverrideMode,
    Phase,
    SendBody,
    SendRouting,
)
from epp.core.protocol.headers import DESTINATION, DESTINATION_SCORES, METADATA_NAMESPACE
from epp.edge.extproc import transport
from epp.edge.extproc.protobuf_writer import field, head_of
from epp.edge.extproc.refusals import HttpError

OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
MOST_REMEMBERED: Final = 1_024
"""answers with a decision, and headers in them: in a pool of fewer endpoints the same ones come again and again"""

_Headers = tuple[tuple[str, str], ...]
Encoded = tuple[bytes, transport.Message]
"""a message in two parts, of which the second is not copied"""

# Numbers and types of fields as tags: number << 3 | 2 for what has a length, | 0 for a number.
_RESPONSE: Final = b"\x0a"  # HeadersResponse.response, BodyResponse.response
_HEADER_MUTATION, _BODY_MUTATION, _CLEAR_ROUTE_CACHE = b"\x12", b"\x1a", b"\x28\x01"  # CommonResponse
_SET_HEADERS, _REMOVE_HEADERS = b"\x0a", b"\x12"  # HeaderMutation
_HEADER, _OVERWRITE = b"\x0a", b"\x18" + bytes([OVERWRITE])  # HeaderValueOption
_KEY, _RAW_VALUE = b"\x0a", b"\x1a"  # HeaderValue
_BODY, _STREAMED_RESPONSE = b"\x0a", b"\x1a"  # BodyMutation
_STREAMED_BODY, _STREAMED_END = b"\x0a", b"\x10\x01"  # StreamedBodyResponse
_DYNAMIC_METADATA: Final = b"\x42"  # ProcessingResponse
_FIELDS, _MAP_KEY, _MAP_VALUE = b"\x0a", b"\x0a", b"\x12"  # Struct
_STRING_VALUE, _STRUCT_VALUE = b"\x1a", b"\x2a"  # Value
_PHASE: Final = {
    Phase.REQUEST_HEADERS: b"\x0a",
    Phase.RESPONSE_HEADERS: b"\x12",
    Phase.REQUEST_BODY: b"\x1a",
    Phase.RESPONSE_BODY: b"\x22",
    Phase.REQUEST_TRAILERS: b"\x2a",
    Phase.RESPONSE_TRAILERS: b"\x32",
}
_CONTINUE: Final = {phase: field(tag, b"") for phase, tag in _PHASE.items()}


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


def encode_routing(command: SendRouting) -> Encoded:
    """Header mutation and dynamic metadata, with the same destinations in both (proposal 004)."""
    metadata = _metadata_with_scores(command) if command.scores else _metadata(command.destinations)
    if command.phase is Phase.REQUEST_TRAILERS:
        return metadata + _CONTINUE[Phase.REQUEST_TRAILERS], b""
    mutation = command.mutation
    added, removed, clears_cache = mutation.set_headers, mutation.remove_headers, mutation.clear_route_cache
    if command.body is None:
        return metadata + _mutated(command.phase, added, removed, clears_cache), b""
    body = command.body
    changes = _header_mutation(added, removed, clears_cache) + _wrapped(b"", len(body), (_BODY, _BODY_MUTATION))
    return metadata + _wrapped(changes, len(body), (_RESPONSE, _PHASE[command.phase])), body


def encode_body(command: SendBody) -> Encoded:
    """One piece of a full-duplex body."""
    before = b""
    if command.metadata:
        response = ProcessingResponse()
        _tell(response, command.metadata)
        before = response.SerializeToString()
    data = command.data
    return before + _before_piece(command.phase, len(data), command.end_of_stream), data


@lru_cache(MOST_REMEMBERED)
def _before_piece(phase: Phase, size: int, end_of_stream: bool) -> bytes:
    """What stands before a piece of a body."""
    inner = _STREAMED_END if end_of_stream else b""
    if size:
        inner += head_of(_STREAMED_BODY, size)
    return _wrapped(inner, size, (_STREAMED_RESPONSE, _BODY_MUTATION, _RESPONSE, _PHASE[phase]))


def _wrapped(inner: bytes, body_bytes: int, tags: Iterable[bytes]) -> bytes:
    """What stands before a body of this size that follows `inner`, in one field in another, the innermost first."""
    for tag in tags:
        inner = head_of(tag, len(inner) + body_bytes) + inner
    return inner


@lru_cache(MOST_REMEMBERED)
def _metadata(destinations: str) -> bytes:
    """Field dynamic_metadata: {envoy.lb: {x-gateway-destination-endpoint: destinations}}."""
    destination = field(_MAP_KEY, DESTINATION.encode()) + field(
        _MAP_VALUE, field(_STRING_VALUE, destinations.encode("latin-1", "replace"))
    )
    namespace = field(_MAP_KEY, METADATA_NAMESPACE.encode()) + field(
        _MAP_VALUE, field(_STRUCT_VALUE, field(_FIELDS, destination))
    )
    return field(_DYNAMIC_METADATA, field(_FIELDS, namespace))


def _metadata_with_scores(command: SendRouting) -> bytes:
    response = ProcessingResponse()
    values: Struct = response.dynamic_metadata.fields[METADATA_NAMESPACE].struct_value
    values.fields[DESTINATION].string_value = command.destinations
    scores: Struct = values.fields[DESTINATION_SCORES].struct_value
    for destination, score in command.scores:
        scores.fields[destination].number_value = score
    return response.SerializeToString()


@lru_cache(MOST_REMEMBERED)
def _mutated(phase: Phase, added: _Headers, removed: tuple[str, ...], clear_route_cache: bool) -> bytes:
    """The answer to a message with changes of headers."""
    return field(_PHASE[phase], field(_RESPONSE, _header_mutation(added, removed, clear_route_cache)))


def _header_mutation(added: _Headers, removed: tuple[str, ...], clear_route_cache: bool) -> bytes:
    """Fields of CommonResponse."""
    parts = [_header(name, value) for name, value in added]
    parts += [field(_REMOVE_HEADERS, name.encode("latin-1", "replace")) for name in removed]
    changes = field(_HEADER_MUTATION, b"".join(parts)) if parts else b""
    return changes + _CLEAR_ROUTE_CACHE if clear_route_cache else changes


@lru_cache(MOST_REMEMBERED)
def _header(name: str, value: str) -> bytes:
    """Field set_headers: the header with this value in place of any that is there."""
    raw = value.encode("latin-1", "replace")
    header = field(_KEY, name.encode("latin-1", "replace")) + (field(_RAW_VALUE, raw) if raw else b"")
    return field(_SET_HEADERS, field(_HEADER, header) + _OVERWRITE)


def _set_headers(target: HeaderMutation, headers: Iterable[tuple[str, str]]) -> None:
    for name, value in headers:
        option = target.set_headers.add()
        option.append_action = OVERWRITE
        option.header.key = name
        option.header.raw_value = value.encode("latin-1", "replace")


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
