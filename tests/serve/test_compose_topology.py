"""The command lines and objects of docker-compose.yaml, run here: other addresses and ports, else the same."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeVar

import aiohttp

from epp.app.lora_sync import SyncPorts
from epp.lab.child_process import ChildProcess
from epp.lab.envoy_config import EnvoyOptions, SocketAddress, envoy_config
from epp.lab.envoy_process import EnvoyProcess
from epp.lab.picker_pages import PickerPages
from epp.lab.picker_replica import ReadyPicker
from epp.lab.plan import free_port
from epp.lab.stack import ReadyPods
from epp.lab.traffic import Answer, sample_requests, send_all
from epp.lab.verdict import ext_proc_counters
from tests.support.compose_file import ROOT, Compose

NETWORK, HERE = "172.28.80.", "127.28.80."
PORT = 8000
REQUESTS = 24
WITHIN_S = 10.0
COMPOSE = Compose()
SYNCERS = [name for name, words in COMPOSE.commands().items() if words[0] == "lora-sync"]
Ready = TypeVar("Ready")


class Topology:
    """What runs."""

    def __init__(
        self,
        envoy: EnvoyProcess,
        picker: ChildProcess,
        pages: PickerPages,
        pods: list[str],
        adapters: Path,
    ) -> None:
        self.envoy = envoy
        self.picker = picker
        self.pages = pages
        self.pods = pods
        self.adapters = adapters
        """the syncers' configuration"""

    async def send(self, prefix: str) -> list[Answer]:
        """Sample requests through Envoy."""
        answers: list[Answer] = []
        requests = itertools.islice(sample_requests(Random(1), prefix), REQUESTS)
        await send_all(f"http://127.0.0.1:{self.envoy.listener_port}", requests, 8, answers.append)
        return answers


def relocated(words: list[str], paths: dict[str, Path], port: int) -> list[str]:
    """A command line of the file with our addresses, directories and port of the pods."""
    line = "\n".join(words).replace(NETWORK, HERE).replace(f"--port={PORT}", f"--port={port}")
    for target, path in paths.items():
        line = line.replace(f"={target}", f"={path}")
    return line.splitlines()


def objects(source: Path, target: Path, port: int) -> Path:
    """A copy of the objects with our addresses and port."""
    shutil.copytree(source, target)
    for path in target.iterdir():
        path.write_text(path.read_text().replace(NETWORK, HERE).replace(f"number: {PORT}", f"number: {port}"))
    return target


def mounted(directory: Path, port: int) -> dict[str, Path]:
    """What our containers mount, copied with our addresses and port, by path in the container."""
    mounts = {mount for name in COMPOSE.commands() for mount in COMPOSE.mounts(name)}
    paths = {mount.target: directory / mount.target.rpartition("/")[2] for mount in mounts}
    for mount in mounts:
        if mount.is_path:
            objects(ROOT / mount.source, paths[mount.target], port)
        else:
            paths[mount.target].mkdir()
    return paths


async def until(condition: Callable[[], Awaitable[object]], what: str) -> None:
    """Returns as soon as the awaited condition is true; AssertionError after WITHIN_S."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + WITHIN_S
    while not await condition():
        assert clock() < deadline, f"not within {WITHIN_S:g} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def topology(directory: Path) -> AsyncIterator[Topology]:
    """Starts what the file starts, in its order."""
    port = free_port(tuple(address.replace(NETWORK, HERE) for address in COMPOSE.addresses().values()), PORT)
    paths = mounted(directory, port)
    async with AsyncExitStack() as running:

        async def start(name: str, ready: type[Ready], *flags: str) -> tuple[ChildProcess, Ready]:
            words = relocated(COMPOSE.commands()[name], paths, port)
            child = ChildProcess(name, [*words, *flags], directory)
            running.push_async_callback(child.stop)
            return child, await child.start(ready)

        pods = []
        for name in COMPOSE.addresses():
            _, found = await start(name, ReadyPods, "--speed=50")
            pods += [f"{pod.host}:{pod.port}" for pod in found.pods]
        session = await running.enter_async_context(aiohttp.ClientSession())
        for name in SYNCERS:
            _, bound = await start(name, SyncPorts, "--metrics-address=127.0.0.1", "--metrics-port=0")
            await until(partial(is_ready, session, bound.metrics_port), f"{name} is ready")
        free = ("--grpc-port=0", "--grpc-health-port=0", "--metrics-port=0")
        picker, ports = await start("epp", ReadyPicker, *free)
        options = EnvoyOptions(
            listener=SocketAddress("127.0.0.1", 0),
            admin=SocketAddress("127.0.0.1", 0),
            probes="off",
            pickers=(SocketAddress("127.0.0.1", ports.grpc_port),),
            eds_path=str(paths["/etc/endpoints"] / "eds.yaml"),
        )
        envoy = await running.enter_async_context(EnvoyProcess(envoy_config(options)))
        pages = PickerPages(session, f"http://127.0.0.1:{ports.metrics_port}")
        yield Topology(envoy, picker, pages, pods, paths["/config"] / "configmap.yaml")


async def is_ready(session: aiohttp.ClientSession, port: int) -> bool:
    """What the file's health check asks."""
    async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
        return response.status == 200


async def served(pod: str) -> dict[str, str]:
    """Source of every adapter of a pod."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{pod}/v1/models") as response:
        cards = (await response.json())["data"]
    return {card["id"]: card["root"] for card in cards if card["parent"]}


async def test_the_syncers_of_the_compose_file_follow_its_adapters(tmp_path: Path) -> None:
    async with topology(tmp_path) as stack:
        first = {"food-review": "Kawon/llama3.1-food-finetune_v14_r8", "cad-fabricator": "redcathode/fabricator"}
        assert [await served(pod) for pod in stack.pods] == [first] * 3
        stack.adapters.write_text(stack.adapters.read_text().replace("redcathode/fabricator", "redcathode/better"))

        async def is_replaced() -> bool:
            found = [(await served(pod)).get("cad-fabricator") for pod in stack.pods]
            return found == ["redcathode/better"] * 3

        await until(is_replaced, "the other source is served")
        await stack.picker.kill()  # it has nothing to drain, but would take its time


async def test_the_stack_of_the_compose_file_serves_and_outlives_its_picker(tmp_path: Path) -> None:
    async with topology(tmp_path) as stack:
        picked = await stack.send("picked")
        assert [answer.problem for answer in picked if not answer.is_ok] == []
        decisions = {each.request_id: each for each in await stack.pages.decisions()}
        for answer in picked:
            decision = decisions[answer.request.request_id]
            assert decision.picked is not None
            assert decision.picked.destination == answer.served_by
        served = {answer.served_by for answer in picked}
        assert served <= set(stack.pods)
        assert len(served) > 1, "one pod alone is no load balancing"
        assert {each.priority for each in decisions.values() if each.model == "food-review"} == {10}
        assert not any(ext_proc_counters(await stack.envoy.stats("ext_proc")).values())

        await stack.picker.kill()
        alone = await stack.send("alone")
        assert [answer.problem for answer in alone if not answer.is_ok] == []
        assert ext_proc_counters(await stack.envoy.stats("ext_proc"))["failure_mode_allowed"] == REQUESTS
