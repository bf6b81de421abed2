"""`epp lora-sync`: makes the model server of this pod serve the adapters of a file, until SIGTERM, or once."""

import asyncio
import time
from pathlib import Path
from typing import Literal

import msgspec

from epp import __version__
from epp.app.listening import bind
from epp.app.lora_log import SyncLog
from epp.app.ready_file import write_ready
from epp.app.signals import catch_signals
from epp.app.watched_file import WatchedFile
from epp.core.domain.errors import InvalidInput, PickerError
from epp.edge.lora.configuration import LoraConfig, Target, load_configuration
from epp.edge.lora.metrics import SyncMetrics
from epp.edge.lora.model_server import HttpModelServer, Timeouts
from epp.edge.lora.pages import SyncPages
from epp.edge.lora.reconcile import HealthWait, Reconciled, Reconciler, StepTaken
from epp.edge.lora.syncer import Syncer
from epp.edge.observe.logs import configure_logs, get_logger


class LoraSyncOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line."""

    config: Path
    config_validation: bool
    health_check_timeout_s: float
    health_check_interval_s: float
    reconcile_trigger_s: float
    request_timeout_s: float
    load_timeout_s: float
    host: str
    """instead of the configuration's; empty: as configured"""
    port: int
    """as `host`; 0: as configured"""
    metrics_address: str
    """an IP address"""
    metrics_port: int
    once: bool
    verbosity: int
    log_format: Literal["auto", "json", "console"]
    ready_file: Path | None


class SyncPorts(msgspec.Struct, frozen=True):
    """What is listened on."""

    metrics_port: int


class NotAsWished(PickerError):
    """`--once` ended, and this is what is not as wished."""


async def lora_sync(options: LoraSyncOptions) -> None:
    """Runs until SIGTERM or SIGINT, or with `once` until everything has been tried once.

    Raises PickerError: when it cannot start, and with `once` when something is not as wished.
    """
    configure_logs(options.verbosity, options.log_format)
    process = _SyncProcess(options)
    try:
        await (process.run_once() if options.once else process.run())
    finally:
        await process.close()


class _SyncProcess:
    def __init__(self, options: LoraSyncOptions) -> None:
        self._options = options
        self._log = SyncLog(get_logger("lora-sync"))
        self._file: WatchedFile[LoraConfig] = WatchedFile(
            options.config, None, load=self._load, take_over=self._take_over, logger=get_logger("lora-sync")
        )
        self._metrics = SyncMetrics(lambda: self._file.problem)
        self._server = HttpModelServer(Timeouts(options.request_timeout_s, options.load_timeout_s))
        self._reconciler = Reconciler(
            self._server,
            HealthWait(options.health_check_timeout_s, options.health_check_interval_s),
            clock=time.monotonic,
            sleep=asyncio.sleep,
            on_waiting=self._log.waiting,
            on_step=self._took_step,
        )
        self._syncer = Syncer(
            self._reconciler.reconcile,
            period_s=options.reconcile_trigger_s,
            sleep=asyncio.sleep,
            on_reconciled=self._reconciled,
        )
        self._pages = SyncPages(self._metrics, self._unready, host=options.metrics_address, port=options.metrics_port)

    async def run(self) -> None:
        """Until a signal."""
        signals = catch_signals()
        await bind("metrics-port", self._options.metrics_address, self._options.metrics_port, self._pages.start)
        if self._options.ready_file is not None:
            write_ready(self._options.ready_file, SyncPorts(self._pages.port))
        self._log.started(__version__, self._options.config, self._pages.port)
        working = asyncio.ensure_future(self._work())
        stopped = asyncio.ensure_future(signals.get())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, stopped):
                task.cancel()
            await asyncio.wait({working, stopped})
        self._log.stopped()

    async def run_once(self) -> None:
        """One reconcile; raises PickerError when something is not as wished."""
        path = self._options.config
        try:
            config = self._load(path.read_bytes())
        except OSError as error:
            raise InvalidInput(str(path), f"cannot be read: {error.strerror}") from error
        config = self._relocated(config)
        self._log.configured(config)
        result = await self._reconciler.reconcile(lambda: config)
        self._reconciled(result)
        if not result.is_complete:
            raise NotAsWished(result.problem or "\n".join(map(self._log.describe, result.problems)))

    async def close(self) -> None:
        """Gives port and connections up."""
        await self._pages.stop()
        await self._server.close()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._file.run())
            group.create_task(self._syncer.run())

    def _load(self, text: bytes) -> LoraConfig:
        return load_configuration(text, str(self._options.config), strict=self._options.config_validation)

    def _take_over(self, config: LoraConfig) -> LoraConfig:
        relocated = self._relocated(config)
        self._log.configured(relocated)
        self._metrics.configured(relocated)
        self._syncer.take_over(relocated)
        return config

    def _relocated(self, config: LoraConfig) -> LoraConfig:
        """The configuration for the server that the command line names, if it does."""
        host = self._options.host.strip("[]") or config.target.host
        target = Target(host, self._options.port or config.target.port)
        return msgspec.structs.replace(config, target=target)

    def _took_step(self, taken: StepTaken) -> None:
        self._metrics.took_step(taken)
        self._log.took_step(taken)

    def _reconciled(self, result: Reconciled) -> None:
        self._metrics.reconciled(result, time.time())
        self._log.reconciled(result)

    def _unready(self) -> str:
        if self._syncer.config is None and self._file.problem:
            return f"there is no configuration yet: {self._file.problem}"
        return self._syncer.unready
