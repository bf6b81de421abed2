"""Metrics pages for bench/scrape.py, as long as a real vLLM's, and a server in a process of its own that shows them.

    python -m bench.scrape_pages --pods 10 --pages changing --ready-file pods.json

`idle` is the same page again and again; `changing` is that of a busy engine, on which every number that the picker
reads is another one each time, and longer or shorter.
"""

import argparse
import asyncio
import itertools
import os
import re
import signal
from pathlib import Path
from random import Random
from typing import Literal, cast

import msgspec

from bench.gateway.loop import run_on_uvloop
from bench.gateway.pods import hosts_of, metrics_page
from epp.app.whole_file import replace_file
from epp.lab.fake_vllm.metrics_page import CONTENT_TYPE

Pages = Literal["idle", "changing"]
DIFFERENT_PAGES = 64
COPIED = b"vllm:e2e_request_latency_seconds"
FURTHER_HISTOGRAMS = (
    b"vllm:request_queue_time_seconds",
    b"vllm:request_inference_time_seconds",
    b"vllm:request_decode_time_seconds",
    b"vllm:request_prompt_tokens",
    b"vllm:request_generation_tokens",
    b"vllm:request_max_num_generation_tokens",
    b"vllm:request_params_n",
    b"vllm:request_params_max_tokens",
)
"""that a real engine has and the fake one has not"""
_NUMBERS = re.compile(rb"(?m)^(vllm:(?!cache_config|lora)[^ \n]+) [^ \n]+$")


class ReadyPages(msgspec.Struct, frozen=True):
    """Where the pages are: one port on every host."""

    hosts: tuple[str, ...]
    port: int


def idle_page() -> bytes:
    """An engine that has just started."""
    page = metrics_page()
    first = page.index(b"# HELP " + COPIED)
    last = page.index(b"\n", page.index(b"\n" + COPIED + b"_created{") + 1) + 1
    copies = b"".join(page[first:last].replace(COPIED, name) for name in FURTHER_HISTOGRAMS)
    return page[:last] + copies + page[last:]


def changing_pages() -> tuple[bytes, ...]:
    """An engine at work, at some moments: counters grow at their own speed, gauges go up and down."""
    page = idle_page()
    return tuple(_NUMBERS.sub(_AnotherNumber(moment), page) for moment in range(DIFFERENT_PAGES))


class _AnotherNumber:
    def __init__(self, moment: int) -> None:
        self._moment = moment
        self._speeds = Random(1)
        self._gauges = Random(moment)

    def __call__(self, line: re.Match[bytes]) -> bytes:
        speed = 10 ** self._speeds.uniform(0.0, 3.0)
        if b"usage_perc" in line[1]:
            number = self._gauges.random()
        elif b"num_requests" in line[1]:
            number = float(self._gauges.randrange(200))
        elif b"_seconds_sum" in line[1]:
            number = speed * (1000 + self._moment)
        else:
            number = float(int(speed * (1000 + self._moment)))
        return b"%b %b" % (line[1], repr(number).encode())


def pages_of(kind: Pages) -> tuple[bytes, ...]:
    """What is shown in turn."""
    return (idle_page(),) if kind == "idle" else changing_pages()


def answer_of(page: bytes) -> bytes:
    """The page with its HTTP head, as uvicorn, which vLLM uses, would write it."""
    head = (
        b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: uvicorn\r\n"
        b"content-length: %d\r\ncontent-type: %b\r\n\r\n"
    )
    return head % (len(page), CONTENT_TYPE.encode()) + page


class PageConnection(asyncio.Protocol):
    """Writes the next answer for every head that ends."""

    def __init__(self, answers: "itertools.cycle[bytes]") -> None:
        self._answers = answers
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)  # those of uvloop do not inherit from it

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol; requests without a body come in one piece here."""
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(next(self._answers))


async def serve(pods: int, kind: Pages, ready_file: Path) -> None:
    """Serves until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    hosts = hosts_of(f"127.{20 + os.getppid() % 200}", pods)
    answers = tuple(map(answer_of, pages_of(kind)))
    port = 0
    for host in hosts:
        server = await loop.create_server(lambda: PageConnection(itertools.cycle(answers)), host, port)
        port = server.sockets[0].getsockname()[1]
    replace_file(ready_file, msgspec.json.encode(ReadyPages(hosts, port)))
    await stopped.wait()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, required=True)
    parser.add_argument("--pages", choices=("idle", "changing"), required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    run_on_uvloop(serve(options.pods, options.pages, options.ready_file))


if __name__ == "__main__":
    main()
