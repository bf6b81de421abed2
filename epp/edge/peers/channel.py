"""Messages over a socket pair: 4 bytes of length, little-endian, then MessagePack. Messages arrive in order."""

import asyncio
import socket
import struct

import msgspec

from epp.edge.peers.messages import Message

_LENGTH = struct.Struct("<I")
MOST_MESSAGE_BYTES = 256 << 20
MOST_BEHIND_BYTES = 4 << 20
"""not read yet by the other side; above it, what may be lost is not sent"""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


class Channel:
    """One end. Calls from one event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        """On one end of a stream socket pair, which belongs to the channel from now on."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: Message) -> None:
        """Queues a message; one that the other side does not live to read is lost."""
        if not self._writer.is_closing():
            self._writer.write(framed(message))

    def offer(self, message: Message) -> bool:
        """As `send`, but a message to somebody who is far behind is dropped, and False is returned."""
        if self._writer.transport.get_write_buffer_size() > MOST_BEHIND_BYTES:
            return False
        self.send(message)
        return True

    async def receive(self) -> Message | None:
        """The next message; None when the other side is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > MOST_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes: the other side is not one of us")
            return _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def flush(self) -> None:
        """Waits until what was sent is on its way."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Nothing is sent or received any more."""
        self._writer.close()


def framed(message: Message) -> bytes:
    """A message as it is sent."""
    content = _encoder.encode(message)
    return _LENGTH.pack(len(content)) + content


def receive_now(end: socket.socket) -> Message:
    """The first message, before there is an event loop; raises ConnectionError when there is none."""
    (length,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    return _decoder.decode(_exactly(end, length))


def _exactly(end: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = end.recv(size)
        if not part:
            raise ConnectionError("the other side is gone")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
