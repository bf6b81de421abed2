"""Model servers that cost next to nothing: one process, many loopback addresses, answers made beforehand.

    python -m bench.gateway.pods --network 127.20 --pods 10 --ready-file pods.json

A pod swallows the body of a request, without looking at it or keeping it, and writes the answer of `answers.py`: plain
JSON, or server-sent events to a request with the header `x-bench-answer: stream`. A tick of CHUNK_EVERY_S writes one
event to every running stream, as an engine writes one token per step, so that Envoy sees one piece of data per event as
long as it keeps up. GET /metrics is the page of an idle vLLM.
"""

import argparse
import asyncio
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec

from bench.gateway.answers import ANSWER_HEADER, EVENTS, PodAnswers
from bench.gateway.http1 import HttpError, MessageReader
from bench.gateway.loop import run_on_uvloop
from epp.app.whole_file import replace_file
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.metrics_page import CONTENT_TYPE, ProcessStats, render
from epp.lab.fake_vllm.process import ReadyPod
from epp.lab.fake_vllm.settings import EngineSettings, PodSettings
from epp.lab.plan import BASE_MODEL, free_port
from epp.lab.stack import ReadyPods

CHUNK_EVERY_S = 0.005
"""as fast as engines are with small models, and slow enough that Envoy reads each event by itself"""
FIRST_HOST = 2
PER_NETWORK = 250
START_ATTEMPTS = 3
BACKLOG = 1024
_WANTS_STREAM = b"\r\n" + ANSWER_HEADER + b": stream"


def hosts_of(network: str, count: int) -> tuple[str, ...]:
    """So many addresses below `network`, which is the first two numbers of loopback addresses."""
    return tuple(f"{network}.{number // PER_NETWORK}.{FIRST_HOST + number % PER_NETWORK}" for number in range(count))


class Ticker:
    """Writes the next event to every running stream `every_s` after the last one; stands still without any."""

    def __init__(self, every_s: float = CHUNK_EVERY_S) -> None:
        self._every_s = every_s
        self._streams: dict[asyncio.WriteTransport, Iterator[bytes]] = {}
        self._is_ticking = False
        self._due_at = 0.0

    def add(self, transport: asyncio.WriteTransport) -> None:
        """The head of an answer has been written; its events follow."""
        self._streams[transport] = iter(EVENTS)
        if not self._is_ticking:
            self._is_ticking = True
            self._due_at = asyncio.get_running_loop().time()
            self._tick_later()

    def remove(self, transport: asyncio.WriteTransport) -> None:
        """The connection has ended; harmless when nothing is streamed on it."""
        self._streams.pop(transport, None)

    def _tick_later(self) -> None:
        loop = asyncio.get_running_loop()
        # From tick to tick and not from the end of one, so that answers take the same time whatever else goes on; but
        # ticks that were missed are not made up for, because events shall come one by one.
        self._due_at = max(self._due_at + self._every_s, loop.time())
        loop.call_at(self._due_at, self._tick)

    def _tick(self) -> None:
        ended = []
        for transport, events in self._streams.items():
            event = next(events, None)
            if event is None:
                ended.append(transport)
            else:
                transport.write(event)
        for transport in ended:
            del self._streams[transport]
        self._is_ticking = bool(self._streams)
        if self._is_ticking:
            self._tick_later()


class PodConnection(asyncio.Protocol):
    """One connection to one pod."""

    def __init__(self, answers: PodAnswers, page: bytes, ticker: Ticker) -> None:
        self._answers = answers
        self._page = page
        self._ticker = ticker
        self._transport: asyncio.Transport
        self._head = b""
        self._reader = MessageReader(self._head_read, self._request_read)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop do not inherit from it

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            self._reader.feed(data)
        except HttpError as error:
            # Envoy sees a reset and the generator an answer that is none: it is counted there.
            self._transport.abort()
            raise error from None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """See asyncio.Protocol."""
        self._ticker.remove(self._transport)

    def _head_read(self, head: bytes) -> None:
        self._head = head

    def _request_read(self) -> None:
        head = self._head
        if head.startswith(b"GET /metrics"):
            self._transport.write(self._page)
        elif _WANTS_STREAM in head:
            self._transport.write(self._answers.stream_heads[self._answers.decision(head)])
            self._ticker.add(self._transport)
        else:
            self._transport.write(self._answers.whole[self._answers.decision(head)])


def metrics_page() -> bytes:
    """The page of a vLLM that has just started."""
    settings = PodSettings(model=BASE_MODEL)
    process = ProcessStats(cpu_s=1.0, max_fds=1024, start_unix_s=1_700_000_000.0)
    return render(Engine(EngineSettings()), settings, process, unix_offset_s=1_700_000_000.0)


def metrics_answer() -> bytes:
    """What a scraper gets."""
    page = metrics_page()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (CONTENT_TYPE.encode(), len(page))
    return head + page


async def serve(hosts: tuple[str, ...], ready_file: Path) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    port, listening = _listen(hosts)
    page, ticker = metrics_answer(), Ticker()
    for host, sock in zip(hosts, listening, strict=True):
        answers = PodAnswers(f"{host}:{port}")
        await loop.create_server(lambda each=answers: PodConnection(each, page, ticker), sock=sock, backlog=BACKLOG)  # type: ignore[misc]  # mypy infers no lambda with a default
    pods = [ReadyPod(f"vllm-{number}", host, port) for number, host in enumerate(hosts)]
    replace_file(ready_file, msgspec.json.encode(ReadyPods(pods)))
    await stopped.wait()


def _listen(hosts: tuple[str, ...]) -> tuple[int, list[socket.socket]]:
    """A port and its sockets, one per host; raises OSError when no port could be had on all of them."""
    for attempt in range(START_ATTEMPTS):
        port = free_port(hosts)
        sockets: list[socket.socket] = []
        try:
            for host in hosts:
                sockets.append(socket.create_server((host, port), backlog=BACKLOG))  # noqa: PERF401  closed on error
        except OSError:  # another process may have taken the port since it was found free
            for each in sockets:
                each.close()
            if attempt + 1 == START_ATTEMPTS:
                raise
        else:
            return port, sockets
    raise AssertionError("the last attempt returns or raises")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--network", required=True, help="first two numbers of the addresses: 127.20")
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    run_on_uvloop(serve(hosts_of(options.network, options.pods), options.ready_file))


if __name__ == "__main__":
    main()
