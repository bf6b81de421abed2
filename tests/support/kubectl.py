"""Real kubectl and helm against an emulated API server, each with a home of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.support.kube_tools import helm, kubectl

TIMEOUT_S = 40.0


class Ran(msgspec.Struct, frozen=True):
    """What a program said, and its exit code."""

    out: str
    err: str
    code: int


class CommandLine:
    """Runs kubectl and helm with one kubeconfig."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self._environment = {
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "PATH": "/usr/bin:/bin",
        }

    async def kubectl(self, *words: str, stdin: str = "") -> str:
        """Its output; AssertionError when it fails."""
        ran = await self.try_kubectl(*words, stdin=stdin)
        assert ran.code == 0, f"kubectl {' '.join(words)}: {ran.err}{ran.out}"
        return ran.out

    async def try_kubectl(self, *words: str, stdin: str = "") -> Ran:
        """What it said, whatever came of it."""
        return await self._run(kubectl(), *words, stdin=stdin)

    async def helm(self, *words: str) -> str:
        """Its output; AssertionError when it fails."""
        ran = await self._run(helm(), *words)
        assert ran.code == 0, f"helm {' '.join(words)}: {ran.err}{ran.out}"
        return ran.out

    @asynccontextmanager
    async def running_kubectl(self, *words: str) -> AsyncIterator[asyncio.StreamReader]:
        """A kubectl that does not end by itself; yields its output."""
        process = await self._started(kubectl(), *words)
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.kill()
            await process.communicate()

    async def _run(self, program: Path, *words: str, stdin: str = "") -> Ran:
        process = await self._started(program, *words)
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin.encode()), TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise AssertionError(f"{program.name} {' '.join(words)} did not end") from None
        return Ran(out.decode(), err.decode(), process.returncode or 0)

    async def _started(self, program: Path, *words: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            program, *words, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )
