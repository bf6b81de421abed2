"""The server as a process: start, say so, serve until SIGTERM or SIGINT."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from epp.app.whole_file import replace_file
from epp.lab.kube_api.schema import SchemaSource
from epp.lab.kube_api.server import KubeApi, KubeApiSettings


class ReadyKubeApi(msgspec.Struct, frozen=True):
    """The ready file: where the server listens, and the kubeconfig of an administrator."""

    url: str
    kubeconfig: str


class StartError(Exception):
    """The server could not start; the message says what failed, where and why."""


async def serve(
    settings: KubeApiSettings,
    *,
    schemas: SchemaSource | None,
    kubeconfig: Path,
    ready_file: Path | None,
    announce: Callable[[str], None],
) -> None:
    """Runs until the first SIGTERM or SIGINT. Raises StartError."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        api = KubeApi(settings, schemas=schemas)
    except (msgspec.DecodeError, OSError) as error:
        raise StartError(f"state or schema file: {error}") from error
    try:
        await api.start()
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise StartError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error
    try:
        try:
            api.kubeconfig(kubeconfig)
            if ready_file is not None:
                replace_file(ready_file, msgspec.json.encode(ReadyKubeApi(api.url, str(kubeconfig))))
        except OSError as error:
            raise StartError(f"{error.filename}: {error.strerror}") from error
        announce(f"serves {api.url}: export KUBECONFIG={kubeconfig}")
        await stopped.wait()
    finally:
        await api.stop()
