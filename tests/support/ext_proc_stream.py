"""One ext_proc stream from the proxy's side: messages out, answers in, with a bound on every wait."""

import asyncio

import grpc
import grpc.aio

from epp._pb.ext_proc_pb2 import ProcessingRequest, ProcessingResponse

PATIENCE_S = 8.0


class StreamOver(Exception):
    """The server ended the stream while an answer was awaited."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


class ExtProcStream:
    """One stream."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[bytes, bytes]") -> None:
        self._call = call

    async def send(self, message: ProcessingRequest) -> None:
        """One message."""
        await self.send_bytes(message.SerializeToString())

    async def send_bytes(self, message: bytes) -> None:
        """One message that may be anything."""
        await self._call.write(message)

    async def receive(self) -> ProcessingResponse:
        """The next answer; StreamOver when there is none any more."""
        return ProcessingResponse.FromString(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        """The next message as it is; StreamOver when there is none any more."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                data = await self._call.read()
        except grpc.aio.AioRpcError:
            data = grpc.aio.EOF
        if not isinstance(data, bytes):
            raise StreamOver(await self._call.code(), await self._call.details())
        return data

    async def half_close(self) -> None:
        """No more messages from here."""
        await self._call.done_writing()

    def reset(self) -> None:
        """RST_STREAM."""
        self._call.cancel()

    async def status(self) -> grpc.StatusCode:
        """How the server ended the stream."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._call.code()

    async def details(self) -> str:
        """What the server said at the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._call.details()
