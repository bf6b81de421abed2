"""`epp serve` as a process of its own: free ports on 127.0.0.1, a directory of objects, its pages, health and log.

async with served_picker(tmp_path) as picker:
    picker.write("pool.yaml", pool_yaml())
    await picker.until_ready()
    async with ExtProcClient(picker.ports.grpc_port) as envoy:
        ...
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import msgspec

from epp._pb.health_pb2 import HealthCheckRequest, HealthCheckResponse
from epp.lab.child_process import ChildProcess
from epp.lab.picker_pages import PickerPages
from epp.lab.picker_replica import ReadyPicker

HOST = "127.0.0.1"
FREE_PORTS = (f"--bind-address={HOST}", "--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0")
CHECK = "/grpc.health.v1.Health/Check"


class ServedPicker:
    """A running picker; made by `served_picker`."""

    def __init__(
        self, process: ChildProcess, ports: ReadyPicker, objects: Path, session: aiohttp.ClientSession
    ) -> None:
        self.process = process
        self.ports = ports
        self.objects = objects
        self.pages = PickerPages(session, f"http://{HOST}:{ports.metrics_port}")
        self._session = session

    def write(self, name: str, text: str) -> None:
        """A file of objects; an empty text removes it."""
        path = self.objects / name
        if not text:
            path.unlink()
            return
        replacement = path.with_suffix(".new")
        replacement.write_text(text)
        replacement.replace(path)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        async with self._session.get(f"http://{HOST}:{self.ports.metrics_port}{path}") as response:
            return response.status, await response.text()

    async def until_page(self, path: str, token: str, text: str) -> None:
        """Waits until a page shows `text` to the holder of a token."""
        headers = {"Authorization": f"Bearer {token}"}

        async def shows() -> bool:
            async with self._session.get(f"http://{HOST}:{self.ports.metrics_port}{path}", headers=headers) as response:
                return text in await response.text()

        await self.until(shows, f"{text} at {path}")

    async def findings(self) -> dict[str, dict[str, str]]:
        """The self-check's findings by check."""
        _, text = await self.get("/debug/self-check")
        return {finding["check"]: finding for finding in msgspec.json.decode(text)}

    async def destinations(self) -> list[str]:
        """Of the endpoints that may be picked."""
        return sorted(endpoint.destination for endpoint in await self.pages.endpoints())

    async def health(self, service: str = "readiness", port: int | None = None) -> str:
        """Name of the gRPC health status."""
        async with grpc.aio.insecure_channel(f"{HOST}:{port or self.ports.health_port}") as channel:
            check = channel.unary_unary(
                CHECK,
                request_serializer=HealthCheckRequest.SerializeToString,
                response_deserializer=HealthCheckResponse.FromString,
            )
            answer = await check(HealthCheckRequest(service=service), timeout=5.0)
        return HealthCheckResponse.ServingStatus.Name(answer.status)

    async def until(self, condition: Callable[[], Awaitable[object]], what: str, *, within_s: float = 5.0) -> None:
        """Returns as soon as the awaited condition is true; AssertionError after `within_s`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while not await condition():
            assert clock() < deadline, f"not within {within_s:g} s: {what}; the log ends:\n{self.process.log_tail()}"
            await asyncio.sleep(0.02)

    async def until_ready(self) -> None:
        """Returns once /readyz says so."""

        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await self.until(is_ready, "ready")

    async def until_endpoints(self, *destinations: str, within_s: float = 5.0) -> None:
        """Returns once exactly these may be picked."""

        async def known() -> bool:
            return await self.destinations() == sorted(destinations)

        await self.until(known, f"endpoints {destinations}", within_s=within_s)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to the process."""
        os.kill(self.process.pid, number)

    async def ended(self, within_s: float = 5.0) -> int:
        """Waits for its end; returns the exit code."""

        async def has_ended() -> bool:
            return self.process.returncode is not None

        await self.until(has_ended, "the process has ended", within_s=within_s)
        assert self.process.returncode is not None
        return self.process.returncode

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log lines; anything on stderr that is none fails the test."""
        lines = self.process.log_path.read_text().splitlines()
        return [msgspec.json.decode(line) for line in lines]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        return [line for line in self.log if line["event"] == event]


@asynccontextmanager
async def served_picker(directory: Path, *flags: str, objects: bool = True) -> AsyncIterator[ServedPicker]:
    """Starts `epp serve` in plaintext (a flag may say otherwise) over `directory`/objects, and ends it.

    A traceback in its log fails the test.
    """
    folder = directory / "objects"
    folder.mkdir(exist_ok=True)
    source = (f"--objects={folder}",) if objects else ()
    words = ("serve", *FREE_PORTS, *source, "--secure-serving=false", "--drain-timeout=0s", *flags)
    process = ChildProcess("picker", words, directory)
    async with aiohttp.ClientSession() as session:
        try:
            ports = await process.start(ReadyPicker)
            yield ServedPicker(process, ports, folder, session)
        finally:
            await process.stop()
    assert "Traceback" not in process.log_path.read_text()
