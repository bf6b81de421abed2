"""Publishes KV-cache events as vLLM's ZmqEventPublisher does: a PUB socket, and a ROUTER socket for replays.

Batches are MessagePack arrays (vLLM 0.11) or maps (since its pull request 42892).
"""

import asyncio
import time
from collections import deque
from typing import Any

import msgspec
import zmq
import zmq.asyncio

BUFFERED_BATCHES = 10_000
END_OF_REPLAY = (-1).to_bytes(8, "big", signed=True)

_encode = msgspec.msgpack.encode


class KvEventPublisher:
    """Ports 0 take free ones; `port` and `replay_port` are the real ones after `start`."""

    def __init__(self, host: str, port: int, replay_port: int | None, *, as_maps: bool = False) -> None:
        self.port = port
        self.replay_port = replay_port
        self.topic = ""
        self._host = f"[{host}]" if ":" in host else host
        self._as_maps = as_maps
        self._next = 0
        self._buffer: deque[tuple[bytes, bytes]] = deque(maxlen=BUFFERED_BATCHES)
        self._context: zmq.Context[zmq.Socket[bytes]]
        self._publishing: zmq.Socket[bytes]
        self._replays: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Binds; raises OSError when a port cannot be had. To be called inside a running loop."""
        self._context = zmq.Context()
        self._publishing = self._context.socket(zmq.PUB)
        self.port = self._bind(self._publishing, self.port)
        if self.replay_port is not None:
            router = zmq.asyncio.Context.shadow(self._context).socket(zmq.ROUTER)
            self.replay_port = self._bind(router, self.replay_port)
            self._replays = asyncio.get_running_loop().create_task(self._serve_replays(router))

    def publish(self, events: list[dict[str, Any]], *, lost: bool = False) -> None:
        """One batch; nothing is sent for no events, and a lost one can only be had from a replay."""
        if not events:
            return
        batch = {"ts": time.time(), "events": events, "data_parallel_rank": 0}
        payload = _encode(batch if self._as_maps else _as_array(batch))
        number = self._next.to_bytes(8, "big")
        self._next += 1
        self._buffer.append((number, payload))
        if not lost:
            self._publishing.send_multipart((self.topic.encode(), number, payload), zmq.NOBLOCK)

    async def stop(self) -> None:
        """Closes the sockets at once."""
        if self._replays is not None:
            self._replays.cancel()
            await asyncio.gather(self._replays, return_exceptions=True)
            self._replays = None
        self._context.destroy(linger=0)

    def _bind(self, socket: Any, port: int) -> int:
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.bind(f"tcp://{self._host}:{port or '*'}")
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise OSError(error.errno, error.strerror) from error
        return int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    async def _serve_replays(self, router: zmq.asyncio.Socket) -> None:
        try:
            while True:
                client, *_, first = await router.recv_multipart()
                for number, payload in list(self._buffer):
                    if number >= first:
                        await router.send_multipart((client, b"", self.topic.encode(), number, payload))
                await router.send_multipart((client, b"", self.topic.encode(), END_OF_REPLAY, b""))
        finally:
            router.close(linger=0)


def _as_array(batch: dict[str, Any]) -> list[Any]:
    return [batch["ts"], [list(event.values()) for event in batch["events"]], batch["data_parallel_rank"]]
