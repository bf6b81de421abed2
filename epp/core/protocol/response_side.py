"""The response half of the conversation: answers every message, finds out how the request ended.

With a buffered request and no response body configured, the body can be turned on for one request in the answer to
the response headers; under full-duplex requests Envoy ignores that.

Of a request whose model was rewritten, the answer gets the client's name for the model back. A buffered answer also
gets its new length, which Envoy compares with the body; one that streams loses the header, as Envoy would see to.

A gRPC answer is always 200 in HTTP. How it went says `grpc-status`, in the trailers or, where nothing else comes, in
the headers; it counts as the HTTP status that means the same.
"""

from collections.abc import Callable
from typing import Final

from epp.core.domain.decision import MetadataNumber
from epp.core.domain.ports import Outcome, TokenUsage
from epp.core.protocol.chunks import MAX_CHUNK_BYTES, cut
from epp.core.protocol.commands import Command, Continue, NoteFirstToken, OverrideMode, Phase, Release, SendBody
from epp.core.protocol.events import BodyMode, Data, Headers, ResponseBodyChunk, ResponseHeaders, ResponseTrailers
from epp.core.protocol.grpc_frames import STATUS, http_status_of, is_grpc
from epp.core.protocol.headers import whole_number
from epp.core.protocol.model_rename import EventStreamRenamer, JsonRenamer, ModelRenamer
from epp.core.protocol.usage import JsonUsageReader, SseUsageReader, UsageReader

LONGEST_BUFFERED_ANSWER_BYTES: Final = 1 << 20
"""a longer JSON answer is never buffered in the proxy for a sample"""
SERVER_ERROR: Final = 500
STREAMING_MODES: Final = (BodyMode.STREAMED, BodyMode.FULL_DUPLEX_STREAMED)
SSE: Final = "text/event-stream"
JSON: Final = "application/json"
CONTENT_LENGTH: Final = "content-length"
PASS_ON: Final = Continue(Phase.RESPONSE_BODY)
HeaderPairs = tuple[tuple[str, str], ...]


def unread() -> UsageReader | None:
    """Of a gRPC answer whose messages are not known."""
    return None


class ResponseSide:
    """`sampled`: the body of this response is wanted for first-token time and usage.

    `client_model`: the name to put back; empty where the model was not rewritten. `grpc_usage` makes the reader of a
    gRPC answer; `streaming`: the request asked for a streamed answer, which in gRPC no header says.
    """

    status = 0
    is_over = False
    _renamer: ModelRenamer | None = None
    _usage: TokenUsage | None = None
    _reader: UsageReader | None = None
    _is_grpc = False
    _is_stream = False
    _seen_bytes = 0
    _declared_bytes: int | None = None
    _first = True

    def __init__(
        self,
        mode: BodyMode,
        *,
        may_override: bool,
        sampled: bool,
        streaming: bool = False,
        client_model: str = "",
        grpc_usage: Callable[[], UsageReader | None] = unread,
        reporters: tuple[Callable[[TokenUsage], MetadataNumber | None], ...] = (),
    ) -> None:
        self._mode = mode
        self._may_override = may_override
        self._sampled = sampled
        self._streaming = streaming
        self._client_model = client_model
        self._grpc_usage = grpc_usage
        self._reporters = reporters

    def headers(self, event: ResponseHeaders, set_headers: HeaderPairs = ()) -> list[Command]:
        """Answers the headers, with `set_headers`, and with the mode override where the body is wanted."""
        self.status = whole_number(event.headers.get(":status", "")) or 0
        self._declared_bytes = whole_number(event.headers.get(CONTENT_LENGTH, ""))
        content_type = event.headers.get("content-type", "")
        self._is_grpc = is_grpc(content_type)
        self._is_stream = self._streaming if self._is_grpc else SSE in content_type
        self.is_over = event.end_of_stream
        if self.is_over:
            self._declared_bytes = 0
            self._note_grpc_status(event.headers)
            return [Continue(Phase.RESPONSE_HEADERS, set_headers)]
        if self._client_model and self.status == 200:
            self._renamer = self._renamer_for(event)
        override = self._override()
        if override is not None:
            self._mode = override
        if self._mode is not BodyMode.NONE and (override is not BodyMode.STREAMED or self._sampled or self._is_stream):
            self._reader = self._make_reader()
        removed = (CONTENT_LENGTH,) if self._renamer is not None and self._mode in STREAMING_MODES else ()
        if override is not None:
            return [OverrideMode(override, set_headers, removed)]
        return [Continue(Phase.RESPONSE_HEADERS, set_headers, removed)]

    def chunk(self, event: ResponseBodyChunk) -> list[Command]:
        """Passes the piece on and looks into it; pieces after the end are ignored."""
        if self.is_over:
            return []
        commands: list[Command] = []
        if self._first:
            self._first = False
            if self._is_stream:
                commands.append(NoteFirstToken())
        data = event.data
        self._seen_bytes += len(data)
        if self._reader is not None:
            data = bytes(data)
            self._reader.feed(data)
        if event.end_of_stream or self._renamer is not None or len(data) > MAX_CHUNK_BYTES:
            commands += self._passed_on(data, is_last=event.end_of_stream)
        elif self._mode is BodyMode.FULL_DUPLEX_STREAMED:
            commands.append(SendBody(Phase.RESPONSE_BODY, data, end_of_stream=False))
        else:
            commands.append(PASS_ON)
        return commands

    def trailers(self, event: ResponseTrailers) -> list[Command]:
        """The response ended with trailers."""
        self._note_grpc_status(event.trailers)
        return [Continue(Phase.RESPONSE_TRAILERS, metadata=self._end())]

    def release(self) -> Release:
        """How the request ended, as far as it was seen."""
        if self.status >= SERVER_ERROR:
            outcome = Outcome.ERROR
        else:
            outcome = Outcome.COMPLETE if self.is_over else Outcome.UNKNOWN
        seen = self._declared_bytes if self._mode is BodyMode.NONE else self._seen_bytes
        return Release(outcome, self.status, seen, self._usage)

    def _end(self) -> tuple[MetadataNumber, ...]:
        """The response is over; what plugins report of its usage."""
        self.is_over = True
        self._usage = self._reader.finish() if self._reader is not None else None
        if self._usage is None:
            return ()
        reports = [report(self._usage) for report in self._reporters]
        return tuple(found for found in reports if found is not None)

    def _make_reader(self) -> UsageReader | None:
        if self._is_grpc:
            return self._grpc_usage()
        return SseUsageReader() if self._is_stream else JsonUsageReader()

    def _note_grpc_status(self, headers: Headers) -> None:
        if self._is_grpc:
            self.status = http_status_of(headers.get(STATUS, "")) or self.status

    def _renamer_for(self, event: ResponseHeaders) -> ModelRenamer | None:
        """Who can rename the model in this answer; nobody in a compressed one."""
        if event.headers.get("content-encoding", "identity") != "identity":
            return None
        if self._is_stream:
            return EventStreamRenamer(self._client_model)
        return JsonRenamer(self._client_model) if JSON in event.headers.get("content-type", "") else None

    def _passed_on(self, data: Data, *, is_last: bool) -> list[Command]:
        """A piece that is the last one, or is changed, or has to be cut."""
        metadata = self._end() if is_last else ()
        was = data
        if self._renamer is not None:
            data = self._renamer.feed(bytes(data))
        if self._mode is BodyMode.FULL_DUPLEX_STREAMED:
            *pieces, last = cut(data)
            commands: list[Command] = [SendBody(Phase.RESPONSE_BODY, piece, end_of_stream=False) for piece in pieces]
            commands.append(SendBody(Phase.RESPONSE_BODY, last, is_last, metadata))
            return commands
        if data is was:
            return [Continue(Phase.RESPONSE_BODY, metadata=metadata)]
        length = ((CONTENT_LENGTH, str(len(data))),) if self._mode is BodyMode.BUFFERED else ()
        return [Continue(Phase.RESPONSE_BODY, length, body=bytes(data), metadata=metadata)]

    def _override(self) -> BodyMode | None:
        if not self._may_override or self._mode is not BodyMode.NONE or self.status != 200:
            return None
        if not self._sampled and self._renamer is None:
            return None
        if self._is_stream or self._is_grpc:
            return BodyMode.STREAMED
        declared = self._declared_bytes
        if declared is not None and declared <= LONGEST_BUFFERED_ANSWER_BYTES:
            return BodyMode.BUFFERED
        return BodyMode.STREAMED if self._renamer is not None else None
