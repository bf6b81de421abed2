"""Pods as a process: start all, say so, drain at SIGTERM or SIGINT, stop."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from epp.app.whole_file import replace_file
from epp.lab.fake_vllm.pod import FakePod
from epp.lab.fake_vllm.settings import PodSettings


class ReadyPod(msgspec.Struct, frozen=True):
    """A pod in the ready file."""

    name: str
    host: str
    port: int


class StartError(Exception):
    """The pods could not start; the message says what failed, where and why."""


async def serve(
    settings: Sequence[PodSettings], *, grace_s: float, ready_file: Path | None, announce: Callable[[str], None]
) -> bool:
    """Runs pods until the first SIGTERM or SIGINT, then drains them together for at most `grace_s` seconds.

    A second signal ends the grace. Returns whether every request could finish. Raises StartError.
    """
    pods = [FakePod(each) for each in settings]
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    try:
        if ready_file is not None:
            _clear(ready_file)
        for pod in pods:
            await _start(pod)
            announce(f"{pod.name} serves {pod.settings.names[0]} on {pod.url}")
        if ready_file is not None:
            _write_ready(ready_file, pods)
        await signals.get()
        announce(f"draining for at most {grace_s:g} s")
        return await _drain(pods, grace_s, signals)
    finally:
        for pod in pods:
            await pod.stop()


async def _start(pod: FakePod) -> None:
    try:
        await pod.start()
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise StartError(f"pod {pod.name} cannot listen on {pod.address}: {reason}") from error


async def _drain(pods: Sequence[FakePod], grace_s: float, signals: asyncio.Queue[int]) -> bool:
    drained = asyncio.gather(*(pod.drain(grace_s) for pod in pods))
    impatient = asyncio.ensure_future(signals.get())
    await asyncio.wait((drained, impatient), return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if drained.done():
        return all(drained.result())
    drained.cancel()
    return False


def _clear(path: Path) -> None:
    """Removes what an earlier run left, so that nobody takes it for this one's."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StartError(f"ready file {path}: {error.strerror}") from error


def _write_ready(path: Path, pods: Sequence[FakePod]) -> None:
    ready = {"pods": [ReadyPod(pod.name, pod.host, pod.port) for pod in pods]}
    try:
        replace_file(path, msgspec.json.encode(ready))
    except OSError as error:
        raise StartError(f"ready file {path}: {error.strerror}") from error
