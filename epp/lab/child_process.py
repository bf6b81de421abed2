"""Child processes of the local stack: started with a ready file, always ended by their own process id.

A child never outlives us: `stop` ends it (SIGTERM, then SIGKILL), and if this process dies in any way the kernel
kills it (PR_SET_PDEATHSIG, which watches the thread that started it).
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

Ready = TypeVar("Ready")
LOG_TAIL_LINES = 20
POLL_S = 0.02
# Runs between fork and exec in a process of its own, because a preexec_fn is unsafe once there are threads.
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ChildError(Exception):
    """A child ended, or was not ready in time; the message carries the end of its log."""


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """`command`, wrapped so that the kernel kills it when this process dies; its first word is an absolute path."""
    return [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid()), *command]


class ChildProcess:
    """A subcommand of a Python module, `epp` unless told, as a child process.

    It has a log file and a ready file in `directory`.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        directory: Path,
        *,
        module: str = "epp",
        environment: Mapping[str, str] | None = None,
        start_timeout_s: float = 30.0,
    ) -> None:
        """`environment` is what the child has besides ours."""
        self.name = name
        self.log_path = directory / f"{name}.log"
        self._ready_path = directory / f"{name}.ready.json"
        self._module = module
        self._arguments = arguments
        self._environment = environment or {}
        self._start_timeout_s = start_timeout_s
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Process id; raises ChildError before `start`."""
        if self._process is None:
            raise ChildError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, None while it runs and before `start`."""
        return self._process.returncode if self._process else None

    async def start(self, ready: type[Ready]) -> Ready:
        """Starts the child and returns what it wrote into its ready file; raises ChildError."""
        self._ready_path.unlink(missing_ok=True)
        command = [sys.executable, "-m", self._module, *self._arguments, "--ready-file", str(self._ready_path)]
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_parent(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self._environment},
            )
        try:
            async with asyncio.timeout(self._start_timeout_s):
                while not self._ready_path.exists():
                    if self._process.returncode is not None:
                        raise ChildError(
                            f"{self.name} ended with exit code {self._process.returncode}:\n{self.log_tail()}"
                        )
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            await self.stop()
            raise ChildError(
                f"{self.name} was not ready after {self._start_timeout_s:g} s:\n{self.log_tail()}"
            ) from None
        return msgspec.json.decode(self._ready_path.read_bytes(), type=ready)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Ends the child; SIGKILL after `grace_s`. Harmless when it has ended."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def log_tail(self) -> str:
        """The end of its output."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
