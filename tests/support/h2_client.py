"""A small HTTP/2 client, over cleartext (prior knowledge) or TLS, many streams on one connection."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events

_WINDOW_BYTES = 2**31 - 1


class H2Response:
    """One answer, growing while it arrives: wait for `headers_came` or `done`. `reset` is the RST_STREAM code."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.body = bytearray()
        self.reset: int | None = None
        self.headers_came = asyncio.Event()
        self.done = asyncio.Event()

    @property
    def status(self) -> int:
        """HTTP status; 0 until the headers are there."""
        return int(self.headers.get(":status", 0))


class H2Client:
    """`async with H2Client("127.0.0.1", port) as client: response = await client.request("POST", "/", body=b"...")`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._address = (host, port)
        self._tls = tls
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._responses: dict[int, H2Response] = {}
        self._window_grew = asyncio.Event()
        self._settings_came = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address, ssl=self._tls)
        self._connection.initiate_connection()
        self._connection.increment_flow_control_window(_WINDOW_BYTES - 65535)
        self._flush()
        self._reading = asyncio.create_task(self._read())
        await self._settings_came.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        self._writer.close()
        await asyncio.wait([self._reading])
        await self._writer.wait_closed()

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        trailers: Iterable[tuple[str, str]] = (),
    ) -> H2Response:
        """Send a request and wait for the whole answer."""
        response = await self.begin(method, path, headers=headers, body=body, trailers=trailers)
        await response.done.wait()
        return response

    async def begin(
        self,
        method: str,
        path: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        trailers: Iterable[tuple[str, str]] = (),
    ) -> H2Response:
        """Send a request; the answer grows on its own."""
        stream = self._connection.get_next_available_stream_id()
        response = self._responses[stream] = H2Response()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path)]
        trailing = list(trailers)
        self._connection.send_headers(stream, [*pseudo, *headers], end_stream=not (body or trailing))
        # Windows of the answer: as wide as they go, so that a test never waits for this client.
        self._connection.increment_flow_control_window(_WINDOW_BYTES - 65535, stream)
        self._flush()
        await self._send_body(stream, response, memoryview(body), end_stream=not trailing)
        if trailing and not response.done.is_set():
            self._connection.send_headers(stream, trailing, end_stream=True)
            self._flush()
        return response

    async def _send_body(self, stream: int, response: H2Response, body: memoryview, end_stream: bool) -> None:
        while body and not response.done.is_set():
            self._window_grew.clear()
            size = min(
                self._connection.local_flow_control_window(stream), self._connection.max_outbound_frame_size, len(body)
            )
            if size == 0:
                await self._window_grew.wait()
                continue
            self._connection.send_data(stream, bytes(body[:size]), end_stream=end_stream and size == len(body))
            body = body[size:]
            self._flush()
            await self._writer.drain()

    async def _read(self) -> None:
        while data := await self._reader.read(1 << 20):
            for event in self._connection.receive_data(data):
                self._take(event)
            self._flush()
        for response in self._responses.values():
            response.done.set()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RemoteSettingsChanged):
            self._settings_came.set()
        if isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._window_grew.set()
            return
        response = self._responses.get(getattr(event, "stream_id", 0))
        if response is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            response.headers = {str(name): str(value) for name, value in event.headers}
            response.headers_came.set()
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = {str(name): str(value) for name, value in event.headers}
        elif isinstance(event, h2.events.StreamReset):
            response.reset = int(event.error_code)
            self._finish(response)
        elif isinstance(event, h2.events.StreamEnded):
            self._finish(response)

    def _finish(self, response: H2Response) -> None:
        response.done.set()
        self._window_grew.set()  # whoever still sends the body looks again

    def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())
