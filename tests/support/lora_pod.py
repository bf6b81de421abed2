"""`epp lora-sync` as a process of its own beside a fake vLLM pod, with its configuration mounted as kubelet does it.

async with lora_pod(tmp_path) as pod:
    pod.mount(adapters("food", "cad"))
    syncer = await pod.sync()
    await pod.until_served("food", "cad")
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from epp.app.lora_sync import SyncPorts
from epp.lab.child_process import ChildProcess
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import PodSettings
from tests.support.free_ports import free_port
from tests.support.metrics_page import ParsedPage

HOST = "127.0.0.1"
BASE = "meta/base"
QUICK = ("--health-check-interval=0.05", "--reconcile-trigger=0.2")
"""for tests that wait for the periodic reconcile"""


def adapters(*names: str, not_exist: tuple[str, ...] = (), **sources: str) -> str:
    """A vLLMLoRAConfig without host and port; adapters given by name come from `repo/NAME`."""
    wanted = {**{name: f"repo/{name}" for name in names}, **sources}
    models = [{"id": name, "source": source} for name, source in wanted.items()]
    removed = [{"id": name, "source": f"repo/{name}"} for name in not_exist]
    lists = {"ensureExist": {"models": models}, "ensureNotExist": {"models": removed}}
    return msgspec.json.encode({"vLLMLoRAConfig": {"defaultBaseModel": BASE, **lists}}).decode()


class RunningSyncer:
    """A started `epp lora-sync`."""

    def __init__(self, process: ChildProcess, ports: SyncPorts, session: aiohttp.ClientSession) -> None:
        self._process = process
        self._url = f"http://{HOST}:{ports.metrics_port}"
        self._session = session

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        async with self._session.get(self._url + path) as response:
            return response.status, await response.text()

    async def metrics(self) -> ParsedPage:
        """/metrics."""
        return ParsedPage((await self.get("/metrics"))[1].encode())

    async def until(self, condition: Callable[[], Awaitable[object]], what: str, *, within_s: float = 8.0) -> None:
        """Returns as soon as the awaited condition is true; AssertionError with the end of the log after `within_s`."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while not await condition():
            assert clock() < deadline, f"not within {within_s:g} s: {what}; the log ends:\n{self._process.log_tail()}"
            await asyncio.sleep(0.01)

    async def until_logged(self, event: str, text: str = "") -> dict[str, Any]:
        """The first line of that event with `text` somewhere in it, as soon as it is there."""
        found: list[dict[str, Any]] = []

        async def is_there() -> bool:
            found[:] = [line for line in self.log if line["event"] == event and text in str(line)]
            return bool(found)

        await self.until(is_there, f"{event!r} with {text!r} in the log")
        return found[0]

    async def until_ready(self) -> None:
        """Returns once /readyz says so."""

        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await self.until(is_ready, "ready")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its whole lines; anything on stderr that is none fails the test."""
        text = self._process.log_path.read_text()
        return [msgspec.json.decode(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    async def end(self, number: int = signal.SIGTERM, within_s: float = 5.0) -> int:
        """Sends a signal and returns the exit code."""
        os.kill(self._process.pid, number)
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while self._process.returncode is None:
            assert clock() < deadline, f"it runs after {within_s:g} s; the log ends:\n{self._process.log_tail()}"
            await asyncio.sleep(0.005)
        return self._process.returncode


class LoraPod:
    """A fake vLLM pod, a mounted configuration, and the syncers beside it; made by `lora_pod`."""

    def __init__(self, vllm: FakePod, directory: Path, running: AsyncExitStack, session: aiohttp.ClientSession) -> None:
        self.vllm = vllm
        self.mounted = directory / "mounted"
        self._directory = directory
        self._running = running
        self._session = session
        self._versions = 0

    @property
    def config(self) -> Path:
        """The path that the syncer is given."""
        return self.mounted / "configmap.yaml"

    def mount(self, text: str) -> None:
        """Puts a configuration in force as kubelet does: a directory of its own, then `..data` is swapped to it."""
        self.mounted.mkdir(exist_ok=True)
        self._versions += 1
        version = self.mounted / f"..version_{self._versions}"
        version.mkdir()
        (version / "configmap.yaml").write_text(text)
        swap = self.mounted / "..data_tmp"
        swap.symlink_to(version.name)
        swap.replace(self.mounted / "..data")
        if not self.config.is_symlink():
            self.config.symlink_to(Path("..data") / "configmap.yaml")

    def words(self, *flags: str) -> tuple[str, ...]:
        """The arguments of `epp` for a syncer of this pod."""
        return ("lora-sync", f"--config={self.config}", f"--host={HOST}", f"--port={self.vllm.port}", *flags)

    async def sync(self, *flags: str) -> RunningSyncer:
        """Starts a syncer, which is ended with the pod; a traceback in its log fails the test."""
        words = self.words(f"--metrics-address={HOST}", "--metrics-port=0", *flags)
        process = ChildProcess(f"syncer-{self._versions}", words, self._directory)
        self._running.push_async_callback(_stop, process)
        return RunningSyncer(process, await process.start(SyncPorts), self._session)

    async def served(self) -> dict[str, str]:
        """Source of every adapter that the model server lists."""
        async with self._session.get(f"{self.vllm.url}/v1/models") as response:
            cards = (await response.json())["data"]
        return {card["id"]: card["root"] for card in cards if card["parent"] is not None}

    async def load(self, name: str, source: str) -> None:
        """Loads an adapter behind the syncer's back."""
        body = {"lora_name": name, "lora_path": source}
        async with self._session.post(f"{self.vllm.url}/v1/load_lora_adapter", json=body) as response:
            assert response.status == 200, await response.text()

    async def until_served(self, *names: str, within_s: float = 8.0, **sources: str) -> None:
        """Returns as soon as exactly these adapters are served."""
        wanted = {**{name: f"repo/{name}" for name in names}, **sources}
        clock = asyncio.get_running_loop().time
        deadline = clock() + within_s
        while (found := await self.served()) != wanted:
            assert clock() < deadline, f"not within {within_s:g} s: {wanted}; there is {found}"
            await asyncio.sleep(0.01)


async def _stop(process: ChildProcess) -> None:
    await process.stop()
    assert "Traceback" not in process.log_path.read_text()


@asynccontextmanager
async def lora_pod(directory: Path, **settings: Any) -> AsyncIterator[LoraPod]:
    """Starts a fake pod with these settings; no syncer and no configuration yet."""
    async with AsyncExitStack() as running:
        session = await running.enter_async_context(aiohttp.ClientSession())
        vllm = FakePod(PodSettings(host=HOST, port=free_port(), model=BASE, **settings))
        await vllm.start()
        running.push_async_callback(vllm.stop)
        yield LoraPod(vllm, directory, running, session)
