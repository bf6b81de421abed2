"""The ext_proc service on grpc.aio: generic handlers, raw bytes in and out."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc
import grpc.aio
import msgspec

from epp.edge.extproc.transport import PROCESS, GrpcStatus, HandlerFactory, Message, StreamHandler

MESSAGE_OVERHEAD_BYTES = 1 << 20
"""headers and metadata around a body of the largest size"""
ABORT_AFTER_S = 5.0
"""streams that do not end when told to are cancelled this much later"""

Context = grpc.aio.ServicerContext[bytes, bytes]


_CODES = {GrpcStatus(code.value[0]): code for code in grpc.StatusCode}

MOST_WAITING_STREAMS = 1_000_000
"""that a busy picker has not begun with; by default gRPC refuses some from 1,000 on, which would bypass the picker"""


class GrpcSettings(msgspec.Struct, frozen=True):
    """Where to listen and how large a message may be."""

    address: str
    port: int
    """0 picks a free one"""
    max_message_bytes: int
    credentials: grpc.ServerCredentials | None = None
    """None: plaintext"""


class GrpcTransport:
    """Serves streams until stopped; `open_streams` are those with a handler."""

    def __init__(self, settings: GrpcSettings, methods: Mapping[str, HandlerFactory]) -> None:
        """`methods` by path; streams of PROCESS are counted."""
        self._settings = settings
        self._methods = methods
        self._server: grpc.aio.Server | None = None
        self._streams: set[_GrpcStream] = set()
        self.port = settings.port

    @property
    def open_streams(self) -> int:
        """ext_proc streams that are being served."""
        return sum(1 for stream in self._streams if stream.path == PROCESS)

    async def start(self) -> None:
        """Binds and serves; `port` is the bound one. Raises RuntimeError when the address cannot be bound."""
        limit = self._settings.max_message_bytes + MESSAGE_OVERHEAD_BYTES
        self._server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.server.max_pending_requests", MOST_WAITING_STREAMS),
                ("grpc.server.max_pending_requests_hard_limit", MOST_WAITING_STREAMS),
            )
        )
        self._server.add_generic_rpc_handlers((_Methods(self._methods, self._serve),))
        address = f"{self._settings.address}:{self._settings.port}"
        if self._settings.credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._settings.credentials)
        await self._server.start()

    async def drain(self, grace_s: float) -> None:
        """Takes no new stream, tells the handlers to come to an end, and ends what is left after `grace_s` with OK."""
        if self._server is None:
            return
        stopping = asyncio.ensure_future(self._server.stop(grace_s + ABORT_AFTER_S))
        for stream in list(self._streams):
            stream.drain()
        await asyncio.wait({stopping}, timeout=grace_s)
        for stream in list(self._streams):
            stream.finish()
        await stopping
        cancelled = {stream.task for stream in self._streams if stream.task is not None}
        if cancelled:  # gRPC does not wait for them
            await asyncio.wait(cancelled, timeout=ABORT_AFTER_S)
        self._server = None

    async def _serve(self, path: str, context: Context) -> None:
        stream = _GrpcStream(path, context)
        self._streams.add(stream)
        try:
            await stream.serve(self._methods[path](stream))
        finally:
            self._streams.discard(stream)


class _Methods(grpc.GenericRpcHandler):
    """Every method takes a stream of raw bytes and answers with one, whatever it is to its handler."""

    def __init__(self, methods: Iterable[str], serve: Callable[[str, Context], Awaitable[None]]) -> None:
        self._handlers: dict[str, Any] = {path: self._handler(path, serve) for path in methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """What serves a call; None: nobody."""
        return self._handlers.get(handler_call_details.method)

    @staticmethod
    def _handler(path: str, serve: Callable[[str, Context], Awaitable[None]]) -> Any:
        async def behaviour(_requests: Any, context: Context) -> None:
            await serve(path, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)


class _GrpcStream:
    """ServerStream over one grpc.aio context.

    gRPC takes one write at a time, so `_flush` is the only writer and runs once at a time: in the reading task after a
    message was handled, else in a task of its own.
    """

    def __init__(self, path: str, context: Context) -> None:
        self.path = path
        self._context = context
        self.task = asyncio.current_task()
        self._outbox: deque[bytes] = deque()
        self._is_handling = False
        self._is_reading = False
        self._is_writing = False
        self._flusher: asyncio.Task[None] | None = None
        self._resumed: asyncio.Event | None = None
        self._is_finished = False
        self._failure: tuple[GrpcStatus, str] | None = None
        self._handler: StreamHandler | None = None

    def send(self, message: bytes, rest: Message = b"") -> None:
        """Leaves with the handler's other answers, or at once when nobody is reading."""
        if self._is_finished:
            return
        self._outbox.append(b"".join((message, rest)) if rest else message)
        if not self._is_handling and not self._is_writing:
            self._is_writing = True
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    def finish(self) -> None:
        """Ends with OK; a read that is under way is given up."""
        self._end()

    def fail(self, code: GrpcStatus, detail: str) -> None:
        """Ends with an error."""
        self._failure = code, detail
        self._end()

    def drain(self) -> None:
        """The server is stopping."""
        if self._handler is not None:
            self._handler.drain()

    def pause_reading(self) -> None:
        """Leaves messages in the transport, whose window closes."""
        if self._resumed is None:
            self._resumed = asyncio.Event()

    def resume_reading(self) -> None:
        """Reads again."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def serve(self, handler: StreamHandler) -> None:
        """Reads until the stream is over. A reset arrives as cancellation, which is its normal end."""
        self._handler = handler
        try:
            await self._read(handler)
        except asyncio.CancelledError:
            if not self._is_finished:
                raise
        finally:
            self._is_finished = True
            handler.closed()
        if self._flusher is not None:
            await self._flusher
        await self._flush()
        if self._failure is not None:
            code, detail = self._failure
            await self._context.abort(_CODES[code], detail)

    async def _read(self, handler: StreamHandler) -> None:
        half_closed: object = grpc.aio.EOF
        while not self._is_finished:
            self._is_reading = True
            if self._resumed is not None:
                await self._resumed.wait()
            message = await self._context.read()
            self._is_reading = False
            if message is half_closed:
                handler.half_closed()
                await self._until_finished()
                return
            self._is_handling = True
            handler.message_received(message)
            self._is_handling = False
            if self._outbox and not self._is_writing:
                self._is_writing = True
                await self._flush()

    async def _until_finished(self) -> None:
        """The peer says nothing more; what the handler still says is sent meanwhile."""
        while not self._is_finished:
            if self._outbox and not self._is_writing:
                self._is_writing = True
                await self._flush()
            self._is_reading = True  # so that the end of the stream ends this wait
            await asyncio.Event().wait()

    async def _flush(self) -> None:
        try:
            while self._outbox:
                await self._context.write(self._outbox.popleft())
        except grpc.aio.BaseError:
            self._outbox.clear()  # the peer has gone, which the reader learns too: nobody wants the rest
        finally:
            self._is_writing = False

    def _end(self) -> None:
        if self._is_finished:
            return
        self._is_finished = True
        if self._is_reading and self.task is not None:
            self.task.cancel()
