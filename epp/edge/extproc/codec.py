"""ext_proc messages to events. A body is shown where it lies, not copied; everything else is small."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from epp._pb.core_pb2 import HeaderMap, Metadata
from epp._pb.ext_proc_pb2 import HttpBody, HttpHeaders, ProcessingRequest, ProtocolConfiguration
from epp.core.domain.errors import PickerError
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
from epp.core.protocol.headers import METADATA_NAMESPACE
from epp.edge.extproc.transport import Message

SERVED_KEY: Final = "x-gateway-destination-endpoint-served"
SUBSET_NAMESPACE: Final = "envoy.lb.subset_hint"
SUBSET_KEY: Final = "x-gateway-destination-endpoint-subset"

# Tags of fields (protobuf encoding: number << 3 | wire type): of ProcessingRequest,
_REQUEST_HEADERS: Final = 0x12
_RESPONSE_HEADERS: Final = 0x1A
_REQUEST_BODY: Final = 0x22
_RESPONSE_BODY: Final = 0x2A
_METADATA_CONTEXT: Final = 0x42
_PROTOCOL_CONFIG: Final = 0x5A
# of HttpBody,
_BODY: Final = 0x0A
_END_OF_STREAM: Final = 0x10
# of HttpHeaders,
_HEADER_MAP: Final = 0x0A
_END_OF_HEADERS: Final = 0x18
# of HeaderMap and HeaderValue.
_HEADER: Final = 0x0A
_KEY: Final = 0x0A
_VALUE: Final = 0x12
_RAW_VALUE: Final = 0x1A

MOST_REMEMBERED: Final = 1_000
LONGEST_REMEMBERED: Final = 1_000
"""bytes"""
ONE_BYTE: Final = 0x7F
"""the largest number that a varint has one byte for"""


class MalformedMessage(PickerError):
    """The peer sent bytes that are not a ProcessingRequest, or one without content."""


def decode(data: Message) -> Event:
    """The event of one ProcessingRequest; raises MalformedMessage."""
    tag = data[0] if len(data) else 0
    event: Event | None = None
    if tag in (_REQUEST_BODY, _RESPONSE_BODY):
        event = _plain_body(data, tag)
    elif tag in (_REQUEST_HEADERS, _RESPONSE_HEADERS):
        event = _plain_headers(bytes(data), tag)
    if event is not None:
        return event
    try:
        message = ProcessingRequest.FromString(bytes(data))
    except DecodeError as error:
        raise MalformedMessage(f"not a ProcessingRequest: {error}") from error
    kind = message.WhichOneof("request")
    if kind is None:
        raise MalformedMessage("a ProcessingRequest without headers, body or trailers")
    return _DECODERS[kind](message)


def _plain_body(data: Message, tag: int) -> RequestBodyChunk | ResponseBodyChunk | None:
    """A message with a body and at most metadata, as encoders write it; None for any other: that is for the library."""
    try:
        size, at = _number(data, 1)
        end = at + size
        body: Message = b""
        if at < end and data[at] == _BODY:
            size, at = _number(data, at + 1)
            stop = at + size
            if stop > end:
                return None
            body = data[at:stop]
            at = stop
        is_last = False
        if at != end:
            if at + 2 != end or data[at] != _END_OF_STREAM or data[at + 1] > 1:
                return None
            is_last = data[at + 1] == 1
        metadata = b""
        if end != len(data):
            size, at = _number(data, end + 1)
            if data[end] != _METADATA_CONTEXT or at + size != len(data):
                return None
            metadata = bytes(data[at:])
        if tag == _REQUEST_BODY:
            return RequestBodyChunk(body, is_last, _subset_in(metadata))
        _served_in(metadata)  # said with the headers; here only that it can be read
        return ResponseBodyChunk(body, is_last)
    except (IndexError, DecodeError, UnicodeDecodeError):  # it is cut off, or no metadata
        return None


def _plain_headers(data: bytes, tag: int) -> RequestHeaders | ResponseHeaders | None:
    """Headers with metadata and configuration at most, each once; None for any other, which is for the library.

    Metadata and configuration are the same in most messages; what was read in them is remembered.
    """
    try:
        size, at = _number(data, 1)
        read = _plain_fields(data, at, at + size)
        if read is None:
            return None
        at += size
        metadata: bytes | None = None
        config: bytes | None = None
        while at < len(data):
            field = data[at]
            size, at = _number(data, at + 1)
            if field == _METADATA_CONTEXT and metadata is None:
                metadata = data[at : at + size]
            elif field == _PROTOCOL_CONFIG and config is None and tag == _REQUEST_HEADERS:
                config = data[at : at + size]
            else:
                return None
            at += size
        if at != len(data):
            return None
        headers, end_of_stream = read
        if tag == _RESPONSE_HEADERS:
            return ResponseHeaders(headers, end_of_stream, _served_in(metadata or b""))
        protocol = None if config is None else _config_in(config)
        return RequestHeaders(headers, end_of_stream, _subset_in(metadata or b""), protocol)
    except (IndexError, DecodeError, UnicodeDecodeError):
        return None


def _plain_fields(data: bytes, at: int, end: int) -> tuple[Headers, bool] | None:
    """What data[at:end], an HttpHeaders, says; None for anything but a map and the flag, each once and in this order.

    Raises IndexError where it is cut off, and UnicodeDecodeError.
    """
    headers: Headers = {}
    if at < end and data[at] == _HEADER_MAP:
        size, at = _number(data, at + 1)
        stop = at + size
        while at < stop:
            if data[at] != _HEADER:
                return None
            size, at = data[at + 1], at + 2
            if size > ONE_BYTE:
                size, at = _number(data, at - 1)
            if not _plain_header(data, at, at + size, headers):
                return None
            at += size
        if at != stop:
            return None
    if at == end:
        return headers, False
    if at + 2 != end or data[at] != _END_OF_HEADERS or data[at + 1] > 1:
        return None
    return headers, data[at + 1] == 1


def _plain_header(data: bytes, at: int, end: int, headers: Headers) -> bool:
    """Adds the HeaderValue in data[at:end]; False for one that has no short name, or more than one value."""
    size, at = data[at + 1], at + 2
    if data[at - 2] != _KEY or size > ONE_BYTE:
        return False
    key = data[at : at + size].decode("utf-8")
    at += size
    value = ""
    if at < end:
        field = data[at]
        size, at = data[at + 1], at + 2
        if size > ONE_BYTE:
            size, at = _number(data, at - 1)
        if field == _RAW_VALUE:
            value = data[at : at + size].decode("latin-1")
        elif field == _VALUE:
            value = data[at : at + size].decode("utf-8")
        else:
            return False
        at += size
    headers[key] = f"{headers[key]},{value}" if key in headers else value
    return at == end


@lru_cache(MOST_REMEMBERED)
def _served_by(metadata: bytes) -> str:
    return _served(Metadata.FromString(metadata))


def _served_in(metadata: bytes) -> str:
    if not metadata:
        return ""
    return _served_by(metadata) if len(metadata) <= LONGEST_REMEMBERED else _served_by.__wrapped__(metadata)


@lru_cache(MOST_REMEMBERED)
def _subset_of(metadata: bytes) -> tuple[str, ...] | None:
    return _subset(Metadata.FromString(metadata))


def _subset_in(metadata: bytes) -> tuple[str, ...] | None:
    if not metadata:
        return None
    return _subset_of(metadata) if len(metadata) <= LONGEST_REMEMBERED else _subset_of.__wrapped__(metadata)


@lru_cache(MOST_REMEMBERED)
def _config_in(encoded: bytes) -> ProtocolConfig:
    config = ProtocolConfiguration.FromString(encoded)
    return _protocol_config(config.request_body_mode, config.response_body_mode)


def _number(data: Message, at: int) -> tuple[int, int]:
    """The varint that begins at `at`, as far as numbers of this size go, and where it ends; raises IndexError."""
    value = data[at]
    if value <= ONE_BYTE:
        return value, at + 1
    byte = data[at + 1]
    if byte <= ONE_BYTE:
        return value & ONE_BYTE | byte << 7, at + 2
    value = value & ONE_BYTE | (byte & ONE_BYTE) << 7
    for place in (2, 3):
        byte = data[at + place]
        value |= (byte & ONE_BYTE) << 7 * place
        if byte <= ONE_BYTE:
            return value, at + place + 1
    return len(data), at  # longer than any message


def _request_headers(message: ProcessingRequest) -> RequestHeaders:
    content: HttpHeaders = message.request_headers
    protocol = None
    if message.HasField("protocol_config"):
        config = message.protocol_config
        protocol = _protocol_config(config.request_body_mode, config.response_body_mode)
    return RequestHeaders(
        headers=_headers(content.headers),
        end_of_stream=content.end_of_stream,
        subset=_subset(message.metadata_context),
        protocol=protocol,
        observed_only=message.observability_mode,
    )


_CONFIGS: Final[dict[tuple[int, int], ProtocolConfig]] = {
    (request, response): ProtocolConfig(request, response) for request in BodyMode for response in BodyMode
}


def _protocol_config(request: int, response: int) -> ProtocolConfig:
    config = _CONFIGS.get((request, response))
    if config is None:
        unknown = response if any(request == mode for mode in BodyMode) else request
        raise MalformedMessage(f"body mode {unknown} of protocol_config is not one of this ext_proc version")
    return config


def _request_body(message: ProcessingRequest) -> RequestBodyChunk:
    content: HttpBody = message.request_body
    return RequestBodyChunk(content.body, content.end_of_stream, _subset(message.metadata_context))


def _request_trailers(_: ProcessingRequest) -> RequestTrailers:
    return RequestTrailers()


def _response_headers(message: ProcessingRequest) -> ResponseHeaders:
    content: HttpHeaders = message.response_headers
    return ResponseHeaders(_headers(content.headers), content.end_of_stream, _served(message.metadata_context))


def _response_body(message: ProcessingRequest) -> ResponseBodyChunk:
    content: HttpBody = message.response_body
    return ResponseBodyChunk(content.body, content.end_of_stream)


def _response_trailers(message: ProcessingRequest) -> ResponseTrailers:
    return ResponseTrailers(_headers(message.response_trailers.trailers))


_DECODERS: Final[dict[str, Callable[[ProcessingRequest], Event]]] = {
    "request_headers": _request_headers,
    "request_body": _request_body,
    "request_trailers": _request_trailers,
    "response_headers": _response_headers,
    "response_body": _response_body,
    "response_trailers": _response_trailers,
}


def _headers(header_map: HeaderMap) -> Headers:
    entries = header_map.headers
    headers = {header.key: header.raw_value.decode("latin-1") or header.value for header in entries}
    if len(headers) == len(entries):
        return headers
    joined: Headers = {}
    for header in entries:
        value = header.raw_value.decode("latin-1") or header.value
        joined[header.key] = f"{joined[header.key]},{value}" if header.key in joined else value
    return joined


def _metadata(metadata: Metadata, namespace: str, key: str) -> str | list[str] | None:
    """A string or a list of strings of the filter metadata; None for anything else."""
    if not metadata.filter_metadata or namespace not in metadata.filter_metadata:
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


def _served(metadata: Metadata) -> str:
    """Who served the response; empty where that is not said."""
    value = _metadata(metadata, METADATA_NAMESPACE, SERVED_KEY)
    return value if isinstance(value, str) else ""


def _subset(metadata: Metadata) -> tuple[str, ...] | None:
    """The subset hint as a list, or as one string with commas."""
    value = _metadata(metadata, SUBSET_NAMESPACE, SUBSET_KEY)
    if value is None:
        return None
    entries = value.split(",") if isinstance(value, str) else value
    return tuple(stripped for entry in entries if (stripped := entry.strip()))
